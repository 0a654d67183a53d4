use std::collections::HashMap;
use std::path::Path;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tough::schema::{Hashes, Metafile};

use super::state::{self, State, Versions};
use super::{current, newest_chain, release, snapshot, timestamp};
use crate::error::{Error, shown};
use crate::files;
use crate::keys::{KeyFolder, Role};

/// What was renewed.
#[derive(Debug)]
pub struct Renewed {
    /// Version of the bundle, as it was.
    pub version: u64,
    /// Until when endpoints accept it.
    pub expires: Timestamp,
    /// Until when it can be renewed without the targets key.
    pub targets_expires: Timestamp,
}

/// Signs a new snapshot and timestamp over the targets that are there.
///
/// Needs the keys of snapshot and timestamp and nothing else; this is what a
/// console may do.
///
/// # Errors
/// Targets that have expired or that the targets key has not signed, missing
/// keys, an expired root.
pub fn renew(keys: KeyFolder, repository: &Path, now: Timestamp) -> Result<Renewed, Error> {
    let metadata = repository.join("metadata");
    let _lock = files::lock(repository)?;
    let (chain, signing) = keys.into_chain();
    let chain = newest_chain(chain, signing.path(), &metadata)?;
    let root = &chain.newest()?.signed;
    current(root, now)?;
    for role in [Role::Snapshot, Role::Timestamp] {
        signing.enough(root, role)?;
    }
    let nothing = || Error::Repository {
        path: shown(&metadata.join("timestamp.json")),
        reason: "it is not there; publish first".to_owned(),
    };
    let state = State::read(&metadata, &chain)?.ok_or_else(nothing)?;
    let (targets, bytes) = state::targets(&metadata, &state, &chain)?;
    if targets.signed.expires <= now {
        let path = format!("{}.targets.json", targets.signed.version);
        let reason = format!("it expired on {}; publish with the targets key", targets.signed.expires);
        return Err(Error::Repository { path, reason });
    }
    let versions = Versions::next(Some(&state), &metadata)?;
    let named = Metafile {
        length: Some(bytes.len() as u64),
        hashes: Some(Hashes { sha256: Sha256::digest(&bytes).to_vec().into(), _extra: HashMap::new() }),
        version: targets.signed.version,
        _extra: HashMap::new(),
    };
    let snapshot = signing.sign(root, Role::Snapshot, snapshot(root, &versions, named, now)?)?;
    let timestamp = signing.sign(root, Role::Timestamp, timestamp(root, &versions, &snapshot, now)?)?;
    release(&metadata, &chain, &snapshot, &timestamp)?;
    Ok(Renewed {
        version: targets.signed.version.get(),
        expires: timestamp.signed().signed.expires,
        targets_expires: targets.signed.expires,
    })
}
