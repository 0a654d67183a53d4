use std::num::NonZeroU64;
use std::path::PathBuf;

use jiff::Timestamp;
use tough::schema::decoded::{Decoded, Hex};
use tough::schema::{RoleKeys, Root};

use super::folder::{KeyFolder, enough, signed};
use super::init::write_key;
use super::key::{KeyType, PrivateKey};
use crate::error::{Error, shown};
use crate::files;
use crate::limits::Limits;
use crate::roots::{self, Role, Validity, hex_id, short_id};

/// Which key to replace.
#[derive(Debug, Clone, Default)]
pub struct Rotation {
    /// Id of the key to retire, or its first digits; otherwise the oldest of the
    /// role.
    pub retire: Option<String>,
    /// Kind of the new key.
    pub key_type: KeyType,
    /// New days for some roles.
    pub days: Vec<(Role, u32)>,
}

/// What was changed.
#[derive(Debug)]
pub struct Rotated {
    /// The new private key.
    pub key: PathBuf,
    /// Where the old one went, if it was here.
    pub retired: Option<PathBuf>,
    /// Short id of the old one.
    pub retired_id: String,
    /// The new root.
    pub root: PathBuf,
    /// Its version.
    pub version: u64,
    /// When it expires.
    pub expires: Timestamp,
}

/// Replaces one key of `role` and writes the next version of the root, signed by
/// enough keys of the version before and of its own (TUF specification, 6.1).
///
/// # Errors
/// [`Error::TooFewKeys`] if root keys are missing; [`Error::NoSuchKey`].
pub fn rotate(folder: &KeyFolder, role: Role, rotation: &Rotation, now: Timestamp) -> Result<Rotated, Error> {
    let old = &folder.chain()?.newest()?.signed;
    let key = PrivateKey::generate(rotation.key_type)?;
    let mut new = old.clone();
    new.version = old.version.get().checked_add(1).and_then(NonZeroU64::new).unwrap_or(old.version);
    if new.version.get() > Limits::default().root_updates {
        return Err(Error::Numbers("the chain of roots is as long as endpoints follow; begin a new fleet"));
    }
    let mut validity = Validity::of(old);
    for (role, days) in &rotation.days {
        validity.set(*role, *days)?;
    }
    validity.write(&mut new._extra);
    new.expires = validity.expiry(Role::Root, now)?;
    let retired = replace(&mut new, role, rotation.retire.as_deref(), &key)?;

    let keys: Vec<_> = folder.keys().chain([&key]).collect();
    for root in [old, &new] {
        enough(root, Role::Root, keys.iter().copied(), folder.path())?;
    }
    let sources: Vec<_> = keys.iter().map(|key| key.source()).collect();
    let by_old = signed(old, new.clone(), &sources)?.signed().signatures.clone();
    let text =
        signed(&new, new.clone(), &sources)?.add_old_signatures(by_old).map_err(|e| Error::Sign(e.to_string()))?;
    let read = roots::parse(text.buffer()).map_err(Error::BadRoot)?;
    old.verify_role(&read).map_err(|e| Error::BadRoot(e.to_string()))?;

    let written = write_key(folder.path(), role, &key)?;
    let path = folder.root_folder().join(roots::file_name(new.version.get()));
    if let Err(e) = files::create(&path, text.buffer(), 0o644) {
        // A key that no root knows of would only confuse.
        let _ = std::fs::remove_file(&written);
        return Err(Error::write(&path, e));
    }
    Ok(Rotated {
        key: written,
        retired: put_away(folder, &retired)?,
        retired_id: short_id(&retired),
        root: path,
        version: new.version.get(),
        expires: new.expires,
    })
}

/// Puts `key` in the place of the one to retire, which it returns.
fn replace(root: &mut Root, role: Role, retire: Option<&str>, key: &PrivateKey) -> Result<Decoded<Hex>, Error> {
    let Some(RoleKeys { keyids, .. }) = root.roles.get_mut(&role.tough()) else {
        return Err(Error::BadRoot(format!("it has no role {}", role.name())));
    };
    let named = |id: &&Decoded<Hex>| retire.is_none_or(|digits| !digits.is_empty() && hex_id(id).starts_with(digits));
    let mut matching = keyids.iter().filter(named).cloned();
    let (first, more) = (matching.next(), retire.is_some() && matching.next().is_some());
    let Some(retired) = first.filter(|_| !more) else {
        return Err(Error::NoSuchKey {
            wanted: retire.unwrap_or_default().to_owned(),
            role: role.name(),
            keys: keyids.iter().map(short_id).collect::<Vec<_>>().join(", "),
        });
    };
    // New keys go last, so that the first is the oldest.
    keyids.retain(|id| *id != retired);
    keyids.push(key.id().clone());
    if !root.roles.values().any(|role| role.keyids.contains(&retired)) {
        root.keys.remove(&retired);
    }
    root.keys.insert(key.id().clone(), key.public().clone());
    Ok(retired)
}

/// Moves a key that no longer counts out of the way; whoever keeps it decides
/// when to destroy it.
fn put_away(folder: &KeyFolder, id: &Decoded<Hex>) -> Result<Option<PathBuf>, Error> {
    let Some(file) = folder.file_of(id) else { return Ok(None) };
    let retired = folder.retired_folder();
    std::fs::create_dir_all(&retired).map_err(|e| Error::write(&retired, e))?;
    let to = retired.join(file.file_name().unwrap_or_default());
    if to.exists() {
        return Err(Error::KeysExist { path: shown(&to) });
    }
    std::fs::rename(file, &to).map_err(|e| Error::write(&to, e))?;
    Ok(Some(to))
}
