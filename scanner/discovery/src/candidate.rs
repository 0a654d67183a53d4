use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A file worth inspecting. The handle is the file; the path is for display.
#[derive(Debug)]
pub struct Candidate {
    /// Open for reading.
    pub handle: File,
    /// Where it was found.
    pub path: PathBuf,
    /// What the file system says of it.
    pub meta: FileMeta,
    /// Other paths of the same file that a user knows it by.
    pub also_at: Vec<PathBuf>,
    /// Why it is inspected.
    pub reason: Reason,
}

/// Why a file is inspected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// Its first bytes or its name speak of a model.
    Found,
    /// The user named it: reported whatever it is.
    Named,
    /// A model names it: reported whatever it is.
    Linked,
    /// It lies beside a model and may be part of it: source, scripts, lists.
    Companion,
}

/// Identity and change marks of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileMeta {
    /// Device.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// Length in bytes.
    pub len: u64,
    /// Modification time, nanoseconds since 1970.
    pub mtime_ns: i128,
    /// Change time, nanoseconds since 1970.
    pub ctime_ns: i128,
    /// Hard links.
    pub links: u64,
}

impl From<&Metadata> for FileMeta {
    fn from(m: &Metadata) -> Self {
        let ns = |s: i64, n: i64| i128::from(s) * 1_000_000_000 + i128::from(n);
        Self {
            dev: m.dev(),
            ino: m.ino(),
            len: m.len(),
            mtime_ns: ns(m.mtime(), m.mtime_nsec()),
            ctime_ns: ns(m.ctime(), m.ctime_nsec()),
            links: m.nlink(),
        }
    }
}

/// Receives what a walk finds, from several threads.
pub trait Sink: Sync {
    /// A regular file was met; `other` if it is not worth inspecting.
    fn seen(&self, other: bool);

    /// Whether this file, unchanged, was assessed before, and, if it was named,
    /// is worth a report. Asked only if [`Self::remembers`]; a file that is known
    /// is not read.
    fn known(&self, _path: &Path, _meta: &FileMeta, _reason: Reason) -> bool {
        false
    }

    /// Whether [`Self::known`] can ever say yes.
    fn remembers(&self) -> bool {
        false
    }

    /// Remember that this file is not worth inspecting.
    fn not_a_candidate(&self, _path: &Path, _meta: &FileMeta) {}

    /// A file worth inspecting.
    fn candidate(&self, candidate: Candidate);

    /// Something that could not be looked at, and why.
    fn error(&self, path: &Path, message: String);

    /// Whether to stop.
    fn stopped(&self) -> bool {
        false
    }
}
