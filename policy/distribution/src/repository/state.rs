//! What a repository holds now. It is ours, but others may have written to it:
//! version numbers count only where a key of ours signed them.

use std::num::NonZeroU64;
use std::path::Path;

use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use tough::schema::{Metafile, Role, Signed, Snapshot, Targets, Timestamp};

use crate::error::{Error, shown};
use crate::files;
use crate::limits::{Limits, VERSION_MAX};
use crate::roots::Chain;

/// Leftovers of interrupted publications that are stepped over.
const LEFTOVERS_MAX: u64 = 1024;

/// Versions to give next.
#[derive(Debug, Clone, Copy)]
pub struct Versions {
    pub timestamp: NonZeroU64,
    pub snapshot: NonZeroU64,
    pub targets: NonZeroU64,
}

/// What `timestamp.json` leads to.
#[derive(Debug)]
pub struct State {
    pub timestamp: Signed<Timestamp>,
    pub snapshot: Signed<Snapshot>,
}

impl State {
    /// None if nothing was published yet.
    pub fn read(metadata: &Path, chain: &Chain) -> Result<Option<Self>, Error> {
        let limits = Limits::default();
        let path = metadata.join("timestamp.json");
        if !path.try_exists().map_err(|e| Error::read(&path, e))? {
            return Ok(None);
        }
        let timestamp: Signed<Timestamp> = vouched(&path, limits.timestamp_bytes, None, chain)?;
        let named = timestamp.signed.meta.get("snapshot.json");
        let named = named.ok_or_else(|| foreign(&path, "it names no snapshot"))?;
        let path = metadata.join(format!("{}.snapshot.json", named.version));
        let snapshot: Signed<Snapshot> = vouched(&path, limits.snapshot_bytes, Some(named), chain)?;
        Ok(Some(Self { timestamp, snapshot }))
    }

    /// How the snapshot names the targets.
    pub fn targets(&self, metadata: &Path) -> Result<&Metafile, Error> {
        let missing = || foreign(&metadata.join("snapshot.json"), "it names no targets");
        self.snapshot.signed.meta.get("targets.json").ok_or_else(missing)
    }
}

impl Versions {
    /// One more than `state` holds, and than what an interrupted publication
    /// left.
    pub fn next(state: Option<&State>, metadata: &Path) -> Result<Self, Error> {
        let timestamp = state.map_or(0, |s| s.timestamp.signed.version.get());
        let snapshot = state.map_or(0, |s| s.snapshot.signed.version.get());
        let targets = state.map(|s| s.targets(metadata)).transpose()?.map_or(0, |m| m.version.get());
        Ok(Self {
            timestamp: step(timestamp, metadata, "timestamp.json", false)?,
            snapshot: step(snapshot, metadata, "snapshot.json", true)?,
            targets: step(targets, metadata, "targets.json", true)?,
        })
    }
}

fn step(version: u64, metadata: &Path, name: &str, versioned: bool) -> Result<NonZeroU64, Error> {
    for next in version.saturating_add(1)..version.saturating_add(LEFTOVERS_MAX) {
        if versioned && metadata.join(format!("{next}.{name}")).exists() {
            continue;
        }
        if next <= VERSION_MAX
            && let Some(next) = NonZeroU64::new(next)
        {
            return Ok(next);
        }
        break;
    }
    let reason = format!(
        "its version {version} leaves no room for a next one; someone threw it forward: rotate the keys of targets, \
         snapshot and timestamp, and publish into an empty folder"
    );
    Err(Error::Repository { path: shown(&metadata.join(name)), reason })
}

/// Reads metadata that some root of the chain vouches for. Keys that have been
/// rotated since are good enough to read a version number by.
fn vouched<T>(path: &Path, max: u64, named: Option<&Metafile>, chain: &Chain) -> Result<Signed<T>, Error>
where
    T: Role + DeserializeOwned,
{
    let (role, _) = read::<T>(path, max, named)?;
    if chain.backwards().any(|root| root.verify_role(&role).is_ok()) {
        return Ok(role);
    }
    Err(foreign(path, "no key of this fleet signed it"))
}

/// Reads metadata, which must be what `named` says.
pub fn read<T: DeserializeOwned>(
    path: &Path,
    max: u64,
    named: Option<&Metafile>,
) -> Result<(Signed<T>, Vec<u8>), Error> {
    let bytes = files::read(path, max).map_err(|e| Error::read(path, e))?;
    if let Some(hashes) = named.and_then(|n| n.hashes.as_ref())
        && Sha256::digest(&bytes).as_slice() != hashes.sha256.as_ref()
    {
        return Err(foreign(path, "it is not what the metadata above it names"));
    }
    let role = serde_json::from_slice(&bytes).map_err(|e| foreign(path, &format!("it cannot be read: {e}")))?;
    Ok((role, bytes))
}

/// The targets that `state` leads to, signed by keys that count now.
pub fn targets(metadata: &Path, state: &State, chain: &Chain) -> Result<(Signed<Targets>, Vec<u8>), Error> {
    let named = state.targets(metadata)?;
    let path = metadata.join(format!("{}.targets.json", named.version));
    let (targets, bytes) = read::<Targets>(&path, Limits::default().targets_bytes, Some(named))?;
    let unsigned = |e| foreign(&path, &format!("{e}; if the targets key was rotated, publish instead of renewing"));
    chain.newest()?.signed.verify_role(&targets).map_err(unsigned)?;
    if targets.signed.version != named.version {
        return Err(foreign(&path, "it holds another version than its name says"));
    }
    Ok((targets, bytes))
}

fn foreign(path: &Path, reason: &str) -> Error {
    let reason = format!("{reason}; if someone else wrote to the repository, publish into an empty folder");
    Error::Repository { path: shown(path), reason }
}
