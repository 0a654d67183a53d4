//! The pieces all members of the family share.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::core::{FormatError, Inspection, Reader};
use crate::formats::ggml::rules;
use crate::formats::gguf::quant::{self, Kind};

/// Largest value a hyperparameter plausibly has.
const PARAMETER_MAX: u32 = 1 << 24;
/// Most words in a vocabulary.
const WORDS_MAX: u64 = 4_000_000;
/// Longest word, bytes.
const WORD_BYTES_MAX: u32 = 64 * 1024;
/// Most tensors.
const TENSORS_MAX: u64 = 200_000;
/// Longest tensor name, bytes: `GGML_MAX_NAME` was 32, then 48, then 64.
const NAME_BYTES_MAX: u32 = 128;
/// `GGML_MAX_DIMS`.
const DIMS_MAX: u32 = 4;

/// How tensor bytes are aligned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alignment {
    /// Not at all.
    None,
    /// To 32 bytes (GGJT and GGLA), so that they can be mapped.
    Bytes32,
}

/// Reads hyperparameters; one that cannot be is reported.
///
/// # Errors
/// [`FormatError::Truncated`].
pub fn parameters<const N: usize>(
    ctx: &mut Inspection<'_>,
    r: &mut Reader<'_>,
    fields: [&'static str; N],
) -> Result<[u32; N], FormatError> {
    let mut out = [0; N];
    for (slot, field) in out.iter_mut().zip(fields) {
        let at = r.position();
        *slot = r.u32_le(field)?;
        if *slot > PARAMETER_MAX {
            ctx.find(&rules::HYPERPARAMETER, at, format!("`{field}` is {}", slot.cast_signed()));
        }
    }
    Ok(out)
}

/// Records `ftype`, whose thousands count versions of the block formats.
pub fn quantization(ctx: &mut Inspection<'_>, file_type: u32) {
    if let Some(name) = quant::file_type(u64::from(file_type % 1000)) {
        ctx.fact("quantization", name);
    }
}

/// Steps over `count` words, with or without scores.
///
/// # Errors
/// Whatever does not fit.
pub fn vocabulary(ctx: &mut Inspection<'_>, r: &mut Reader<'_>, count: u32, scores: bool) -> Result<(), FormatError> {
    let count = r.check_count(count.into(), WORDS_MAX, if scores { 8 } else { 4 }, "vocabulary")?;
    ctx.work(count)?;
    for _ in 0..count {
        let at = r.position();
        let len = r.u32_le("word length")?;
        if len > WORD_BYTES_MAX {
            ctx.find(&rules::LENGTH, at, format!("a word of {len} bytes"));
        }
        r.skip(len.into(), "word")?;
        if scores {
            r.skip(4, "score")?;
        }
    }
    Ok(())
}

/// Steps over tensors to the end of the file.
///
/// # Errors
/// Whatever does not fit.
pub fn tensors(ctx: &mut Inspection<'_>, r: &mut Reader<'_>, alignment: Alignment) -> Result<(), FormatError> {
    let mut count = 0u64;
    let mut elements = 0u64;
    let mut types: BTreeMap<&str, u64> = BTreeMap::new();
    while !r.at_end() {
        if count >= TENSORS_MAX {
            return Err(FormatError::limit("ggml_tensors_max", TENSORS_MAX));
        }
        ctx.work(1)?;
        let tensor = tensor(ctx, r, alignment)?;
        count += 1;
        elements = elements.saturating_add(tensor.elements);
        *types.entry(tensor.kind).or_default() += 1;
    }
    ctx.fact("tensor_count", count);
    ctx.fact("parameters", elements);
    ctx.fact("dtypes", types.into_iter().map(|(k, n)| (k.to_owned(), Value::from(n))).collect::<Map<_, _>>());
    Ok(())
}

struct Tensor {
    elements: u64,
    kind: &'static str,
}

fn tensor(ctx: &mut Inspection<'_>, r: &mut Reader<'_>, alignment: Alignment) -> Result<Tensor, FormatError> {
    let at = r.position();
    let dims = r.u32_le("number of dimensions")?;
    let name_len = r.u32_le("name length")?;
    let type_id = r.u32_le("tensor type")?;
    if dims > DIMS_MAX {
        ctx.find(&rules::TENSOR, at, format!("{dims} dimensions"));
        return Err(leftover(ctx, r, at, "number of dimensions"));
    }
    let mut row = 1;
    let mut elements = Some(1u64);
    for dim in 0..dims {
        let extent = u64::from(r.u32_le("extent")?);
        if extent == 0 || extent > i32::MAX.cast_unsigned().into() {
            ctx.find(&rules::TENSOR, at, format!("extent {dim} is {extent}"));
        }
        if dim == 0 {
            row = extent;
        }
        elements = elements.and_then(|e| e.checked_mul(extent));
    }
    if name_len > NAME_BYTES_MAX {
        ctx.find(&rules::LENGTH, at, format!("a tensor name of {name_len} bytes"));
    }
    r.skip(name_len.into(), "tensor name")?;
    let Kind::Known(quant) = quant::kind(type_id) else {
        ctx.find(&rules::TENSOR, at, format!("tensor type {type_id}"));
        return Err(leftover(ctx, r, at, "tensor type"));
    };
    if alignment == Alignment::Bytes32 {
        let padding = r.position().wrapping_neg() % 32;
        r.skip(padding.min(r.remaining()), "padding")?;
    }
    let size = elements.and_then(|e| quant.size(row, e)).ok_or_else(|| {
        ctx.find(&rules::TENSOR, at, format!("extents that make no size in {}", quant.name));
        FormatError::malformed("tensor shape", at, "no whole number of blocks")
    })?;
    let start = r.position();
    r.skip(size, "tensor data")?;
    ctx.opaque(r.input(), start..r.position());
    Ok(Tensor { elements: elements.unwrap_or(0), kind: quant.name })
}

/// What stands where a tensor should is looked at as a file of its own.
fn leftover(ctx: &mut Inspection<'_>, r: &Reader<'_>, at: u64, field: &'static str) -> FormatError {
    ctx.child("bytes after the last tensor", &r.input().tail_from(at));
    FormatError::malformed(field, at, "not a tensor")
}
