use std::collections::HashMap;
use std::fs::DirBuilder;
use std::num::NonZeroU64;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use tough::schema::{RoleKeys, Root};

use super::folder::{enough, signed};
use super::key::{KeyType, PrivateKey};
use crate::error::{Error, shown};
use crate::files;
use crate::roots::{self, Role, Validity, short_id};

/// The version of the specification that roots name; tough speaks 1.0.
pub(crate) const SPEC_VERSION: &str = "1.0.0";
/// Most keys of the role root.
const ROOT_KEYS_MAX: u32 = 16;

/// What keys to make.
#[derive(Debug, Clone, Copy)]
pub struct NewKeys {
    /// Keys of the role root.
    pub root_keys: u32,
    /// How many of them must sign a new root.
    pub root_threshold: u32,
    /// Kind of all keys.
    pub key_type: KeyType,
    /// How long signatures hold.
    pub validity: Validity,
}

impl Default for NewKeys {
    fn default() -> Self {
        Self { root_keys: 2, root_threshold: 1, key_type: KeyType::default(), validity: Validity::default() }
    }
}

/// What was made.
#[derive(Debug)]
pub struct Made {
    /// The private keys, with their roles.
    pub keys: Vec<(Role, PathBuf)>,
    /// The first root, public.
    pub root: PathBuf,
    /// When it expires.
    pub expires: Timestamp,
}

/// Makes the keys of a fleet and its first root in `folder`. Nothing is
/// overwritten.
///
/// # Errors
/// [`Error::KeysExist`] if there are keys or roots; [`Error::Numbers`].
pub fn init(folder: &Path, new: &NewKeys, now: Timestamp) -> Result<Made, Error> {
    if new.root_threshold == 0 || new.root_threshold > new.root_keys || new.root_keys > ROOT_KEYS_MAX {
        return Err(Error::Numbers("a root needs 1 to 16 keys, and a threshold between 1 and their number"));
    }
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|e| Error::write(folder, e))?;
    unused(folder)?;
    let mut keys = Vec::new();
    for role in Role::ALL {
        let count = if role == Role::Root { new.root_keys } else { 1 };
        for _ in 0..count {
            keys.push((role, PrivateKey::generate(new.key_type)?));
        }
    }
    let expires = new.validity.expiry(Role::Root, now)?;
    let root = first_root(&keys, new, expires);
    enough(&root, Role::Root, keys.iter().map(|(_, key)| key), folder)?;
    let sources: Vec<_> = keys.iter().map(|(_, key)| key.source()).collect();
    let text = signed(&root, root.clone(), &sources)?;
    roots::parse(text.buffer()).map_err(Error::BadRoot)?;

    let mut written = Vec::new();
    match write(folder, &keys, text.buffer(), &mut written) {
        Ok((keys, root)) => Ok(Made { keys, root, expires }),
        Err(e) => {
            // Half a set of keys is of no use, and would be in the way.
            for path in written {
                let _ = std::fs::remove_file(path);
            }
            Err(e)
        }
    }
}

fn unused(folder: &Path) -> Result<(), Error> {
    for entry in std::fs::read_dir(folder).map_err(|e| Error::read(folder, e))? {
        let path = entry.map_err(|e| Error::read(folder, e))?.path();
        if path.file_name().is_some_and(|n| n == "root") || path.extension().is_some_and(|e| e == "pem") {
            return Err(Error::KeysExist { path: shown(&path) });
        }
    }
    Ok(())
}

fn first_root(keys: &[(Role, PrivateKey)], new: &NewKeys, expires: Timestamp) -> Root {
    let roles = Role::ALL.map(|role| {
        let threshold = if role == Role::Root { u64::from(new.root_threshold) } else { 1 };
        let role_keys = RoleKeys {
            keyids: keys.iter().filter(|(r, _)| *r == role).map(|(_, key)| key.id().clone()).collect(),
            threshold: NonZeroU64::new(threshold).unwrap_or(NonZeroU64::MIN),
            _extra: HashMap::new(),
        };
        (role.tough(), role_keys)
    });
    let mut extra = HashMap::new();
    new.validity.write(&mut extra);
    Root {
        spec_version: SPEC_VERSION.to_owned(),
        consistent_snapshot: true,
        version: NonZeroU64::MIN,
        expires,
        keys: keys.iter().map(|(_, key)| (key.id().clone(), key.public().clone())).collect(),
        roles: roles.into_iter().collect(),
        _extra: extra,
    }
}

type Written = (Vec<(Role, PathBuf)>, PathBuf);

fn write(
    folder: &Path,
    keys: &[(Role, PrivateKey)],
    root: &[u8],
    written: &mut Vec<PathBuf>,
) -> Result<Written, Error> {
    let mut paths = Vec::new();
    for (role, key) in keys {
        let path = write_key(folder, *role, key)?;
        written.push(path.clone());
        paths.push((*role, path));
    }
    let roots = folder.join("root");
    std::fs::create_dir(&roots).map_err(|e| Error::write(&roots, e))?;
    let path = roots.join(roots::file_name(1));
    files::create(&path, root, 0o644).map_err(|e| Error::write(&path, e))?;
    for folder in [&roots, folder] {
        files::sync_folder(folder).map_err(|e| Error::write(folder, e))?;
    }
    Ok((paths, path))
}

/// Writes `ROLE-ID.pem`, for the owner's eyes only.
pub(super) fn write_key(folder: &Path, role: Role, key: &PrivateKey) -> Result<PathBuf, Error> {
    let path = folder.join(format!("{}-{}.pem", role.name(), short_id(key.id())));
    match files::create(&path, key.to_pem().as_bytes(), 0o600) {
        Ok(()) => Ok(path),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Err(Error::KeysExist { path: shown(&path) }),
        Err(e) => Err(Error::write(&path, e)),
    }
}
