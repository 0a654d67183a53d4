//! The endpoint's side.

mod install;
mod pointer;
mod refusal;
mod trust;
mod update;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use crate::error::{Error, UpdateError};
use crate::limits::Limits;
use crate::source::Source;
use pointer::Pointer;

/// Installed bundles, and what is trusted, in one folder:
///
/// - `current.json` names the bundle in force; it is replaced by a rename,
/// - `bundles/N/` is version N; the current one and the two before it are kept,
/// - `trust/` holds the newest metadata that was verified,
/// - `incoming-…/` is an update under way, or what is left of one.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
}

/// A bundle that was verified and installed whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// Its version: that of the targets metadata.
    pub version: u64,
    /// The folder with its files.
    pub path: PathBuf,
    /// When it was fetched.
    pub fetched_at: Timestamp,
}

/// An update that went through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Updated {
    /// The bundle in force.
    pub bundle: Bundle,
    /// Whether it was installed just now, or was there.
    pub installed: bool,
    /// Files in it.
    pub files: usize,
    /// When the metadata expires that vouches for it: from then on nobody can tell
    /// whether it is the newest.
    pub expires: Timestamp,
    /// Version of the root that is trusted now.
    pub root: u64,
}

impl Store {
    /// Opens the store in the folder `state`, which is made if need be.
    ///
    /// # Errors
    /// A folder that cannot be made.
    pub fn open(state: impl Into<PathBuf>) -> Result<Self, Error> {
        let store = Self { path: state.into() };
        for folder in [store.path.clone(), store.bundles(), store.trust()] {
            std::fs::create_dir_all(&folder).map_err(|e| Error::write(&folder, e))?;
        }
        Ok(store)
    }

    /// The bundle in force; none if nothing was ever installed.
    ///
    /// # Errors
    /// A store that is damaged. It is not the same as having no policy.
    pub fn current(&self) -> Result<Option<Bundle>, Error> {
        let Some(pointer) = Pointer::read(&self.path)? else { return Ok(None) };
        let path = self.bundle_path(pointer.version);
        if !path.is_dir() {
            return Err(Error::BundleGone { version: pointer.version, path: crate::error::shown(&path) });
        }
        Ok(Some(Bundle { version: pointer.version, path, fetched_at: pointer.fetched_at }))
    }

    /// Whether a root is trusted already.
    #[must_use]
    pub fn has_root(&self) -> bool {
        self.trust().join(trust::ROOT).exists()
    }

    /// Takes `root` as the first that is trusted, unless there is one: from then on
    /// only a chain of signed roots replaces it. Returns whether it was taken.
    ///
    /// # Errors
    /// [`Error::BadRoot`] if it is not signed by enough of its own keys.
    pub fn trust_first(&self, root: &[u8]) -> Result<bool, Error> {
        trust::first(&self.path, root)
    }

    /// Brings this endpoint to what `source` has: verifies, downloads, installs.
    ///
    /// Expiry is judged by the clock of the machine, since tough takes no other.
    ///
    /// # Errors
    /// [`UpdateError::Refused`] for what must not be taken, [`UpdateError::Failed`]
    /// for what could not be done. The bundle in force stays in either case.
    pub fn update(&self, source: Arc<dyn Source>, limits: &Limits) -> Result<Updated, UpdateError> {
        update::update(self, source, limits)
    }

    fn bundles(&self) -> PathBuf {
        self.path.join("bundles")
    }

    fn trust(&self) -> PathBuf {
        self.path.join(trust::FOLDER)
    }

    fn bundle_path(&self, version: u64) -> PathBuf {
        self.bundles().join(version.to_string())
    }

    /// The state folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}
