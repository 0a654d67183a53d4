use std::io;
use std::path::Path;

use crate::StateError;
use crate::error::shown;

/// Something that the vault did not do. Unless it says otherwise, the file is
/// where it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// The folder of the vault cannot be used.
    #[error("cannot use the folder of the vault")]
    Folder {
        /// Why.
        source: Box<StateError>,
    },
    /// A file could not be used.
    #[error("cannot {action} `{path}`")]
    Io {
        /// `open`, `move`, `copy`, …
        action: &'static str,
        /// The file, escaped.
        path: String,
        /// The system's reason.
        source: io::Error,
    },
    /// Another process is changing the vault.
    #[error("another process is changing the vault `{path}`; try again")]
    InUse {
        /// The vault.
        path: String,
    },
    /// Another thread works on the entry, or on all of them.
    #[error("`{id}` is being worked on; try again when that is done")]
    Busy {
        /// The entry, or `recovery`.
        id: String,
    },
    /// Not a file that can be taken.
    #[error("`{path}` is {what}; only regular files are taken")]
    Kind {
        /// The path.
        path: String,
        /// What it is instead.
        what: &'static str,
    },
    /// A path that is not absolute, or names no file.
    #[error("`{path}` is not the absolute path of a file")]
    NotAPath {
        /// The path.
        path: String,
    },
    /// The path names another file by now.
    #[error("`{path}` no longer names the file that was looked at; scan it again")]
    Replaced {
        /// The path.
        path: String,
    },
    /// The file was written while it was copied.
    #[error("`{path}` was written while it was copied; stop the writer, or try again")]
    Changed {
        /// The path.
        path: String,
    },
    /// The copy is not what was read.
    #[error("the copy of `{path}` differs from what was read; check the disk")]
    CopyDiffers {
        /// The path.
        path: String,
    },
    /// The place cannot be written.
    #[error("`{path}` is on a read-only filesystem, nothing there can be taken or put; refuse it by policy")]
    ReadOnly {
        /// The path.
        path: String,
    },
    /// The vault is full.
    #[error(
        "the vault holds {used} of {max} bytes, and the file needs {needed}; \
         purge entries that nobody needs, or raise the limit"
    )]
    Full {
        /// Bytes on disk that the file needs.
        needed: u64,
        /// Bytes on disk in the vault.
        used: u64,
        /// Bytes it may have.
        max: u64,
    },
    /// Too large to copy and check.
    #[error("`{path}` has {bytes} bytes, and at most {max} are copied; refuse it by policy")]
    TooLarge {
        /// The path.
        path: String,
        /// Its length.
        bytes: u64,
        /// The limit.
        max: u64,
    },
    /// The entry would be too long.
    #[error("the entry for `{path}` has {bytes} bytes, and at most {max} are kept; shorten the reason")]
    TooLong {
        /// The path.
        path: String,
        /// Its length.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// The file is out of reach already, and the entry not complete.
    #[error("`{path}` is in the vault as {id}, and its entry is not complete; recovery or the next start completes it")]
    Begun {
        /// The path.
        path: String,
        /// The entry.
        id: String,
        /// What failed.
        source: Box<Self>,
    },
    /// No such entry.
    #[error("there is no entry `{id}` in the vault")]
    NoEntry {
        /// What was asked for.
        id: String,
    },
    /// The entry is in the middle of something.
    #[error("the entry `{id}` is not complete; recovery or the next start finishes or undoes it")]
    Unfinished {
        /// The entry.
        id: String,
    },
    /// An entry that cannot be read.
    #[error("the entry `{id}` cannot be read: {why}; its bytes are untouched in the vault")]
    Unreadable {
        /// The entry.
        id: String,
        /// What is wrong.
        why: String,
    },
    /// The bytes are not those that were taken.
    #[error("the bytes of `{id}` are not those that were taken (sha256 {found}, was {taken}); they are not restored")]
    Digest {
        /// The entry.
        id: String,
        /// Digest when it was taken.
        taken: String,
        /// Digest now.
        found: String,
    },
    /// Something is where the file should go.
    #[error("`{path}` exists, and nothing is overwritten; move it away, or restore to another path")]
    Exists {
        /// The place.
        path: String,
    },
    /// The folder to restore into is not there, or behind a link.
    #[error("the folder of `{path}` is not there, or behind a symbolic link; make it, or restore to another path")]
    NoFolder {
        /// The place.
        path: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The system gave no random bytes.
    #[error("the system gave no random bytes")]
    Random,
}

impl VaultError {
    pub(super) fn io(action: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        let source = source.into();
        if source.kind() == io::ErrorKind::ReadOnlyFilesystem {
            return Self::ReadOnly { path: shown(path) };
        }
        Self::Io { action, path: shown(path), source }
    }
}
