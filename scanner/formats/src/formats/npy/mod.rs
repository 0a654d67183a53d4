//! NumPy arrays in files of their own (`numpy.lib.format`, versions 1 to 3).

mod header;
mod rules;

#[cfg(test)]
mod tests;

use serde_json::json;

use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Reader, Recognise, Scope, Sniff};
use crate::formats::npy::header::{Header, Refused};
use crate::formats::pickle;

/// Arrays in one file: `numpy.save` may be called repeatedly on it.
const ARRAYS_MAX: u32 = 100_000;
/// Bytes of values sampled under `--deep`.
const SAMPLE_BYTES: usize = 64 * 1024;

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "npy",
    name: "NumPy array",
    extensions: &["npy"],
    runs_code: true,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Bytes(recognise),
    inspect,
    rules: rules::ALL,
};

fn recognise(sniff: &Sniff<'_>) -> Confidence {
    if !sniff.starts_with(b"\x93NUMPY") {
        return Confidence::No;
    }
    match sniff.head.get(6) {
        Some(1..=3) => Confidence::Certain,
        Some(_) => Confidence::Likely,
        None => Confidence::Plausible,
    }
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let mut at = 0;
    for array in 0..ARRAYS_MAX {
        ctx.work(1)?;
        let Some(end) = inspect_array(ctx, input, at, array == 0)? else { return Ok(()) };
        at = end;
        if at >= input.len() {
            return Ok(());
        }
        let next = input.read_vec(at, 6).map_err(|source| FormatError::Io { offset: at, source })?;
        if next != b"\x93NUMPY" {
            return trailing(ctx, input, at);
        }
    }
    Err(FormatError::limit("npy_arrays_max", ARRAYS_MAX.into()))
}

/// One array at `at`; gives where it ends, if that can be known.
fn inspect_array(ctx: &mut Inspection<'_>, input: &Input, at: u64, first: bool) -> Result<Option<u64>, FormatError> {
    let mut r = Reader::at(input, at);
    let header = match header::read(&mut r) {
        Ok(header) => header,
        Err(Refused::Format(error)) => return Err(error),
        Err(Refused::Expression(text)) => {
            ctx.find(&rules::HEADER_EXPRESSION, at, text);
            return Ok(None);
        }
    };
    if first {
        facts(ctx, &header);
    }
    let data = r.position();
    if header.objects {
        ctx.find(&rules::OBJECT_ARRAY, data, format!("elements of type {}", header.dtype));
        let facts = pickle::inspect_stream(ctx, input, data)?;
        return Ok(facts.complete.then_some(facts.end));
    }
    let elements =
        header.elements().ok_or_else(|| FormatError::malformed("shape", at, "the product of its sizes overflows"))?;
    let len = header
        .element_bytes
        .and_then(|n| n.checked_mul(elements))
        .ok_or_else(|| FormatError::malformed("shape", at, "the size of the array overflows"))?;
    r.skip(len, "array data")?;
    if ctx.options().deep {
        sample(ctx, input, data, len, &header);
    }
    ctx.opaque(input, data..data + len);
    Ok(Some(data + len))
}

fn facts(ctx: &mut Inspection<'_>, header: &Header) {
    let (major, minor) = header.version;
    ctx.fact("format_version", format!("{major}.{minor}"));
    ctx.fact("dtypes", json!({ header.dtype.as_str(): 1 }));
    ctx.fact("shape", json!(header.shape));
    ctx.fact("tensor_count", 1);
    if let Some(n) = header.elements() {
        ctx.fact("parameters", n);
    }
}

/// Bytes behind the last array.
fn trailing(ctx: &mut Inspection<'_>, input: &Input, at: u64) -> Result<(), FormatError> {
    let rest = input.tail_from(at);
    ctx.find(&rules::SIZE_MISMATCH, at, format!("{} bytes", rest.len()));
    if pickle::begins(&rest) {
        pickle::inspect_stream(ctx, input, at)?;
    }
    Ok(())
}

/// Looks at the first values of a floating-point array.
fn sample(ctx: &mut Inspection<'_>, input: &Input, data: u64, len: u64, header: &Header) {
    let want = usize::try_from(len).unwrap_or(usize::MAX).min(SAMPLE_BYTES);
    let Ok(bytes) = input.read_vec(data, want) else { return };
    let big = header.dtype.starts_with('>');
    // All bits of the exponent set: infinite or no number.
    let hidden = |top: u8, next: u8, mask: u8| top & 0x7f == 0x7f && next & mask == mask;
    let (width, mask) = match header.dtype.trim_start_matches(['<', '>', '=']) {
        "f4" => (4, 0x80),
        "f8" => (8, 0xf0),
        _ => return,
    };
    let values = bytes.chunks_exact(width);
    let total = values.len();
    let bad = values
        .filter(|v| {
            let (top, next) = if big { (v.first(), v.get(1)) } else { (v.last(), v.get(width - 2)) };
            top.zip(next).is_some_and(|(top, next)| hidden(*top, *next, mask))
        })
        .count();
    if total >= 16 && bad * 2 > total {
        ctx.find(&rules::NON_FINITE, data, format!("{bad} of the first {total} values"));
    }
}
