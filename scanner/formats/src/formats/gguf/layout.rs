//! Where tensor bytes lie: aligned, one after the other, up to the end.

use std::ops::Range;

use crate::core::{FormatError, Input, Inspection};
use crate::formats::gguf::rules;
use crate::formats::gguf::tensors::Tensor;

/// Largest gap between tensors that is read to see whether it is empty.
const GAP_READ_MAX: usize = 64 * 1024;
/// Most findings of one kind; a file made to flood says enough by then.
const REPEATS_MAX: usize = 8;
/// A single tensor of more bytes than this exists nowhere.
const TENSOR_BYTES_PLAUSIBLE_MAX: u64 = 1 << 42;

/// Checks the layout of `tensors` in the data section that starts at `start`
/// and says where the last one ends, if that can be told.
///
/// # Errors
/// [`FormatError::Truncated`] if a tensor's bytes are not all there.
pub fn check(
    ctx: &mut Inspection<'_>,
    input: &Input,
    start: u64,
    alignment: u64,
    tensors: &[Tensor],
) -> Result<Option<u64>, FormatError> {
    alignment_of_each(ctx, alignment, tensors);
    let mut order: Vec<&Tensor> = tensors.iter().collect();
    order.sort_by_key(|t| (t.offset, t.size));
    let mut expected = Some(0u64);
    let (mut overlaps, mut gaps, mut beyond) = (0, 0, 0);
    let mut truncated: Option<&Tensor> = None;
    for tensor in order {
        let at = tensor.described_at;
        let begin = start.checked_add(tensor.offset);
        let end = begin.and_then(|b| b.checked_add(tensor.size.unwrap_or(0)));
        let (Some(begin), Some(end)) = (begin, end) else {
            ctx.find(&rules::OFFSET_BEYOND_END, at, format!("the bytes of `{}` end beyond 2^64", tensor.name()));
            return Err(FormatError::truncated("tensor data", start));
        };
        if let Some(expected) = expected {
            if tensor.offset < expected && overlaps < REPEATS_MAX {
                overlaps += 1;
                ctx.find(
                    &rules::TENSOR_OVERLAP,
                    at,
                    format!("`{}` starts at {}, inside the tensor before it", tensor.name(), tensor.offset),
                );
            } else if tensor.offset > expected && gaps < REPEATS_MAX && begin <= input.len() {
                gaps += 1;
                gap(ctx, input, start.saturating_add(expected)..begin)?;
            }
            // Packed and beyond the end is a file that broke off; unpacked, it
            // was made so.
            let packed = tensor.offset == expected;
            let stray = begin > input.len() && !packed;
            if (stray || tensor.size.is_some_and(|s| s > TENSOR_BYTES_PLAUSIBLE_MAX)) && beyond < REPEATS_MAX {
                beyond += 1;
                ctx.find(
                    &rules::OFFSET_BEYOND_END,
                    at,
                    format!("`{}` claims bytes {begin} to {end} of a file of {}", tensor.name(), input.len()),
                );
            }
        }
        if end > input.len() && truncated.is_none() {
            truncated = Some(tensor);
        }
        expected = match tensor.size {
            Some(size) => tensor.offset.checked_add(size).and_then(|e| e.checked_next_multiple_of(alignment)),
            None => None,
        };
    }
    if let Some(tensor) = truncated {
        return Err(FormatError::truncated(format!("bytes of tensor {}", tensor.name()), input.len()));
    }
    let known = tensors.iter().all(|t| t.size.is_some());
    Ok(known.then(|| tensors.iter().filter_map(|t| t.offset.checked_add(t.size?)?.checked_add(start)).max()).flatten())
}

fn alignment_of_each(ctx: &mut Inspection<'_>, alignment: u64, tensors: &[Tensor]) {
    for tensor in tensors.iter().filter(|t| !t.offset.is_multiple_of(alignment)).take(REPEATS_MAX) {
        ctx.find(
            &rules::TENSOR_MISALIGNED,
            tensor.described_at,
            format!("`{}` starts at {}, not a multiple of {alignment}", tensor.name(), tensor.offset),
        );
    }
}

/// A gap no loader of ggml accepts: empty it is odd, filled it hides bytes.
fn gap(ctx: &mut Inspection<'_>, input: &Input, range: Range<u64>) -> Result<(), FormatError> {
    let bytes = input
        .read_vec(range.start, usize::try_from(range.end - range.start).unwrap_or(usize::MAX).min(GAP_READ_MAX))
        .map_err(|source| FormatError::Io { offset: range.start, source })?;
    if bytes.iter().all(|b| *b == 0) {
        return Ok(());
    }
    ctx.find(
        &rules::HIDDEN_BYTES,
        range.start,
        format!("{} bytes between tensors belong to none", range.end - range.start),
    );
    if let Some(content) = input.slice(range.start, range.end - range.start) {
        ctx.child("gap between tensors", &content);
    }
    Ok(())
}

/// What follows the last tensor's padding.
///
/// # Errors
/// [`FormatError::Io`] if the file cannot be read.
pub fn tail(ctx: &mut Inspection<'_>, input: &Input, end: u64, alignment: u64) -> Result<(), FormatError> {
    let padded = end.checked_next_multiple_of(alignment).unwrap_or(end);
    if padded >= input.len() {
        return Ok(());
    }
    let content = input.tail_from(padded);
    let head = content.head(GAP_READ_MAX).map_err(|source| FormatError::Io { offset: padded, source })?;
    let zeros = head.iter().all(|b| *b == 0) && head.len() as u64 == content.len();
    if zeros {
        return Ok(());
    }
    ctx.find(&rules::HIDDEN_BYTES, padded, format!("{} bytes follow the last tensor", content.len()));
    ctx.child("bytes after the last tensor", &content);
    Ok(())
}
