//! Compiled Python (`.pyc`): magic number, header, marshalled code
//! (CPython, Lib/importlib/_bootstrap_external.py).

use super::rules;
use crate::codec::marshal;
use crate::core::{FormatError, Input, Inspection};

/// Longest marshalled code read, bytes.
const CODE_BYTES_MAX: usize = 16 << 20;
/// Where code starts: 3.7 and later, 3.3 to 3.6, before.
const CODE_OFFSETS: [usize; 3] = [16, 12, 8];

/// A magic number in a known range, CR LF, and a code object after a header of
/// a known length.
pub(super) fn starts_here(head: &[u8]) -> bool {
    let Some(&[low, high, b'\r', b'\n']) = head.first_chunk::<4>() else { return false };
    let magic = u16::from_le_bytes([low, high]);
    matches!(magic, 3000..=3999 | 20000..=29999 | 50000..=62999) && code_offset(head).is_some()
}

/// TYPE_CODE, with or without the reference flag.
fn code_offset(head: &[u8]) -> Option<usize> {
    CODE_OFFSETS.into_iter().find(|at| head.get(*at).is_some_and(|b| b & 0x7f == b'c'))
}

pub(super) fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let bytes = input.head(CODE_BYTES_MAX).map_err(|source| FormatError::Io { offset: 0, source })?;
    if input.len() > CODE_BYTES_MAX as u64 {
        ctx.stopped(&FormatError::limit("python_code_bytes_max", CODE_BYTES_MAX as u64));
    }
    // The interpreter's own cache names its version: module.cpython-311.pyc.
    let cached = ctx.name().as_str().contains(".cpython-") || ctx.member().is_some_and(|m| m.contains("__pycache__/"));
    if !cached {
        ctx.find(&rules::SOURCELESS, 0, "compiled code outside the interpreter's cache");
    }
    let offset = code_offset(&bytes).unwrap_or_default();
    marshal::inspect_module(ctx, bytes.get(offset..).unwrap_or_default(), "compiled code");
    Ok(())
}
