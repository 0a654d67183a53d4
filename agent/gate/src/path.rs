//! Paths in JSON: text where they are text, a list of bytes where not.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Shown {
    Text(String),
    Bytes(Vec<u8>),
}

impl From<&Path> for Shown {
    fn from(path: &Path) -> Self {
        match path.to_str() {
            Some(text) => Self::Text(text.to_owned()),
            None => Self::Bytes(path.as_os_str().as_bytes().to_vec()),
        }
    }
}

impl From<Shown> for PathBuf {
    fn from(shown: Shown) -> Self {
        match shown {
            Shown::Text(text) => Self::from(text),
            Shown::Bytes(bytes) => Self::from(OsString::from_vec(bytes)),
        }
    }
}

pub fn serialize<S: Serializer>(path: impl AsRef<OsStr>, to: S) -> Result<S::Ok, S::Error> {
    Shown::from(Path::new(path.as_ref())).serialize(to)
}

pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
    Shown::deserialize(from).map(PathBuf::from)
}

/// The same for lists.
pub mod list {
    use super::*;

    pub fn serialize<S: Serializer>(paths: &[PathBuf], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(paths.iter().map(|p| Shown::from(p.as_path())))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<PathBuf>, D::Error> {
        Ok(Vec::<Shown>::deserialize(from)?.into_iter().map(PathBuf::from).collect())
    }
}
