//! The repository: `metadata/` and `targets/`, consistent snapshots.

mod bundle;
mod publish;
mod renew;
mod state;

pub use publish::{Published, publish};
pub use renew::{Renewed, renew};

use std::collections::HashMap;
use std::path::Path;

use jiff::Timestamp;
use tough::editor::signed::SignedRole;
use tough::schema::{Hashes, Metafile, Role as _, Root, Snapshot, Timestamp as TimestampRole};

use crate::error::{Error, shown};
use crate::files;
use crate::keys::{Role, Validity};
use crate::roots::Chain;
use state::Versions;

/// Writes the files that make a repository current, in the order that keeps
/// readers whole: what is named before what names it, `timestamp.json` last.
fn release(
    metadata: &Path,
    chain: &Chain,
    snapshot: &SignedRole<Snapshot>,
    timestamp: &SignedRole<TimestampRole>,
) -> Result<(), Error> {
    write(metadata, &snapshot.signed().signed.filename(true), snapshot.buffer())?;
    for (name, bytes) in chain.files() {
        if !metadata.join(&name).exists() {
            write(metadata, &name, bytes)?;
        }
    }
    write(metadata, "timestamp.json", timestamp.buffer())
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), Error> {
    let path = folder.join(name);
    files::replace(&path, bytes).map_err(|e| Error::write(&path, e))
}

/// A snapshot of `targets`, to be signed.
fn snapshot(root: &Root, versions: &Versions, targets: Metafile, now: Timestamp) -> Result<Snapshot, Error> {
    let expires = Validity::of(root).expiry(Role::Snapshot, now)?;
    let mut snapshot = Snapshot::new(root.spec_version.clone(), versions.snapshot, expires);
    snapshot.meta.insert("targets.json".to_owned(), targets);
    Ok(snapshot)
}

/// A timestamp of `snapshot`, to be signed.
fn timestamp(
    root: &Root,
    versions: &Versions,
    snapshot: &SignedRole<Snapshot>,
    now: Timestamp,
) -> Result<TimestampRole, Error> {
    let expires = Validity::of(root).expiry(Role::Timestamp, now)?;
    let mut timestamp = TimestampRole::new(root.spec_version.clone(), versions.timestamp, expires);
    timestamp.meta.insert("snapshot.json".to_owned(), metafile(snapshot));
    Ok(timestamp)
}

/// How other metadata names `role`.
fn metafile<T: tough::schema::Role + serde::Serialize>(role: &SignedRole<T>) -> Metafile {
    Metafile {
        length: Some(*role.length()),
        hashes: Some(Hashes { sha256: role.sha256().to_vec().into(), _extra: HashMap::new() }),
        version: role.signed().signed.version(),
        _extra: HashMap::new(),
    }
}

/// The newest root of those with the keys and those in the repository.
fn newest_chain(with_keys: Option<Chain>, key_folder: &Path, metadata: &Path) -> Result<Chain, Error> {
    match (with_keys, Chain::read(metadata)?) {
        (Some(ours), Some(theirs)) => ours.longer(theirs, metadata),
        (Some(chain), None) | (None, Some(chain)) => Ok(chain),
        (None, None) => Err(Error::Roots {
            folder: shown(key_folder),
            reason: "there is no `root/1.root.json` here, nor one in the repository".to_owned(),
        }),
    }
}

/// A root that has expired signs nothing that anyone would accept.
fn current(root: &Root, now: Timestamp) -> Result<(), Error> {
    if root.expires > now {
        return Ok(());
    }
    let reason = format!("it expired on {}; rotate a key with the root keys at hand", root.expires);
    Err(Error::Repository { path: format!("{}.root.json", root.version), reason })
}
