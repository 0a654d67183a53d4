//! Apache MXNet: `.params` files (a list of arrays and their names) and
//! `-symbol.json` graphs.

mod rules;
mod symbol;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::codec::tensors::{Element, Survey};
use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Reader, Recognise, Scope, Sniff};

pub use symbol::SYMBOL;

/// `kMXAPINDArrayListMagic`, then a reserved word that is zero.
const MAGIC: &[u8] = &[0x12, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
/// `NDARRAY_V1_MAGIC` to `NDARRAY_V3_MAGIC` (`src/ndarray/ndarray.cc`).
const ARRAY_V1: u32 = 0xf993_fac8;
const ARRAY_V2: u32 = 0xf993_fac9;
const ARRAY_V3: u32 = 0xf993_faca;
/// Most arrays in one file.
const ARRAYS_MAX: u64 = 1_000_000;
/// Most dimensions of one array.
const DIMENSIONS_MAX: u32 = 64;
/// Longest name of an array.
const NAME_BYTES_MAX: usize = 64 * 1024;

/// Registry entry of the weights.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "mxnet",
    name: "MXNet parameters",
    extensions: &["params", "nd"],
    runs_code: false,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Bytes(recognise),
    inspect,
    rules: rules::ALL,
};

fn recognise(sniff: &Sniff<'_>) -> Confidence {
    if sniff.starts_with(MAGIC) { Confidence::Certain } else { Confidence::No }
}

/// One array and where its bytes lie.
struct Array {
    parameters: u64,
    kind: Option<u32>,
    data: std::ops::Range<u64>,
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let mut r = Reader::new(input);
    r.magic(MAGIC)?;
    let count = r.u64_le("array count")?;
    // Smallest array: magic, storage type, dimensions.
    let count = r.check_count(count, ARRAYS_MAX, 4, "array count")?;
    let mut arrays = Vec::new();
    for _ in 0..count {
        ctx.work(1)?;
        arrays.push(array(&mut r)?);
    }
    let names = r.u64_le("name count")?;
    let names = r.check_count(names, ARRAYS_MAX, 8, "name count")?;
    if names != 0 && names != count {
        ctx.find(&rules::NAME_COUNT, r.position(), format!("{names} names for {count} arrays"));
    }
    let mut labels = Vec::new();
    for _ in 0..names {
        ctx.work(1)?;
        let len = r.u64_le("name length")?;
        labels.push(String::from_utf8_lossy(&r.bytes(len, NAME_BYTES_MAX, "name")?).into_owned());
    }
    survey(ctx, input, &arrays, &labels)?;
    if !r.at_end() {
        ctx.find(&rules::TRAILING, r.position(), format!("{} bytes follow the names", r.remaining()));
        ctx.child("trailing", &input.tail_from(r.position()));
    }
    Ok(())
}

/// `NDArray::Load`: the newest layouts, and the one that begins with its
/// number of dimensions.
fn array(r: &mut Reader<'_>) -> Result<Array, FormatError> {
    let at = r.position();
    let (dimensions, wide) = match r.u32_le("array magic")? {
        ARRAY_V2 | ARRAY_V3 => {
            if r.i32_le("storage type")? > 0 {
                return Err(FormatError::malformed("storage type", at, "sparse arrays are not inspected"));
            }
            (r.u32_le("dimensions")?, true)
        }
        ARRAY_V1 => (r.u32_le("dimensions")?, true),
        dimensions => (dimensions, false),
    };
    if dimensions > DIMENSIONS_MAX {
        return Err(FormatError::malformed("dimensions", at, format!("{dimensions} dimensions")));
    }
    let mut parameters = 1u64;
    for _ in 0..dimensions {
        let extent = if wide { r.u64_le("extent")? } else { r.u32_le("extent")?.into() };
        parameters = parameters
            .checked_mul(extent)
            .ok_or_else(|| FormatError::malformed("extent", r.position(), "the shape overflows"))?;
    }
    if dimensions == 0 {
        // An array that was never filled: nothing follows its shape.
        return Ok(Array { parameters: 0, kind: None, data: r.position()..r.position() });
    }
    r.skip(8, "context")?;
    let kind = r.u32_le("type")?;
    let width = match kind {
        0 | 4 => 4,
        1 | 6 => 8,
        2 | 8 | 12 => 2,
        3 | 5 | 7 => 1,
        _ => return Err(FormatError::malformed("type", r.position(), format!("type {kind} is not defined"))),
    };
    let start = r.position();
    let bytes = parameters.checked_mul(width).ok_or_else(|| FormatError::truncated("array data", start))?;
    r.skip(bytes, "array data")?;
    Ok(Array { parameters, kind: Some(kind), data: start..r.position() })
}

fn survey(ctx: &mut Inspection<'_>, input: &Input, arrays: &[Array], names: &[String]) -> Result<(), FormatError> {
    let mut survey = Survey::new(false);
    let mut types: BTreeMap<&str, u64> = BTreeMap::new();
    for (i, array) in arrays.iter().enumerate() {
        let (element, name) = match array.kind {
            Some(0) => (Element::F32, "float32"),
            Some(1) => (Element::F64, "float64"),
            Some(2) => (Element::F16, "float16"),
            Some(3) => (Element::Other, "uint8"),
            Some(4) => (Element::Other, "int32"),
            Some(5) => (Element::Other, "int8"),
            Some(6) => (Element::Other, "int64"),
            Some(_) => (Element::Other, "other"),
            None => continue,
        };
        *types.entry(name).or_default() += 1;
        survey.tensor(ctx, input, array.data.clone(), element, &|| names.get(i).cloned().unwrap_or_default())?;
        ctx.opaque(input, array.data.clone());
    }
    ctx.fact("tensor_count", arrays.len());
    ctx.fact("parameters", arrays.iter().fold(0u64, |n, a| n.saturating_add(a.parameters)));
    ctx.fact("dtypes", types.into_iter().map(|(k, n)| (k.to_owned(), Value::from(n))).collect::<Map<_, _>>());
    Ok(())
}
