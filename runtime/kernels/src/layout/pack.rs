//! Packing of weights that are integers with scales already.
#![expect(clippy::indexing_slicing, reason = "offsets into fixed 16 by 32 blocks, lengths checked on entry")]

use half::f16;

use super::{BLOCK_INPUTS, GROUP_ROWS, Layout, blocks};
use crate::{KernelError, error::length};

/// Rows of quantised weights, row-major.
#[derive(Debug, Clone, Copy)]
pub struct Integers<'a> {
    /// One byte per weight. `q4`: weight + 8 (0 to 15); `q4a`: 0 to 15;
    /// `q8` and `q8h`: the bits of an `i8`.
    pub values: &'a [u8],
    /// One per 32 weights, per 16 for `q8h`. `q4` and `q8` keep them as f16:
    /// exact where they come from one, else rounded to nearest.
    pub scales: &'a [f32],
    /// `q4a` only, one per 32 weights: what is subtracted. Empty otherwise.
    pub minima: &'a [f32],
}

impl<'a> Integers<'a> {
    /// The rows `from..to` alone.
    fn slice(&self, layout: Layout, inputs: usize, from: usize, to: usize) -> Self {
        let scales = inputs / layout.inputs_per_scale();
        let minima = if layout == Layout::Q4A { scales } else { 0 };
        let part = |all: &'a [u8], each: usize| &all[from * each..to * each];
        let floats = |all: &'a [f32], each: usize| &all[from * each..to * each];
        Self {
            values: part(self.values, inputs),
            scales: floats(self.scales, scales),
            minima: floats(self.minima, minima),
        }
    }

    fn check(&self, layout: Layout, rows: usize, inputs: usize) -> Result<(), KernelError> {
        if layout == Layout::F16 {
            return Err(KernelError::UnknownLayout("f16 of integers".to_owned()));
        }
        blocks(inputs)?;
        let weights = rows.checked_mul(inputs).ok_or(KernelError::TooLarge { rows, inputs })?;
        let scales = weights / layout.inputs_per_scale();
        length("values", self.values.len(), weights)?;
        length("scales", self.scales.len(), scales)?;
        length("minima", self.minima.len(), if layout == Layout::Q4A { scales } else { 0 })
    }
}

/// Packs up to 16 rows into one group of [`Layout::group_bytes`] bytes.
/// Groups do not depend on each other, so threads may share a tensor's groups
/// (`out.chunks_exact_mut(group_bytes)`); of a gate and up pair, gates go to
/// the even groups and ups to the odd ones.
///
/// # Errors
/// [`KernelError::Length`] where slices do not fit `rows` and `inputs`;
/// [`KernelError::Value`] for a nibble above 15 or a scale that is not finite.
pub fn pack_group(
    layout: Layout,
    source: Integers<'_>,
    rows: usize,
    inputs: usize,
    out: &mut [u8],
) -> Result<(), KernelError> {
    if rows > GROUP_ROWS {
        return Err(KernelError::Parameter { what: "rows of a group", value: rows, expected: "at most 16" });
    }
    source.check(layout, rows, inputs)?;
    length("packed group", out.len(), layout.group_bytes(inputs)?)?;
    for (b, block) in out.chunks_exact_mut(layout.block_bytes()).enumerate() {
        let weights = |row: usize| &source.values[row * inputs + b * BLOCK_INPUTS..][..BLOCK_INPUTS];
        match layout {
            Layout::Q4 | Layout::Q4A => nibbles(block, rows, layout, b, weights)?,
            _ => bytes(block, rows, weights),
        }
        scales(block, source, layout, rows, inputs / BLOCK_INPUTS, b)?;
    }
    Ok(())
}

/// Packs a whole matrix, group after group.
///
/// # Errors
/// As [`pack_group`].
pub fn pack_rows(
    layout: Layout,
    source: Integers<'_>,
    rows: usize,
    inputs: usize,
    out: &mut [u8],
) -> Result<(), KernelError> {
    source.check(layout, rows, inputs)?;
    length("packed weights", out.len(), layout.packed_bytes(rows, inputs)?)?;
    for (g, group) in out.chunks_exact_mut(layout.group_bytes(inputs)?).enumerate() {
        let (from, to) = (g * GROUP_ROWS, rows.min((g + 1) * GROUP_ROWS));
        pack_group(layout, source.slice(layout, inputs, from, to), to - from, inputs, group)?;
    }
    Ok(())
}

/// Four bytes as one word, for all four lanes at once.
fn word(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |b| u32::from_le_bytes(*b))
}

fn nibbles<'a>(
    block: &mut [u8],
    rows: usize,
    layout: Layout,
    b: usize,
    weights: impl Fn(usize) -> &'a [u8],
) -> Result<(), KernelError> {
    let nought = if layout == Layout::Q4 { 0x8888_8888 } else { 0u32 };
    for row in 0..GROUP_ROWS {
        let mut high_bits = 0;
        for c in 0..4 {
            let both = if row < rows {
                let eight = &weights(row)[8 * c..8 * c + 8];
                let (low, high) = (word(eight), word(&eight[4..]));
                high_bits |= (low | high) & 0xf0f0_f0f0;
                low | high << 4
            } else {
                nought
            };
            block[c * 64 + row * 4..][..4].copy_from_slice(&both.to_le_bytes());
        }
        if high_bits != 0 {
            return Err(KernelError::Value { what: "a 4-bit weight", row, block: b, layout: layout.name() });
        }
    }
    Ok(())
}

fn bytes<'a>(block: &mut [u8], rows: usize, weights: impl Fn(usize) -> &'a [u8]) {
    for row in 0..GROUP_ROWS {
        for c in 0..8 {
            let four = if row < rows { word(&weights(row)[4 * c..]) } else { 0 };
            block[c * 64 + row * 4..][..4].copy_from_slice(&(four ^ 0x8080_8080).to_le_bytes());
        }
    }
}

fn scales(
    block: &mut [u8],
    source: Integers<'_>,
    layout: Layout,
    rows: usize,
    blocks: usize,
    b: usize,
) -> Result<(), KernelError> {
    let value = |all: &[f32], row: usize, index: usize, what| match row < rows {
        false => Ok(0.0),
        true if all[index].is_finite() => Ok(all[index]),
        true => Err(KernelError::Value { what, row, block: b, layout: layout.name() }),
    };
    for row in 0..GROUP_ROWS {
        let mut put = |at: usize, value: f32| block[at..][..4].copy_from_slice(&value.to_le_bytes());
        match layout {
            Layout::Q4A => {
                put(256 + row * 4, value(source.scales, row, row * blocks + b, "a scale")?);
                put(320 + row * 4, value(source.minima, row, row * blocks + b, "a minimum")?);
            }
            Layout::Q8H => {
                put(512 + row * 4, value(source.scales, row, (row * blocks + b) * 2, "a scale")?);
                put(576 + row * 4, value(source.scales, row, (row * blocks + b) * 2 + 1, "a scale")?);
            }
            Layout::Q4 | Layout::Q8 | Layout::F16 => {
                let at = layout.block_bytes() - 32 + row * 2;
                let scale = f16::from_f32(value(source.scales, row, row * blocks + b, "a scale")?);
                if !scale.is_finite() {
                    return Err(KernelError::Value { what: "a scale", row, block: b, layout: layout.name() });
                }
                block[at..][..2].copy_from_slice(&scale.to_le_bytes());
            }
        }
    }
    Ok(())
}
