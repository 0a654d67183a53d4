//! Where tensors lie: sorted, without holes or overlap, up to the end of the
//! file.

use crate::core::{FormatError, Input, Inspection};
use crate::formats::safetensors::header::Header;
use crate::formats::safetensors::{LENGTH_BYTES, rules};

/// Findings of one kind that are kept.
const REPEATS_MAX: usize = 8;

/// Checks the tensors, sorted by offset, against the data that starts at
/// `start`, and returns where the data ends.
///
/// # Errors
/// [`FormatError::Truncated`] if tensor bytes are not all there.
pub fn check(ctx: &mut Inspection<'_>, input: &Input, start: u64, header: &Header) -> Result<u64, FormatError> {
    let there = input.len().saturating_sub(start);
    let mut expected = 0u64;
    let (mut faults, mut gaps, mut beyond) = (0, 0, false);
    for tensor in &header.tensors {
        let (begin, end) = (tensor.begin, tensor.end);
        if faults < REPEATS_MAX {
            let name = || header.name(tensor);
            if end < begin {
                faults += 1;
                ctx.find(
                    &rules::LAYOUT,
                    LENGTH_BYTES,
                    format!("`{}` ends at {end}, before it starts at {begin}", name()),
                );
            } else if tensor.bytes != Some(end - begin) {
                faults += 1;
                let asked = tensor.bytes.map_or_else(|| "no whole number of".to_owned(), |b| b.to_string());
                let detail = format!("`{}` spans {} bytes, its shape and type ask for {asked}", name(), end - begin);
                ctx.find(&rules::SIZE_MISMATCH, LENGTH_BYTES, detail);
            }
            if begin < expected {
                faults += 1;
                ctx.find(
                    &rules::LAYOUT,
                    LENGTH_BYTES,
                    format!("`{}` starts at {begin}, inside another tensor", name()),
                );
            }
        }
        if begin > expected && gaps < REPEATS_MAX {
            gaps += 1;
            hole(ctx, input, start, expected, begin);
        }
        // Packed and beyond the end is a file that broke off.
        if begin > there && begin > expected && !beyond {
            beyond = true;
            let detail = format!("`{}` starts at {begin} of {there} data bytes", header.name(tensor));
            ctx.find(&rules::LAYOUT, LENGTH_BYTES, detail);
        }
        expected = expected.max(end).max(begin);
    }
    if expected > there {
        return Err(FormatError::truncated("tensor data", input.len()));
    }
    let end = start + expected;
    if end < input.len() {
        let rest = input.tail_from(end);
        ctx.find(&rules::TRAILING_BYTES, end, format!("{} bytes follow the last tensor", rest.len()));
        ctx.child("bytes after the last tensor", &rest);
    }
    Ok(end)
}

fn hole(ctx: &mut Inspection<'_>, input: &Input, start: u64, from: u64, to: u64) {
    let at = start.saturating_add(from);
    ctx.find(&rules::LAYOUT, at, format!("{} bytes before data byte {to} belong to no tensor", to - from));
    if let Some(content) = input.slice(at, to - from) {
        ctx.child("hole between tensors", &content);
    }
}
