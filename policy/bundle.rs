//! Bundles: what endpoints need of a repository, with a list of digests. The
//! list tells what was altered; who made it is for the signatures of the
//! distribution to say.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Component, Path};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256 as Sha2};
use weighbridge_types::Sha256;

use crate::repository::Repository;

/// Name of the list.
pub(crate) const LIST: &str = "bundle.json";
/// Name and version of its schema.
const SCHEMA: &str = "weighbridge.policy-bundle/1";
/// Folders and files that endpoints need, and how the files end.
pub(crate) const PARTS: &[(&str, &[&str])] = &[
    ("policies", &["cedar"]),
    ("data", &["yaml"]),
    ("fleet", &["yaml"]),
    ("rules", &["yar", "yara"]),
    ("advisories", &["json"]),
    ("trust", &["toml", "pem", "pub", "json"]),
];
/// Largest file in a bundle, bytes.
pub(crate) const FILE_BYTES_MAX: u64 = 64 << 20;

/// `bundle.json`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct List {
    pub schema: String,
    pub created: Timestamp,
    /// Release that checked it.
    pub tool: String,
    pub files: BTreeMap<String, Sha256>,
}

/// Copies what endpoints need of `repository` to `out`, which must be empty or
/// not there, and returns the number of files.
///
/// # Errors
/// Whatever the system reports; [`io::ErrorKind::AlreadyExists`] if `out` is
/// not empty.
pub fn bundle(repository: &Repository, out: &Path, now: Timestamp) -> io::Result<usize> {
    fs::create_dir_all(out)?;
    if fs::read_dir(out)?.next().is_some() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "it is not empty; nothing was written"));
    }
    let mut files = BTreeMap::new();
    for name in repository.parts()? {
        let bytes = fs::read(repository.folder().join(&name))?;
        let target = out.join(&name);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(target, &bytes)?;
        files.insert(name, Sha256::new(Sha2::digest(&bytes).into()));
    }
    let count = files.len();
    let list = List { schema: SCHEMA.to_owned(), created: now, tool: env!("CARGO_PKG_VERSION").to_owned(), files };
    fs::write(out.join(LIST), serde_json::to_vec_pretty(&list)?)?;
    Ok(count)
}

/// What differs between the list and the files in `folder`, of which `names`
/// are there.
pub(crate) fn differences(folder: &Path, text: &str, names: &[String]) -> Vec<(String, String)> {
    let list: List = match serde_json::from_str(text) {
        Ok(list) => list,
        Err(e) => return vec![(LIST.to_owned(), format!("is no list of a bundle: {e}"))],
    };
    if list.schema != SCHEMA {
        return vec![(LIST.to_owned(), format!("has the schema `{}`, not `{SCHEMA}`", list.schema))];
    }
    let mut out = Vec::new();
    for (name, digest) in &list.files {
        let inside = Path::new(name).components().all(|c| matches!(c, Component::Normal(_)));
        let path = folder.join(name);
        let meta = fs::symlink_metadata(&path).ok().filter(|m| inside && m.is_file() && m.len() <= FILE_BYTES_MAX);
        let found = meta.and_then(|_| fs::read(&path).ok()).map(|bytes| Sha256::new(Sha2::digest(&bytes).into()));
        match found {
            None => out.push((name.clone(), "is listed in bundle.json and missing".to_owned())),
            Some(found) if found != *digest => {
                out.push((name.clone(), format!("was altered after it was bundled: SHA-256 is {found}, not {digest}")));
            }
            Some(_) => {}
        }
    }
    let added = names.iter().filter(|name| !list.files.contains_key(*name));
    out.extend(added.map(|name| (name.clone(), "is not in bundle.json; it was added after bundling".to_owned())));
    out
}
