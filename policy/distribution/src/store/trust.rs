//! The newest metadata that was verified. tough keeps it with plain writes,
//! so it works on a copy; what comes back is replaced file by file, by renames.

use std::path::Path;

use tough::schema::{Root, Signed};

use crate::error::{Error, shown};
use crate::{files, roots};

pub const FOLDER: &str = "trust";
pub const ROOT: &str = "root.json";
const TIMESTAMP: &str = "timestamp.json";
const SNAPSHOT: &str = "snapshot.json";
const OTHERS: [&str; 4] = [TIMESTAMP, SNAPSHOT, "targets.json", "latest_known_time.json"];
/// All were verified under narrower limits.
const BYTES_MAX: u64 = 64 << 20;

/// Trusts `root` if nothing is trusted yet.
pub fn first(state: &Path, root: &[u8]) -> Result<bool, Error> {
    let path = state.join(FOLDER).join(ROOT);
    if path.exists() {
        return Ok(false);
    }
    roots::parse(root).map_err(Error::BadRoot)?;
    files::replace(&path, root).map_err(|e| Error::write(&path, e))?;
    Ok(true)
}

/// Copies what is trusted to `copy`, and returns the root.
pub fn check_out(state: &Path, copy: &Path) -> Result<Vec<u8>, Error> {
    let folder = state.join(FOLDER);
    let mut root = None;
    for name in std::iter::once(ROOT).chain(OTHERS) {
        let Some(bytes) = content(&folder.join(name))? else { continue };
        let to = copy.join(name);
        std::fs::write(&to, &bytes).map_err(|e| Error::write(&to, e))?;
        if name == ROOT {
            root = Some(bytes);
        }
    }
    let root = root.ok_or_else(|| Error::NoRoot { path: shown(state) })?;
    let damaged = |reason| Error::State { path: shown(&folder.join(ROOT)), reason };
    roots::parse(&root).map_err(damaged)?;
    Ok(root)
}

/// Takes over what tough left in `copy`: each file was written after it was
/// verified, so also those of an update that failed later count (TUF, 5.3.8, 5.4.4,
/// 5.5.7).
pub fn check_in(state: &Path, copy: &Path) -> Result<(), Error> {
    let folder = state.join(FOLDER);
    // Keys of timestamp or snapshot were rotated: versions count anew (5.3.11).
    for name in [TIMESTAMP, SNAPSHOT] {
        let path = folder.join(name);
        if !copy.join(name).exists() && path.exists() {
            std::fs::remove_file(&path).map_err(|e| Error::write(&path, e))?;
        }
    }
    for name in std::iter::once(ROOT).chain(OTHERS) {
        let from = copy.join(name);
        let Some(bytes) = content(&from)? else { continue };
        let whole = match name {
            ROOT => serde_json::from_slice::<Signed<Root>>(&bytes).is_ok(),
            _ => serde_json::from_slice::<serde_json::Value>(&bytes).is_ok(),
        };
        if !whole {
            return Err(Error::State {
                path: shown(&from),
                reason: "it was cut short; the disk may be full".to_owned(),
            });
        }
        let path = folder.join(name);
        if content(&path)?.as_ref() != Some(&bytes) {
            files::replace(&path, &bytes).map_err(|e| Error::write(&path, e))?;
        }
    }
    Ok(())
}

fn content(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match files::read(path, BYTES_MAX) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::read(path, e)),
    }
}
