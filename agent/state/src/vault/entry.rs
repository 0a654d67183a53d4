//! What is written down of a file in the vault.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use weighbridge_types::{Sha256, Shown};

use super::VaultError;
use crate::hex;

/// Longest text and detail of a reason, and longest list of further paths, bytes.
pub(super) const REASON_BYTES_MAX: usize = 256 << 10;

/// A file in the vault: what it was, why it is here, how to bring it back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Form of this document: 1.
    pub version: u32,
    /// Its name in the vault.
    pub id: EntryId,
    /// How far it came.
    pub phase: Phase,
    /// When it was taken.
    #[serde(with = "as_text")]
    pub taken_at: Timestamp,
    /// Where it was, links on the way resolved.
    pub path: RawPath,
    /// Where it was, as it was asked for.
    pub given: RawPath,
    /// Why it was taken.
    pub reason: Reason,
    /// Moved or copied.
    pub method: Method,
    /// Device it was on.
    pub dev: u64,
    /// Inode it was.
    pub ino: u64,
    /// Change time when it was taken, which nobody can bring back.
    pub ctime: Time,
    /// Length, bytes.
    pub size: u64,
    /// Digest of the bytes; none as long as it is not complete, and for files
    /// larger than [`super::DIGEST_BYTES_MAX`].
    pub sha256: Option<Sha256>,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permissions, setuid and the like included.
    pub mode: u32,
    /// Last access.
    pub atime: Time,
    /// Last modification.
    pub mtime: Time,
    /// Extended attributes, access control lists among them.
    pub xattrs: Vec<Xattr>,
    /// Extended attributes that were too large or could not be read.
    pub xattrs_left_out: u32,
    /// Names that the file had, this one included. More than one means that the
    /// bytes are still reachable at the others.
    pub links: u64,
    /// In words, where something remains to be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Where it is going, in [`Phase::Restoring`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restoring: Option<Restoring>,
}

/// Why a file is taken.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// For people.
    pub text: String,
    /// `@id` of the policies that asked for it.
    #[serde(default)]
    pub policies: Vec<String>,
    /// Other paths at which the same file is known to be.
    #[serde(default)]
    pub also_at: Vec<RawPath>,
    /// The decision, the findings: whatever helps to judge it later.
    #[serde(default)]
    pub detail: serde_json::Value,
}

/// How far an entry came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Written down; the file may be in place, or moved and not yet read.
    Planned,
    /// The copy is complete and checked; the original may be in place.
    Copied,
    /// In the vault and nowhere else.
    Held,
    /// On its way back.
    Restoring,
    /// Being deleted.
    Purging,
}

/// How a file came into the vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// By one rename.
    Moved,
    /// Copied, compared and unlinked.
    Copied,
}

/// Where an entry is going.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restoring {
    /// The place.
    pub to: RawPath,
    /// Device of the file that will be there.
    pub dev: u64,
    /// Its inode; 0 as long as it is not known.
    pub ino: u64,
}

/// A moment as files have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Time {
    /// Seconds since 1970.
    pub s: i64,
    /// Nanoseconds.
    pub ns: i64,
}

/// One extended attribute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Xattr {
    /// `user.origin`, `system.posix_acl_access`, …
    pub name: RawBytes,
    /// As the kernel gave it.
    pub value: RawBytes,
}

/// Bytes, base64 in JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawBytes(pub Vec<u8>);

impl Serialize for RawBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for RawBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        STANDARD.decode(String::deserialize(deserializer)?).map(Self).map_err(D::Error::custom)
    }
}

/// A path, byte for byte, with a form for people beside it in JSON.
#[derive(Clone, PartialEq, Eq)]
pub struct RawPath(pub PathBuf);

impl RawPath {
    pub(super) fn len(&self) -> usize {
        self.0.as_os_str().len()
    }
}

impl fmt::Display for RawPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Shown(&self.0.to_string_lossy()).fmt(f)
    }
}

impl fmt::Debug for RawPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<&Path> for RawPath {
    fn from(path: &Path) -> Self {
        Self(path.to_owned())
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BothForms {
    shown: String,
    bytes: RawBytes,
}

impl Serialize for RawPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes = RawBytes(self.0.as_os_str().as_bytes().to_vec());
        BothForms { shown: self.to_string(), bytes }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RawPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let forms = BothForms::deserialize(deserializer)?;
        Ok(Self(PathBuf::from(OsString::from_vec(forms.bytes.0))))
    }
}

/// Name of an entry: when it was taken, and eight random digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(String);

impl EntryId {
    pub(super) fn draw(now: Timestamp) -> Result<Self, VaultError> {
        let mut random = [0; 4];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| VaultError::Random)?;
        Ok(Self(format!("{}-{}", now.strftime("%Y%m%dT%H%M%SZ"), hex::encode(&random))))
    }
}

impl FromStr for EntryId {
    type Err = VaultError;

    /// Takes nothing that could be more than a name.
    fn from_str(text: &str) -> Result<Self, VaultError> {
        let plain = (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if plain { Ok(Self(text.to_owned())) } else { Err(VaultError::NoEntry { id: Shown(text).to_string() }) }
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for EntryId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for EntryId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

mod as_text {
    use super::{Deserialize, Deserializer, Error, Serializer, Timestamp};

    pub(super) fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(at)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
