use std::collections::HashMap;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tough::TargetName;
use tough::schema::{Hashes, Target};

use crate::error::{Error, shown};
use crate::limits::Limits;
use crate::{files, name, transport};

/// Files of a bundle, by name.
pub fn list(folder: &Path, limits: &Limits) -> Result<Vec<(String, PathBuf)>, Error> {
    let mut found = Vec::new();
    for path in files::tree(folder, limits.targets)? {
        let refused = |reason: &str| Error::Unpublishable { path: shown(&path), reason: reason.to_owned() };
        let name = path.to_str().ok_or_else(|| refused("the name is not UTF-8; rename it"))?;
        if let Some(fault) = name::fault(name) {
            return Err(refused(&format!("{fault}; rename it")));
        }
        found.push((name.to_owned(), folder.join(&path)));
    }
    let refused = |reason: String| Error::Unpublishable { path: shown(folder), reason };
    if found.is_empty() {
        return Err(refused("there is no file in it".to_owned()));
    }
    if found.len() as u64 > limits.targets {
        return Err(refused(format!("it holds {} files, and endpoints take {}", found.len(), limits.targets)));
    }
    Ok(found)
}

/// Copies the files of a bundle to where readers look for them, and describes
/// the bytes that were copied.
pub fn copy(
    bundle: &[(String, PathBuf)],
    folder: &Path,
    limits: &Limits,
) -> Result<(HashMap<TargetName, Target>, u64), Error> {
    let mut targets = HashMap::new();
    let mut total = 0_u64;
    for (name, path) in bundle {
        let bytes = files::read(path, limits.target_bytes).map_err(|e| Error::read(path, e))?;
        let length = bytes.len() as u64;
        total = total.saturating_add(length);
        if total > limits.bundle_bytes {
            let reason =
                format!("with it, the bundle is longer than the {} bytes that endpoints take", limits.bundle_bytes);
            return Err(Error::Unpublishable { path: shown(path), reason });
        }
        let digest = Sha256::digest(&bytes);
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let to = folder.join(transport::on_disk(&hex, name));
        if let Some(parent) = to.parent() {
            std::fs::create_dir_all(parent).map_err(|e| Error::write(parent, e))?;
        }
        files::replace(&to, &bytes).map_err(|e| Error::write(&to, e))?;
        let hashes = Hashes { sha256: digest.to_vec().into(), _extra: HashMap::new() };
        let target = Target { length, hashes, custom: HashMap::new(), _extra: HashMap::new() };
        let refused = |e: tough::error::Error| Error::Unpublishable { path: shown(path), reason: e.to_string() };
        targets.insert(TargetName::new(name.as_str()).map_err(refused)?, target);
    }
    Ok((targets, total))
}
