use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::{Error, shown};
use crate::files;

const POINTER_BYTES_MAX: u64 = 64 << 10;
const SCHEMA: &str = "weighbridge.policy-current/1";
/// Bundles kept beside the current one.
const PREVIOUS_MAX: usize = 2;

/// Which bundle is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pointer {
    schema: String,
    pub version: u64,
    pub fetched_at: Timestamp,
    /// Newest first. Versions do not tell the order: they go down after a recovery.
    pub previous: Vec<u64>,
}

impl Pointer {
    pub fn path(state: &Path) -> PathBuf {
        state.join("current.json")
    }

    pub fn read(state: &Path) -> Result<Option<Self>, Error> {
        let path = Self::path(state);
        let damaged = |reason: String| Error::State { path: shown(&path), reason };
        let bytes = match files::read(&path, POINTER_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::read(&path, e)),
        };
        let pointer: Self = serde_json::from_slice(&bytes).map_err(|e| damaged(e.to_string()))?;
        if pointer.schema != SCHEMA {
            return Err(damaged("it was written by another version of weighbridge".to_owned()));
        }
        Ok(Some(pointer))
    }

    /// The pointer to `version`, after `before`.
    pub fn to(version: u64, before: Option<&Self>, fetched_at: Timestamp) -> Self {
        let older = before.into_iter().flat_map(|b| std::iter::once(b.version).chain(b.previous.iter().copied()));
        let mut previous: Vec<u64> = Vec::new();
        for older in older.filter(|v| *v != version) {
            if previous.len() < PREVIOUS_MAX && !previous.contains(&older) {
                previous.push(older);
            }
        }
        Self { schema: SCHEMA.to_owned(), version, fetched_at, previous }
    }

    pub fn write(&self, state: &Path) -> Result<(), Error> {
        let path = Self::path(state);
        let bytes = serde_json::to_vec(self).map_err(|e| Error::write(&path, e.into()))?;
        files::replace(&path, &bytes).map_err(|e| Error::write(&path, e))
    }

    pub fn keeps(&self, version: u64) -> bool {
        version == self.version || self.previous.contains(&version)
    }
}
