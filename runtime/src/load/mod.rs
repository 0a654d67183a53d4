//! From open files to approved, sealed memory.

mod cover;
mod error;
mod fill;
mod memory;

use std::fs::File;

use weighbridge_inference_wire::{Part, PartRole};
use weighbridge_policy::Approved;
use weighbridge_types::Sha256;

pub use error::LoadError;
pub use memory::{Need, available, resident};

/// Most parts of one model: what fits beside one message.
const PARTS_MAX: usize = weighbridge_platform::frames::HANDLES_MAX;

/// A file of a model, open.
#[derive(Debug)]
pub struct PartSource {
    /// What it is.
    pub role: PartRole,
    /// Name by which other parts, and the manifest, speak of it.
    pub name: String,
    /// The handle that was scanned, or another of the same file: its content
    /// decides.
    pub file: File,
    /// What the caller takes it for; compared with the content.
    pub sha256: Sha256,
}

/// A part in sealed memory.
#[derive(Debug)]
pub struct SealedPart {
    /// As it is told to workers.
    pub part: Part,
    /// The memory.
    pub memory: File,
    /// Digest of what is in it.
    pub sha256: Sha256,
}

/// Sum of the lengths of all `parts`.
///
/// # Errors
/// If there are too many or too few, or a length cannot be had.
pub fn size(parts: &[PartSource]) -> Result<u64, LoadError> {
    if parts.is_empty() || parts.len() > PARTS_MAX {
        return Err(LoadError::Parts { count: parts.len(), most: PARTS_MAX });
    }
    parts.iter().try_fold(0_u64, |sum, part| {
        let size = part.file.metadata().map_err(|source| LoadError::Read { part: part.name.clone(), source })?.len();
        Ok(sum.saturating_add(size))
    })
}

/// Copies `parts` into sealed memory and holds each against what `approved`
/// covers. `manifest` is the digest that an import had when it was made.
///
/// # Errors
/// [`LoadError`] names the part.
pub fn seal(
    parts: Vec<PartSource>,
    approved: &Approved,
    manifest: Option<&Sha256>,
) -> Result<Vec<SealedPart>, LoadError> {
    let sealed = parts.into_iter().map(fill::seal).collect::<Result<Vec<_>, _>>()?;
    cover::check(&sealed, approved, manifest)?;
    Ok(sealed)
}
