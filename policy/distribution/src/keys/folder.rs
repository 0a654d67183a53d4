use std::path::{Path, PathBuf};

use aws_lc_rs::rand::SystemRandom;
use tough::editor::signed::SignedRole;
use tough::key_source::KeySource;
use tough::schema::{KeyHolder, Root};

use super::key::PrivateKey;
use crate::error::{Error, shown};
use crate::files;
use crate::roots::{Chain, Role, short_id};
use crate::runtime::block_on;

/// Longest private key in PEM form.
const KEY_BYTES_MAX: u64 = 16 << 10;
/// Most keys in a folder.
const KEYS_MAX: usize = 256;
/// The chain of roots.
const ROOT_FOLDER: &str = "root";
/// Keys that no longer count.
const RETIRED_FOLDER: &str = "retired";

/// A folder with private keys (`*.pem`) and, where it came from a ceremony, the
/// chain of roots (`root/`). A role may hold a part of it only.
#[derive(Debug)]
pub struct KeyFolder {
    path: PathBuf,
    keys: Vec<(PathBuf, PrivateKey)>,
    chain: Option<Chain>,
}

impl KeyFolder {
    /// Reads the keys in `path`.
    ///
    /// # Errors
    /// A file that cannot be read, or is no key; a broken chain of roots.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        let mut keys = Vec::new();
        for entry in std::fs::read_dir(&path).map_err(|e| Error::read(&path, e))? {
            let file = entry.map_err(|e| Error::read(&path, e))?.path();
            if file.extension().is_none_or(|e| e != "pem") {
                continue;
            }
            if keys.len() == KEYS_MAX {
                return Err(Error::Numbers("a folder of keys holds at most 256"));
            }
            // Mounted secrets are links, and whoever names the folder vouches for it.
            let real = std::fs::canonicalize(&file).map_err(|e| Error::read(&file, e))?;
            let text = files::read(&real, KEY_BYTES_MAX).map_err(|e| Error::read(&file, e))?;
            let key = PrivateKey::from_pem(&text).ok_or_else(|| Error::NotAKey { path: shown(&file) })?;
            keys.push((file, key));
        }
        keys.sort_by(|(a, _), (b, _)| a.cmp(b));
        let chain = Chain::read(&path.join(ROOT_FOLDER))?;
        Ok(Self { path, keys, chain })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn root_folder(&self) -> PathBuf {
        self.path.join(ROOT_FOLDER)
    }

    pub(crate) fn retired_folder(&self) -> PathBuf {
        self.path.join(RETIRED_FOLDER)
    }

    /// The chain of roots, if it is here.
    pub(crate) fn into_chain(self) -> (Option<Chain>, Signing) {
        (self.chain, Signing { path: self.path, keys: self.keys.into_iter().map(|(_, key)| key).collect() })
    }

    pub(crate) fn chain(&self) -> Result<&Chain, Error> {
        let missing =
            || Error::Roots { folder: shown(&self.root_folder()), reason: "there is no `1.root.json`".to_owned() };
        self.chain.as_ref().ok_or_else(missing)
    }

    pub(crate) fn file_of(&self, id: &[u8]) -> Option<&Path> {
        self.keys.iter().find(|(_, key)| key.id().as_ref() == id).map(|(path, _)| path.as_path())
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &PrivateKey> {
        self.keys.iter().map(|(_, key)| key)
    }
}

/// Keys that sign.
pub struct Signing {
    path: PathBuf,
    keys: Vec<PrivateKey>,
}

impl Signing {
    /// Signs `content` as `root` asks for its role.
    pub fn sign<T>(&self, root: &Root, role: Role, content: T) -> Result<SignedRole<T>, Error>
    where
        T: tough::schema::Role + serde::Serialize + Send,
    {
        self.enough(root, role)?;
        let sources: Vec<_> = self.keys.iter().map(PrivateKey::source).collect();
        signed(root, content, &sources)
    }

    /// Where the keys came from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there are enough keys of `role` here.
    pub fn enough(&self, root: &Root, role: Role) -> Result<(), Error> {
        enough(root, role, self.keys.iter(), &self.path)
    }
}

/// Signs `content` with those of `keys` that `root` lists for its role.
pub fn signed<T>(root: &Root, content: T, keys: &[Box<dyn KeySource>]) -> Result<SignedRole<T>, Error>
where
    T: tough::schema::Role + serde::Serialize + Send,
{
    let (holder, rng) = (KeyHolder::Root(root.clone()), SystemRandom::new());
    block_on(async { SignedRole::new(content, &holder, keys, &rng).await })?.map_err(|e| Error::Sign(e.to_string()))
}

/// Whether `keys` has enough of what `root` lists for `role`.
pub fn enough<'a>(
    root: &Root,
    role: Role,
    keys: impl Iterator<Item = &'a PrivateKey>,
    folder: &Path,
) -> Result<(), Error> {
    let Some(wanted) = root.roles.get(&role.tough()) else {
        return Err(Error::Roots { folder: shown(folder), reason: format!("the root has no role {}", role.name()) });
    };
    let found = keys.filter(|key| wanted.keyids.contains(key.id())).count();
    if found as u64 >= wanted.threshold.get() {
        return Ok(());
    }
    Err(Error::TooFewKeys {
        role: role.name(),
        needed: wanted.threshold.get(),
        found,
        keys: wanted.keyids.iter().map(short_id).collect::<Vec<_>>().join(", "),
        folder: shown(folder),
    })
}
