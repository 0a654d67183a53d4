use crate::codec::protobuf::{Message, Value};
use crate::core::{FormatError, Input, Inspection, Reader};

/// Levels of one `LoDTensor`.
const LEVELS_MAX: u64 = 64;
/// Bytes of one description.
const DESCRIPTION_BYTES_MAX: u64 = 1024;

/// Steps through the tensors (`SerializeToStream` of lod_tensor.cc): what
/// they declare has to fill the file.
pub fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let mut r = Reader::new(input);
    let (mut tensors, mut parameters) = (0u64, 0u64);
    let walked = loop {
        if r.at_end() {
            break Ok(());
        }
        match tensor(ctx, &mut r) {
            Ok(elements) => {
                tensors += 1;
                parameters = parameters.saturating_add(elements);
            }
            Err(error) => break Err(error),
        }
    };
    ctx.fact("tensor_count", tensors);
    ctx.fact("parameters", parameters);
    walked
}

/// One tensor; returns its number of elements.
fn tensor(ctx: &mut Inspection<'_>, r: &mut Reader<'_>) -> Result<u64, FormatError> {
    ctx.work(1)?;
    let at = r.position();
    if r.u32_le("version")? != 0 {
        return Err(FormatError::malformed("version", at, "is not 0"));
    }
    let levels = r.u64_le("lod_level")?;
    r.check_count(levels, LEVELS_MAX, 8, "lod_level")?;
    for _ in 0..levels {
        let size = r.u64_le("lod size")?;
        r.skip(size, "lod")?;
    }
    r.skip(4, "tensor version")?;
    let len = u64::from(r.u32_le("description length")?);
    let start = r.position();
    if len > DESCRIPTION_BYTES_MAX {
        return Err(FormatError::malformed("description length", start, "too long"));
    }
    r.skip(len, "description")?;
    let end = r.position();
    let (mut dtype, mut elements) = (0, Some(1u64));
    let mut fields = Message { start, end }.fields();
    while let Some(field) = fields.next(ctx, r)? {
        match (field.number, field.value) {
            (1, Value::Varint(n)) => dtype = n,
            (2, dims) => dims.varints(ctx, r, |n| elements = elements.and_then(|e| e.checked_mul(n)))?,
            _ => {}
        }
    }
    let bytes = elements.and_then(|n| n.checked_mul(width(dtype)?));
    let bytes = bytes.ok_or_else(|| FormatError::malformed("description", start, "type or dimensions unknown"))?;
    r.seek(end, "data")?;
    r.skip(bytes, "data")?;
    ctx.opaque(r.input(), end..r.position());
    Ok(elements.unwrap_or_default())
}

/// Bytes of one element (`VarType.Type`).
fn width(dtype: u64) -> Option<u64> {
    Some(match dtype {
        0 | 20 | 21 | 32 | 33 => 1,
        1 | 4 | 22 => 2,
        2 | 5 => 4,
        3 | 6 | 23 => 8,
        24 => 16,
        _ => return None,
    })
}
