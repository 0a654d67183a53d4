//! A fingerprint of norm tensors that survives requantisation.
//!
//! Converters keep the scales and biases of norm layers as F32 whatever they
//! do to the matrices, and adapters that are merged in leave them alone. So
//! the digest of names and values tells what a file likely derives from. It
//! is a relation, never trust: whoever makes a file chooses its norms.
//!
//! Digests of the tensors are added, so that order and shards do not matter.

mod names;
mod sum;
#[cfg(test)]
mod tests;
mod values;

use std::ops::Range;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::codec::tensors::Element;
use crate::core::{FormatError, Input, Inspection};
pub use names::canonical;
pub use sum::Sum;

/// Bytes of norm tensors read in one file, as F32: the norms of 80 layers of
/// width 8192 take 5 MiB.
const BYTES_MAX: u64 = 8 << 20;
/// Most norm tensors of one file.
const TENSORS_MAX: u64 = 65_536;
/// Bytes of one step of work.
const WORK_BYTES: u64 = 64;

/// One pass over the norm tensors of a file.
#[derive(Default)]
pub struct Norms {
    big_endian: bool,
    sum: Sum,
    /// The sum with one added to every scale, as some converters store them.
    shifted: Sum,
    tensors: u64,
    /// Tensors whose values are not all the same.
    varied: u64,
    bytes: u64,
    /// Why the sum would be wrong.
    incomplete: Option<&'static str>,
}

impl Norms {
    /// A pass over tensors of the given byte order.
    #[must_use]
    pub fn new(big_endian: bool) -> Self {
        Self { big_endian, ..Self::default() }
    }

    /// Takes one tensor of one dimension into the sum if its name says that
    /// it is a norm's; its bytes are `range` of `input`.
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
        name: &str,
    ) -> Result<(), FormatError> {
        if self.incomplete.is_some() {
            return Ok(());
        }
        let Some(canonical) = canonical(name) else { return Ok(()) };
        let Some(width) = values::width(element) else {
            self.incomplete = Some("a norm tensor is quantised");
            return Ok(());
        };
        let len = range.end.saturating_sub(range.start);
        self.bytes = self.bytes.saturating_add(len / width * 4);
        self.tensors += 1;
        if self.bytes > BYTES_MAX || self.tensors > TENSORS_MAX {
            self.incomplete = Some("there are more of them than are read");
            return Ok(());
        }
        ctx.work(1 + len / WORK_BYTES)?;
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let bytes =
            input.read_vec(range.start, len).map_err(|source| FormatError::Io { offset: range.start, source })?;
        if bytes.len() != len {
            self.incomplete = Some("a norm tensor is cut off");
            return Ok(());
        }
        let values = values::exact(&bytes, element, self.big_endian);
        if values.windows(2).any(|pair| matches!(pair, [a, b] if a.to_bits() != b.to_bits())) {
            self.varied += 1;
        }
        // Only scales are shifted by converters, never biases.
        let shift = if canonical.ends_with(".weight") { 1.0 } else { 0.0 };
        self.sum.add(&digest(&canonical, values.iter().copied()));
        self.shifted.add(&digest(&canonical, values.iter().map(|v| v + shift)));
        Ok(())
    }

    /// Records the fact `norms`: what the models made of files are told apart
    /// by. Nothing is recorded of a file without norm tensors.
    pub fn report(&self, ctx: &mut Inspection<'_>) {
        let mut fact = Map::new();
        if let Some(why) = self.incomplete {
            fact.insert("incomplete".to_owned(), why.into());
        } else if self.tensors > 0 {
            fact.insert("sum".to_owned(), self.sum.to_string().into());
            fact.insert("sum_shifted".to_owned(), self.shifted.to_string().into());
            fact.insert("tensors".to_owned(), self.tensors.into());
            fact.insert("varied".to_owned(), self.varied.into());
        } else {
            return;
        }
        ctx.fact("norms", Value::Object(fact));
    }
}

/// SHA-256 over the name, a zero byte, and the values as F32, low byte first.
fn digest(name: &str, values: impl Iterator<Item = f32>) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(name);
    hasher.update([0]);
    let mut block = Vec::with_capacity(4096);
    for value in values {
        block.extend(value.to_le_bytes());
        if block.len() >= 4096 {
            hasher.update(&block);
            block.clear();
        }
    }
    hasher.update(&block);
    hasher.finalize().into()
}
