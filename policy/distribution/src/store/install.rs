//! From a verified download to a bundle in force.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use sha2::{Digest, Sha256};

use super::pointer::Pointer;
use super::update::Contents;
use crate::error::Error;
use crate::files;

const PREFIX: &str = "incoming-";

/// A folder for one update; gone when it is over.
#[derive(Debug)]
pub struct Incoming {
    path: PathBuf,
}

impl Incoming {
    pub fn new(state: &Path) -> Result<Self, Error> {
        let incoming = Self { path: state.join(format!("{PREFIX}{}", files::mark())) };
        for folder in [incoming.path.clone(), incoming.trust(), incoming.files()] {
            std::fs::create_dir(&folder).map_err(|e| Error::write(&folder, e))?;
        }
        Ok(incoming)
    }

    /// The copy of the trusted metadata.
    pub fn trust(&self) -> PathBuf {
        self.path.join("trust")
    }

    /// The bundle.
    pub fn files(&self) -> PathBuf {
        self.path.join("files")
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // What stays is taken away by the next update.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// Takes away what interrupted updates left. The lock of the store must be held.
pub fn clean(state: &Path) -> Result<(), Error> {
    for folder in [state.to_path_buf(), state.join("trust")] {
        for entry in std::fs::read_dir(&folder).map_err(|e| Error::read(&folder, e))? {
            let path = entry.map_err(|e| Error::read(&folder, e))?.path();
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            let removed = if name.starts_with(PREFIX) {
                std::fs::remove_dir_all(&path)
            } else if name.starts_with('.') && name.contains(".json.") {
                std::fs::remove_file(&path)
            } else {
                Ok(())
            };
            removed.map_err(|e| Error::write(&path, e))?;
        }
    }
    Ok(())
}

/// Whether `folder` holds these files and nothing else.
pub fn holds(folder: &Path, contents: &Contents) -> bool {
    let Ok(found) = files::tree(folder, contents.len() as u64) else { return false };
    found.len() == contents.len()
        && found.iter().all(|path| {
            let target = path.to_str().and_then(|name| contents.get(name));
            target.is_some_and(|target| {
                files::read(&folder.join(path), target.length)
                    .is_ok_and(|bytes| Sha256::digest(&bytes).as_slice() == target.hashes.sha256.as_ref())
            })
        })
}

/// Moves the files to where the bundle belongs. What may be there is the same
/// bundle from an update that ended before it was in force, or one that was
/// damaged since, or another that had this version before a recovery.
pub fn put(incoming: &Path, to: &Path, contents: &Contents) -> Result<(), Error> {
    let failed = |e: io::Error| Error::write(to, e);
    if to.symlink_metadata().is_err() {
        std::fs::rename(incoming, to).map_err(failed)?;
    } else if !holds(to, contents) {
        match renameat_with(CWD, incoming, CWD, to, RenameFlags::EXCHANGE) {
            Ok(()) => {}
            // Some file systems cannot exchange.
            Err(_) => {
                let aside = incoming.with_file_name("old");
                std::fs::rename(to, &aside).and_then(|()| std::fs::rename(incoming, to)).map_err(failed)?;
            }
        }
    }
    files::sync_folder(to.parent().unwrap_or(Path::new("."))).map_err(failed)
}

/// Removes bundles that `pointer` does not keep.
pub fn prune(bundles: &Path, pointer: &Pointer) -> Result<(), Error> {
    for entry in std::fs::read_dir(bundles).map_err(|e| Error::read(bundles, e))? {
        let entry = entry.map_err(|e| Error::read(bundles, e))?;
        let version = entry.file_name().to_str().and_then(|n| n.parse::<u64>().ok());
        if version.is_some_and(|version| !pointer.keeps(version)) {
            std::fs::remove_dir_all(entry.path()).map_err(|e| Error::write(&entry.path(), e))?;
        }
    }
    Ok(())
}
