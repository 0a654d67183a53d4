//! From open files to approved, sealed memory.

mod cover;
mod error;
mod fill;
mod memory;

use std::fs::File;

use weighbridge_inference_wire::{Part, PartRole};
use weighbridge_types::Sha256;

pub use cover::check;
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

/// A file of a model, and how long it is.
#[derive(Debug)]
pub struct Measured {
    /// As it is told to workers.
    pub part: Part,
    /// See [`PartSource::file`].
    pub file: File,
    /// See [`PartSource::sha256`].
    pub sha256: Sha256,
}

/// Looks how long `parts` are. Those that weigh something come last: what is
/// needed to begin is sealed before them.
///
/// # Errors
/// If there are too many or too few, or a length cannot be had.
pub fn measure(parts: Vec<PartSource>) -> Result<Vec<Measured>, LoadError> {
    if parts.is_empty() || parts.len() > PARTS_MAX {
        return Err(LoadError::Parts { count: parts.len(), most: PARTS_MAX });
    }
    let measured = parts.into_iter().map(|PartSource { role, name, file, sha256 }| match file.metadata() {
        Ok(metadata) => Ok(Measured { part: Part { role, name, size_bytes: metadata.len() }, file, sha256 }),
        Err(source) => Err(LoadError::Read { part: name, source }),
    });
    let mut measured = measured.collect::<Result<Vec<_>, _>>()?;
    measured.sort_by_key(|measured| is_weighty(&measured.part));
    Ok(measured)
}

/// Whether weights are in it.
pub fn is_weighty(part: &Part) -> bool {
    matches!(part.role, PartRole::Graph | PartRole::Data)
}

/// Copies `parts` into sealed memory.
///
/// # Errors
/// [`LoadError`] names the part.
pub fn seal(parts: Vec<Measured>) -> Result<Vec<SealedPart>, LoadError> {
    parts.into_iter().map(fill::seal).collect()
}
