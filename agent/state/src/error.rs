use std::io;
use std::path::Path;

use rusqlite::ErrorCode;
use weighbridge_types::Shown;

/// Something that the state of this endpoint could not do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// A file or folder of the state could not be used.
    #[error("cannot {action} `{path}`")]
    File {
        /// `make`, `read`, `write`, `lock`, `move aside`.
        action: &'static str,
        /// The file, escaped.
        path: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The folder belongs to someone else.
    #[error("`{path}` belongs to user {uid}; the state must lie in a folder of its own user")]
    Owner {
        /// The folder.
        path: String,
        /// Its owner.
        uid: u32,
    },
    /// Another process writes it.
    #[error("`{path}` is in use by another process; stop it, or only read")]
    InUse {
        /// The folder.
        path: String,
    },
    /// A later release wrote the database.
    #[error("`{path}` has schema {found}, and this release knows up to {known}; install the newer release again")]
    Newer {
        /// The database.
        path: String,
        /// Its schema.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// Nothing was ever recorded here.
    #[error("there is no state in `{path}`; start the daemon once, or name its state directory")]
    Absent {
        /// The folder.
        path: String,
    },
    /// The disk is full.
    #[error("no space left to {doing}; nothing of it was written, free some space and it goes on")]
    Full {
        /// What was tried.
        doing: &'static str,
        /// SQLite's reason.
        source: rusqlite::Error,
    },
    /// The database is damaged.
    #[error("cannot {doing}: the database is damaged; the next start moves it aside and begins a new one")]
    Damaged {
        /// What was tried.
        doing: &'static str,
        /// SQLite's reason.
        source: rusqlite::Error,
    },
    /// SQLite refused.
    #[error("cannot {doing}")]
    Database {
        /// What was tried.
        doing: &'static str,
        /// SQLite's reason.
        source: rusqlite::Error,
    },
    /// A row holds what this release cannot read.
    #[error("cannot read {what} in the database: {why}")]
    Row {
        /// Of which table.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// A value cannot be written as JSON.
    #[error("cannot write {what} as JSON")]
    Encode {
        /// What.
        what: &'static str,
        /// Why.
        source: serde_json::Error,
    },
    /// A value is longer than the table takes.
    #[error("{what} has {bytes} bytes, and at most {max} are kept; shorten it")]
    TooLong {
        /// What.
        what: &'static str,
        /// Its length.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// A kind that is no kind.
    #[error("`{kind}` is no kind of entry; use lower-case letters, digits, `.`, `-` and `_`, at most {max}")]
    Kind {
        /// What was given, escaped.
        kind: String,
        /// The limit.
        max: usize,
    },
    /// The signing key of the record is gone.
    #[error(
        "`{path}` is missing, and {entries} audit entries are signed with it; \
         bring it back from a backup, or move `state.db` aside to begin a new record"
    )]
    KeyGone {
        /// The key file.
        path: String,
        /// Entries in the record.
        entries: u64,
    },
    /// A key file that is none.
    #[error("`{path}` is no Ed25519 key (PEM); bring it back from a backup")]
    NotAKey {
        /// The file.
        path: String,
    },
    /// Others can read the signing key.
    #[error("`{path}` can be read by others (mode {mode:04o}); `chmod 600` it, and distrust what it signed")]
    KeyExposed {
        /// The file.
        path: String,
        /// Its mode.
        mode: u32,
    },
    /// The cryptographic library failed.
    #[error("cannot {0}: the cryptographic library gave no reason")]
    Crypto(&'static str),
    /// No such request.
    #[error("there is no request {id}")]
    NoRequest {
        /// What was asked for.
        id: i64,
    },
    /// The request was answered before.
    #[error("request {id} is {state} already")]
    Settled {
        /// Which.
        id: i64,
        /// Its state.
        state: &'static str,
    },
    /// One user asks for too much.
    #[error("user {uid} has {max} open requests, and no more are taken; wait for an answer or withdraw one")]
    TooManyRequests {
        /// Who.
        uid: u32,
        /// The limit.
        max: u64,
    },
    /// The stream of an export failed.
    #[error("cannot {action} the export")]
    Export {
        /// `read` or `write`.
        action: &'static str,
        /// The system's reason.
        source: io::Error,
    },
}

impl StateError {
    pub(crate) fn file(action: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        Self::File { action, path: shown(path), source: source.into() }
    }

    /// Sorts an error of SQLite by what a person can do about it.
    pub(crate) fn database(doing: &'static str, source: rusqlite::Error) -> Self {
        match source.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full { doing, source },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged { doing, source },
            _ => Self::Database { doing, source },
        }
    }
}

/// `?` on a call of SQLite, with what it was for.
pub(crate) trait Doing<T> {
    fn doing(self, doing: &'static str) -> Result<T, StateError>;
}

impl<T> Doing<T> for rusqlite::Result<T> {
    fn doing(self, doing: &'static str) -> Result<T, StateError> {
        self.map_err(|e| StateError::database(doing, e))
    }
}

/// A path that can be printed.
pub(crate) fn shown(path: &Path) -> String {
    Shown(&path.to_string_lossy()).to_string()
}

/// `value` as JSON of at most `max` bytes.
pub(crate) fn json(what: &'static str, value: &impl serde::Serialize, max: usize) -> Result<String, StateError> {
    let text = serde_json::to_string(value).map_err(|source| StateError::Encode { what, source })?;
    bound(what, text.len(), max)?;
    Ok(text)
}

/// Refuses what is longer than `max` bytes.
pub(crate) fn bound(what: &'static str, bytes: usize, max: usize) -> Result<(), StateError> {
    if bytes > max { Err(StateError::TooLong { what, bytes, max }) } else { Ok(()) }
}

/// The value of a JSON column.
pub(crate) fn from_json<T: serde::de::DeserializeOwned>(what: &'static str, text: &str) -> Result<T, StateError> {
    serde_json::from_str(text).map_err(|e| StateError::Row { what, why: e.to_string() })
}

/// Kinds of entries and events: short names that need no escaping.
pub(crate) fn kind(kind: &str) -> Result<(), StateError> {
    const MAX: usize = 64;
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_');
    if kind.is_empty() || kind.len() > MAX || !kind.bytes().all(plain) {
        let start: String = kind.chars().take(MAX).collect();
        return Err(StateError::Kind { kind: Shown(&start).to_string(), max: MAX });
    }
    Ok(())
}
