//! Tar archives: v7, POSIX ustar and pax, GNU (POSIX.1-1988, POSIX.1-2001 pax
//! Interchange Format, GNU tar manual, "Basic Tar Format"), read as CPython's
//! `tarfile` reads them, from a file or from a compressed stream.

mod header;
mod pax;
mod walk;

pub use header::{Kind, is_tar};
pub use walk::{Entry, Seekable, Source, Walk};

use crate::core::{FormatError, Input};

/// Most entries listed to recognise formats made of a tar archive.
const LISTED_MAX: usize = 1024;

/// The first entries of a tar archive: enough to tell what kind it is.
#[derive(Debug, Default)]
pub struct Listing {
    /// In the order of the archive.
    pub entries: Vec<Entry>,
}

impl Listing {
    /// Reads the headers of the first few thousand entries, up to where they
    /// break off.
    ///
    /// # Errors
    /// [`FormatError::Malformed`] if there is no entry at all.
    pub fn read(input: &Input) -> Result<Self, FormatError> {
        let mut walk = Walk::new(Seekable::new(input.clone()));
        let mut entries = Vec::new();
        while entries.len() < LISTED_MAX {
            match walk.next_entry() {
                Ok(Some(entry)) => entries.push(entry),
                Err(error) if entries.is_empty() => return Err(error),
                _ => break,
            }
        }
        Ok(Self { entries })
    }

    /// The first entry of this name, with or without a leading `./`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|e| e.name.trim_start_matches("./") == name)
    }

    /// Whether some entry's name ends with `suffix`.
    #[must_use]
    pub fn any_ends_with(&self, suffix: &str) -> bool {
        self.entries.iter().any(|e| e.name.ends_with(suffix))
    }
}

#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;
