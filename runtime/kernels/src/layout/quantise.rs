//! Quantisation of f32 rows into a layout, by GGML's rules where it has one.
#![expect(clippy::indexing_slicing, reason = "offsets into fixed 16 by 32 blocks, lengths checked on entry")]
#![expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rounded and held to the integer's range")]

use half::f16;

use super::{BLOCK_INPUTS, GROUP_ROWS, Integers, Layout, blocks, pack_group};
use crate::{KernelError, error::length};

/// Quantises up to 16 rows of f32, row-major, into one group.
///
/// - `q4`: as GGML's Q4_0. The value furthest from zero becomes -8 exactly
///   (the scale carries the sign); others to nearest, at most 7.
/// - `q4a`: as Q4_1 with f32 scale and minimum: 16 steps from least to most.
/// - `q8`: as Q8_0: largest magnitude becomes 127, halves away from zero.
/// - `q8h`: the same per 16 inputs with f32 scales.
/// - `f16`: to nearest, halves to even.
///
/// # Errors
/// [`KernelError::Length`] where slices do not fit; [`KernelError::Value`] for
/// weights that are not finite or too large for the layout.
pub fn quantise_group(
    layout: Layout,
    values: &[f32],
    rows: usize,
    inputs: usize,
    out: &mut [u8],
) -> Result<(), KernelError> {
    if rows > GROUP_ROWS {
        return Err(KernelError::Parameter { what: "rows of a group", value: rows, expected: "at most 16" });
    }
    let per_row = blocks(inputs)?;
    let weights = rows.checked_mul(inputs).ok_or(KernelError::TooLarge { rows, inputs })?;
    length("values", values.len(), weights)?;
    length("packed group", out.len(), layout.group_bytes(inputs)?)?;
    if let Some(at) = values.iter().position(|v| !v.is_finite()) {
        let (row, block) = (at / inputs, at % inputs / BLOCK_INPUTS);
        return Err(KernelError::Value { what: "a weight", row, block, layout: layout.name() });
    }
    if layout == Layout::F16 {
        return halves(values, rows, inputs, out);
    }
    let per_scale = layout.inputs_per_scale();
    let parts = BLOCK_INPUTS / per_scale;
    // One block of all rows at a time, so that memory stays small.
    let (mut integers, mut scales, mut minima) = ([0u8; 512], [0f32; 32], [0f32; 16]);
    for (b, block) in out.chunks_exact_mut(layout.block_bytes()).enumerate().take(per_row) {
        for row in 0..rows {
            let source = &values[row * inputs + b * BLOCK_INPUTS..][..BLOCK_INPUTS];
            let target = &mut integers[row * BLOCK_INPUTS..][..BLOCK_INPUTS];
            match layout {
                Layout::Q4 => scales[row] = signed_nibbles(source, target),
                Layout::Q4A => (scales[row], minima[row]) = affine_nibbles(source, target),
                _ => {
                    for (p, (from, to)) in source.chunks(per_scale).zip(target.chunks_mut(per_scale)).enumerate() {
                        scales[row * parts + p] = signed_bytes(from, to);
                    }
                }
            }
        }
        let minima = if layout == Layout::Q4A { &minima[..rows] } else { &[] };
        let source = Integers { values: &integers[..rows * BLOCK_INPUTS], scales: &scales[..rows * parts], minima };
        pack_group(layout, source, rows, BLOCK_INPUTS, block).map_err(|e| at_block(e, b))?;
    }
    Ok(())
}

/// Quantises a whole matrix, group after group.
///
/// # Errors
/// As [`quantise_group`].
pub fn quantise_rows(
    layout: Layout,
    values: &[f32],
    rows: usize,
    inputs: usize,
    out: &mut [u8],
) -> Result<(), KernelError> {
    let weights = rows.checked_mul(inputs).ok_or(KernelError::TooLarge { rows, inputs })?;
    length("values", values.len(), weights)?;
    length("packed weights", out.len(), layout.packed_bytes(rows, inputs)?)?;
    let groups = out.chunks_exact_mut(layout.group_bytes(inputs)?);
    for (group, source) in groups.zip(values.chunks(GROUP_ROWS * inputs)) {
        quantise_group(layout, source, source.len() / inputs, inputs, group)?;
    }
    Ok(())
}

fn at_block(error: KernelError, b: usize) -> KernelError {
    match error {
        KernelError::Value { what, row, layout, .. } => KernelError::Value { what, row, block: b, layout },
        other => other,
    }
}

fn signed_nibbles(source: &[f32], target: &mut [u8]) -> f32 {
    let furthest = source.iter().fold(0f32, |m, &v| if v.abs() > m.abs() { v } else { m });
    let scale = furthest / -8.0;
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    for (to, from) in target.iter_mut().zip(source) {
        *to = ((from * inverse + 8.5) as u8).min(15);
    }
    scale
}

fn affine_nibbles(source: &[f32], target: &mut [u8]) -> (f32, f32) {
    let least = source.iter().copied().fold(f32::INFINITY, f32::min);
    let most = source.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let scale = most / 15.0 - least / 15.0;
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    for (to, from) in target.iter_mut().zip(source) {
        *to = (((from - least) * inverse + 0.5) as u8).min(15);
    }
    (scale, -least)
}

fn signed_bytes(source: &[f32], target: &mut [u8]) -> f32 {
    let scale = source.iter().fold(0f32, |m, v| m.max(v.abs())) / 127.0;
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    for (to, from) in target.iter_mut().zip(source) {
        *to = ((from * inverse).round() as i8) as u8;
    }
    scale
}

fn halves(values: &[f32], rows: usize, inputs: usize, out: &mut [u8]) -> Result<(), KernelError> {
    out.fill(0);
    for (row, source) in values.chunks_exact(inputs).enumerate().take(rows) {
        for (at, &value) in source.iter().enumerate() {
            let half = f16::from_f32(value);
            if !half.is_finite() {
                let block = at / BLOCK_INPUTS;
                return Err(KernelError::Value { what: "a weight", row, block, layout: Layout::F16.name() });
            }
            out[(at * GROUP_ROWS + row) * 2..][..2].copy_from_slice(&half.to_le_bytes());
        }
    }
    Ok(())
}
