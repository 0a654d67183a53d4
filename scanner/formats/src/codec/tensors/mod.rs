//! Tensor bytes: programs at their start, archives, text hidden in the low
//! bits, floods of values that are not numbers.
//!
//! The first bytes of each tensor are always looked at; everything else only
//! under `--deep`. Work is bounded per tensor and per file, whatever the size.

pub mod rules;

mod low_bits;
mod magic;
#[cfg(test)]
mod tests;

use std::ops::Range;

use crate::core::{FormatError, Input, Inspection};

/// Tensors whose first bytes are looked at.
const HEADS_MAX: u32 = 4096;
/// Tensors whose bytes are sampled under `--deep`.
const SAMPLED_MAX: u32 = 4096;
/// Bytes of one sample.
const SAMPLE_BYTES: usize = 64 * 1024;
/// Elements below which statistics say nothing.
const ELEMENTS_MIN: usize = 256;
/// Tensors reported per rule.
const REPEATS_MAX: u32 = 8;

/// What the elements of a tensor are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    /// IEEE 754 binary64.
    F64,
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary16.
    F16,
    /// The upper half of a binary32.
    Bf16,
    /// Integers, booleans, quantised blocks: any byte is a value.
    Other,
}

/// One pass over the tensors of a file.
pub struct Survey {
    big_endian: bool,
    heads: u32,
    sampled: u32,
    reported: u32,
}

impl Survey {
    /// A pass over tensors of the given byte order.
    #[must_use]
    pub fn new(big_endian: bool) -> Self {
        Self { big_endian, heads: 0, sampled: 0, reported: 0 }
    }

    /// Looks at one tensor, whose bytes are `range` of `input`.
    ///
    /// # Errors
    /// [`FormatError::Io`] if the bytes cannot be read, [`FormatError::Limit`]
    /// if the work budget is spent.
    pub fn tensor(
        &mut self,
        ctx: &mut Inspection<'_>,
        input: &Input,
        range: Range<u64>,
        element: Element,
        name: &dyn Fn() -> String,
    ) -> Result<(), FormatError> {
        let Some(content) = range.end.checked_sub(range.start).and_then(|len| input.slice(range.start, len)) else {
            return Ok(());
        };
        ctx.work(1)?;
        if self.heads < HEADS_MAX && self.reported < REPEATS_MAX {
            self.heads += 1;
            self.head(ctx, &content, range.start, name)?;
        }
        if ctx.options().deep && self.sampled < SAMPLED_MAX && self.reported < REPEATS_MAX {
            self.sampled += 1;
            self.sample(ctx, &content, range.start, element, name)?;
        }
        Ok(())
    }

    fn head(
        &mut self,
        ctx: &mut Inspection<'_>,
        content: &Input,
        at: u64,
        name: &dyn Fn() -> String,
    ) -> Result<(), FormatError> {
        let head = read(content, 0, magic::HEAD_BYTES)?;
        if let Some(kind) = magic::program(&head, content) {
            self.reported += 1;
            ctx.find(&rules::PROGRAM, at, format!("the bytes of tensor `{}` are {kind}", name()));
        }
        Ok(())
    }

    fn sample(
        &mut self,
        ctx: &mut Inspection<'_>,
        content: &Input,
        at: u64,
        element: Element,
        name: &dyn Fn() -> String,
    ) -> Result<(), FormatError> {
        let first = read(content, 0, SAMPLE_BYTES)?;
        ctx.work(first.len() as u64 / 64)?;
        if let Some(kind) = magic::archive(&first, content.len()) {
            self.reported += 1;
            let name = name();
            ctx.find(&rules::ARCHIVE, at, format!("the bytes of tensor `{name}` are {kind}"));
            ctx.child(&name, content);
        }
        if element == Element::F32
            && let Some(evidence) = low_bits::hidden(&first, self.big_endian)
        {
            self.reported += 1;
            ctx.find(&rules::HIDDEN_TEXT, at, format!("tensor `{}`: {evidence}", name()));
        }
        let middle = read(content, content.len() / 2 / 8 * 8, SAMPLE_BYTES)?;
        if not_numbers(&first, element, self.big_endian) && not_numbers(&middle, element, self.big_endian) {
            self.reported += 1;
            ctx.find(&rules::NOT_FINITE, at, format!("most sampled values of tensor `{}` are NaN", name()));
        }
        Ok(())
    }
}

fn read(content: &Input, offset: u64, max: usize) -> Result<Vec<u8>, FormatError> {
    content.read_vec(offset, max).map_err(|source| FormatError::Io { offset, source })
}

/// Whether more than half of the values are NaN. Infinities are honest: masks
/// are full of them.
fn not_numbers(bytes: &[u8], element: Element, big_endian: bool) -> bool {
    // Exponent and mantissa masks of the upper 16 bits; the rest of the
    // mantissa must be looked at as well.
    let (width, exponent, mantissa) = match element {
        Element::F64 => (8, 0x7ff0u16, 0x000f),
        Element::F32 | Element::Bf16 => (if element == Element::F32 { 4 } else { 2 }, 0x7f80, 0x007f),
        Element::F16 => (2, 0x7c00, 0x03ff),
        Element::Other => return false,
    };
    let values = bytes.chunks_exact(width);
    let total = values.len();
    let nan = values
        .filter(|value| {
            let (upper, lower) = if big_endian {
                (value.first_chunk(), value.get(2..))
            } else {
                (value.last_chunk(), value.get(..width - 2))
            };
            let Some(upper) = upper.copied() else { return false };
            let upper = if big_endian { u16::from_be_bytes(upper) } else { u16::from_le_bytes(upper) };
            let rest = lower.is_some_and(|bytes| bytes.iter().any(|b| *b != 0));
            upper & exponent == exponent && (upper & mantissa != 0 || rest)
        })
        .count();
    total >= ELEMENTS_MIN && nan > total / 2
}
