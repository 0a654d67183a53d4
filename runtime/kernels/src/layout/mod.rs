//! How weights lie in memory: groups of 16 output rows by blocks of 32 inputs.
//!
//! A group's blocks lie one after the other, groups follow each other, and the
//! last group is filled up with zero weights. Within a block (`r` the row in
//! the group, all numbers little endian):
//!
//! | layout | bytes | content |
//! |---|---|---|
//! | `q4` | 288 | 4 chunks of 64 bytes: bytes `4r..4r+4` of chunk `c` hold inputs `8c..8c+4` of row `r` in the low nibbles, `8c+4..8c+8` in the high ones, as weight + 8; 16 f16 scales |
//! | `q4a` | 384 | nibbles as `q4`, unsigned; 16 f32 scales; 16 f32 minima; weight = scale * nibble - minimum |
//! | `q8` | 544 | 8 chunks of 64 bytes: bytes `4r..4r+4` of chunk `c` hold inputs `4c..4c+4` of row `r` as weight + 128; 16 f16 scales |
//! | `q8h` | 640 | as `q8`; 16 f32 scales of inputs 0..16, then 16 of inputs 16..32 |
//! | `f16` | 1024 | 32 times 16 f16: input by input, row by row |

mod pack;
mod quantise;
mod unpack;

#[cfg(test)]
mod tests;

pub use pack::{Integers, pack_group, pack_rows};
pub use quantise::{quantise_group, quantise_rows};
pub use unpack::unpack_row;

use crate::KernelError;

/// Output rows of one group.
pub const GROUP_ROWS: usize = 16;
/// Inputs of one block.
pub const BLOCK_INPUTS: usize = 32;

/// A packed weight layout; see the module for the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layout {
    /// Symmetric 4-bit, f16 scale per 32 (GGUF Q4_0 exactly).
    Q4,
    /// Affine 4-bit, f32 scale and minimum per 32 (GGUF Q4_K, Q4_1 exactly).
    Q4A,
    /// Symmetric 8-bit, f16 scale per 32 (GGUF Q8_0 exactly).
    Q8,
    /// Symmetric 8-bit, f32 scale per 16 (GGUF Q6_K exactly).
    Q8H,
    /// Half precision.
    F16,
}

impl Layout {
    /// Every layout.
    pub const ALL: [Self; 5] = [Self::Q4, Self::Q4A, Self::Q8, Self::Q8H, Self::F16];

    /// The name in graphs and manifests.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Q4 => "q4",
            Self::Q4A => "q4a",
            Self::Q8 => "q8",
            Self::Q8H => "q8h",
            Self::F16 => "f16",
        }
    }

    /// The layout of that name.
    ///
    /// # Errors
    /// [`KernelError::UnknownLayout`].
    pub fn from_name(name: &str) -> Result<Self, KernelError> {
        let known = Self::ALL.into_iter().find(|l| l.name() == name);
        known.ok_or_else(|| KernelError::UnknownLayout(name.chars().take(64).collect()))
    }

    /// Bytes of one block of 16 rows by 32 inputs.
    #[must_use]
    pub const fn block_bytes(self) -> usize {
        match self {
            Self::Q4 => 288,
            Self::Q4A => 384,
            Self::Q8 => 544,
            Self::Q8H => 640,
            Self::F16 => 1024,
        }
    }

    /// Bytes of one group of 16 rows.
    ///
    /// # Errors
    /// [`KernelError::Inputs`] or [`KernelError::TooLarge`].
    pub fn group_bytes(self, inputs: usize) -> Result<usize, KernelError> {
        let too_large = KernelError::TooLarge { rows: GROUP_ROWS, inputs };
        blocks(inputs)?.checked_mul(self.block_bytes()).ok_or(too_large)
    }

    /// Bytes of a whole packed matrix; rows are padded to a multiple of 16.
    ///
    /// # Errors
    /// [`KernelError::Inputs`] or [`KernelError::TooLarge`].
    pub fn packed_bytes(self, rows: usize, inputs: usize) -> Result<usize, KernelError> {
        let too_large = KernelError::TooLarge { rows, inputs };
        let bytes = self.group_bytes(inputs)?.checked_mul(rows.div_ceil(GROUP_ROWS)).ok_or(too_large.clone())?;
        if isize::try_from(bytes).is_err() { Err(too_large) } else { Ok(bytes) }
    }

    /// Inputs that share one scale; 0 where there is none.
    #[must_use]
    pub const fn inputs_per_scale(self) -> usize {
        match self {
            Self::Q4 | Self::Q4A | Self::Q8 => BLOCK_INPUTS,
            Self::Q8H => BLOCK_INPUTS / 2,
            Self::F16 => 0,
        }
    }
}

/// Blocks of one row.
pub(crate) fn blocks(inputs: usize) -> Result<usize, KernelError> {
    if inputs == 0 || !inputs.is_multiple_of(BLOCK_INPUTS) {
        return Err(KernelError::Inputs(inputs));
    }
    Ok(inputs / BLOCK_INPUTS)
}
