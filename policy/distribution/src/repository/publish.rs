use std::path::Path;

use jiff::Timestamp;
use tough::schema::{Role as _, Targets};

use super::state::{State, Versions};
use super::{bundle, current, metafile, newest_chain, release, snapshot, timestamp, write};
use crate::error::Error;
use crate::files;
use crate::keys::{KeyFolder, Role, Validity};
use crate::limits::Limits;

/// What was published.
#[derive(Debug)]
pub struct Published {
    /// Version of the bundle.
    pub version: u64,
    /// Files in it.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Until when endpoints accept it; renewing shifts it.
    pub expires: Timestamp,
    /// Until when the bundle can be renewed without the targets key.
    pub targets_expires: Timestamp,
    /// Until when anything can be published with this root.
    pub root_expires: Timestamp,
}

/// Makes the files of `bundle` the current version in `repository`.
///
/// Needs the keys of targets, snapshot and timestamp. Readers see the version
/// before or this one, never a mixture: `timestamp.json` is replaced last.
///
/// # Errors
/// Files that endpoints would refuse, missing keys, an expired root, a repository
/// that someone else wrote to.
pub fn publish(bundle: &Path, keys: KeyFolder, repository: &Path, now: Timestamp) -> Result<Published, Error> {
    let limits = Limits::default();
    let files = bundle::list(bundle, &limits)?;
    let (metadata, targets) = (repository.join("metadata"), repository.join("targets"));
    for folder in [&metadata, &targets] {
        std::fs::create_dir_all(folder).map_err(|e| Error::write(folder, e))?;
    }
    let _lock = files::lock(repository)?;
    let (chain, signing) = keys.into_chain();
    let chain = newest_chain(chain, signing.path(), &metadata)?;
    let root = &chain.newest()?.signed;
    current(root, now)?;
    for role in [Role::Targets, Role::Snapshot, Role::Timestamp] {
        signing.enough(root, role)?;
    }
    let versions = Versions::next(State::read(&metadata, &chain)?.as_ref(), &metadata)?;

    let (entries, bytes) = bundle::copy(&files, &targets, &limits)?;
    let targets_expires = Validity::of(root).expiry(Role::Targets, now)?;
    let mut role = Targets::new(root.spec_version.clone(), versions.targets, targets_expires);
    role.targets = entries;
    role.delegations = None;
    let role = signing.sign(root, Role::Targets, role)?;
    write(&metadata, &role.signed().signed.filename(true), role.buffer())?;
    let snapshot = signing.sign(root, Role::Snapshot, snapshot(root, &versions, metafile(&role), now)?)?;
    let timestamp = signing.sign(root, Role::Timestamp, timestamp(root, &versions, &snapshot, now)?)?;
    release(&metadata, &chain, &snapshot, &timestamp)?;
    Ok(Published {
        version: versions.targets.get(),
        files: files.len(),
        bytes,
        expires: timestamp.signed().signed.expires,
        targets_expires,
        root_expires: root.expires,
    })
}
