//! One packed row back to f32.
#![expect(clippy::indexing_slicing, reason = "offsets into fixed 16 by 32 blocks, lengths checked on entry")]

use half::f16;

use super::{BLOCK_INPUTS, GROUP_ROWS, Layout};
use crate::{KernelError, error::length};

/// Writes row `row` of a packed matrix as f32: integer times scale, rounded
/// once (`q4a`: a fused multiply and subtract, rounded once).
///
/// # Errors
/// [`KernelError::Length`] where `out` is not one row or `packed` not whole
/// groups, [`KernelError::Index`] for a row beyond them.
pub fn unpack_row(
    layout: Layout,
    packed: &[u8],
    row: usize,
    inputs: usize,
    out: &mut [f32],
) -> Result<(), KernelError> {
    length("row", out.len(), inputs)?;
    let group_bytes = layout.group_bytes(inputs)?;
    let groups = packed.len() / group_bytes;
    length("packed weights", packed.len(), groups * group_bytes)?;
    if row / GROUP_ROWS >= groups {
        let index = i64::try_from(row).unwrap_or(i64::MAX);
        return Err(KernelError::Index { what: "row", index, count: groups * GROUP_ROWS });
    }
    let group = &packed[row / GROUP_ROWS * group_bytes..][..group_bytes];
    let r = row % GROUP_ROWS;
    for (block, out) in group.chunks_exact(layout.block_bytes()).zip(out.chunks_exact_mut(BLOCK_INPUTS)) {
        match layout {
            Layout::Q4 => {
                let scale = half(block, 256 + r * 2);
                each_nibble(block, r, out, |n| (f32::from(n) - 8.0) * scale);
            }
            Layout::Q4A => {
                let (scale, minimum) = (float(block, 256 + r * 4), float(block, 320 + r * 4));
                each_nibble(block, r, out, |n| f32::from(n).mul_add(scale, -minimum));
            }
            Layout::Q8 => {
                let scale = half(block, 512 + r * 2);
                each_byte(block, r, out, |_, v| v * scale);
            }
            Layout::Q8H => {
                let scales = [float(block, 512 + r * 4), float(block, 576 + r * 4)];
                each_byte(block, r, out, |i, v| v * scales[i / 16]);
            }
            Layout::F16 => {
                for (i, out) in out.iter_mut().enumerate() {
                    *out = half(block, (i * GROUP_ROWS + r) * 2);
                }
            }
        }
    }
    Ok(())
}

fn half(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

fn float(block: &[u8], at: usize) -> f32 {
    f32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]])
}

fn each_nibble(block: &[u8], r: usize, out: &mut [f32], value: impl Fn(u8) -> f32) {
    for c in 0..4 {
        for j in 0..4 {
            let both = block[c * 64 + r * 4 + j];
            out[8 * c + j] = value(both & 15);
            out[8 * c + 4 + j] = value(both >> 4);
        }
    }
}

fn each_byte(block: &[u8], r: usize, out: &mut [f32], value: impl Fn(usize, f32) -> f32) {
    for c in 0..8 {
        for j in 0..4 {
            out[4 * c + j] = value(4 * c + j, f32::from(block[c * 64 + r * 4 + j]) - 128.0);
        }
    }
}
