use std::fmt;
use std::io;
use std::path::Path;

use weighbridge_types::Shown;

/// Something that could not be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error("cannot {action} `{path}`")]
    File {
        /// `read`, `write`.
        action: &'static str,
        /// The file, escaped.
        path: String,
        /// The system's reason.
        source: io::Error,
    },
    /// Keys are never overwritten.
    #[error("`{path}` exists, and keys are never overwritten; name another folder, or rotate")]
    KeysExist {
        /// What is there.
        path: String,
    },
    /// Numbers that make no sense together.
    #[error("{0}")]
    Numbers(&'static str),
    /// A file is not a private key that we can sign with.
    #[error("`{path}` is no unencrypted Ed25519 or P-256 private key (PEM, PKCS #8)")]
    NotAKey {
        /// The file.
        path: String,
    },
    /// A chain of roots is missing or broken.
    #[error("the roots in `{folder}`: {reason}")]
    Roots {
        /// Where they are.
        folder: String,
        /// What is wrong.
        reason: String,
    },
    /// A key to retire is not one of the role's.
    #[error("`{wanted}` names not exactly one key of the role {role}; it has {keys}")]
    NoSuchKey {
        /// What was asked for.
        wanted: String,
        /// The role.
        role: &'static str,
        /// Its keys.
        keys: String,
    },
    /// Too few keys to sign.
    #[error("{needed} of the keys {keys} of the role {role} must be in `{folder}` to sign; {found} found")]
    TooFewKeys {
        /// The role.
        role: &'static str,
        /// Signatures needed.
        needed: u64,
        /// Keys of the role that were found.
        found: usize,
        /// Short ids of the role's keys.
        keys: String,
        /// Where they were looked for.
        folder: String,
    },
    /// The bundle cannot be published.
    #[error("cannot publish `{path}`: {reason}")]
    Unpublishable {
        /// The file in the bundle.
        path: String,
        /// Why.
        reason: String,
    },
    /// The repository is not as we left it.
    #[error("`{path}` in the repository: {reason}")]
    Repository {
        /// The file.
        path: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// Another process is at it.
    #[error("another process works on `{path}`; try again when it is done")]
    Busy {
        /// The folder.
        path: String,
    },
    /// A source gave nothing.
    #[error("cannot get `{path}` from the repository; is it whole, and reachable?")]
    Source {
        /// The file.
        path: String,
        /// The reason.
        source: io::Error,
    },
    /// No root was ever given.
    #[error("`{path}` trusts no root yet; name the fleet's first root")]
    NoRoot {
        /// The state folder.
        path: String,
    },
    /// What is given as the first root is none.
    #[error("not a root that can be trusted: {0}")]
    BadRoot(String),
    /// What this endpoint remembers cannot be used.
    #[error("the state in `{path}` is damaged: {reason}; move it away and fetch with a root you trust")]
    State {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// The bundle in force was removed.
    #[error("the bundle {version} is in force, and `{path}` is gone; fetch again")]
    BundleGone {
        /// Its version.
        version: u64,
        /// Its folder.
        path: String,
    },
    /// The clock of this machine was later once.
    #[error(
        "the clock of this machine went back ({0}); set it right, or, if it was wrong before, remove \
         `trust/latest_known_time.json` in the state folder"
    )]
    Clock(String),
    /// Signing failed.
    #[error("cannot sign: {0}")]
    Sign(String),
    /// The asynchronous runtime did not start.
    #[error("cannot start the runtime of the update client")]
    Runtime(#[source] io::Error),
}

impl Error {
    pub(crate) fn read(path: &Path, source: io::Error) -> Self {
        Self::File { action: "read", path: shown(path), source }
    }

    pub(crate) fn write(path: &Path, source: io::Error) -> Self {
        Self::File { action: "write", path: shown(path), source }
    }
}

/// A path for messages.
pub(crate) fn shown(path: &Path) -> String {
    Shown(&path.display().to_string()).to_string()
}

/// What a repository did that an endpoint does not stand for. The bundle in
/// force stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Which promise was broken.
    pub kind: RefusalKind,
    /// The file, relative to the repository; from there, so possibly hostile.
    pub file: String,
    /// What failed.
    pub reason: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused `{}`: {}; {}", Shown(&self.file), Shown(&self.reason), self.kind.remedy())
    }
}

/// The attacks of the TUF specification, by what they break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefusalKind {
    /// Not signed, or not by enough of the role's keys.
    Signature,
    /// Older than what was seen before.
    Rollback,
    /// Expired.
    Expired,
    /// Longer, or more, than allowed or signed.
    TooMuch,
    /// Metadata that does not belong together.
    MixAndMatch,
    /// A file of the bundle is not the signed one.
    TargetBytes,
    /// A file of the bundle has a name that is not allowed.
    TargetName,
    /// Metadata that cannot be read, or asks for what we do not support.
    Malformed,
}

impl RefusalKind {
    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Signature => "signature",
            Self::Rollback => "rollback",
            Self::Expired => "expired",
            Self::TooMuch => "too-much",
            Self::MixAndMatch => "mix-and-match",
            Self::TargetBytes => "target-bytes",
            Self::TargetName => "target-name",
            Self::Malformed => "malformed",
        }
    }

    /// What to do.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Signature => {
                "if keys were rotated, publish with the new ones; otherwise someone else wrote this: do not trust the repository"
            }
            Self::Rollback => {
                "the repository was set back or is a stale copy: publish again on top of the newest state, or rotate \
                 snapshot and timestamp keys if versions were thrown forward"
            }
            Self::Expired => {
                "renew or publish; if that was done, this copy is stale or held back, or the clock of this machine is wrong"
            }
            Self::TooMuch => "publish a smaller bundle; if it is small, do not trust the repository",
            Self::MixAndMatch => "fetch again after the copy of the repository is complete; if it stays, publish again",
            Self::TargetBytes => {
                "the copy of the repository is damaged or tampered with: copy it anew, or publish again"
            }
            Self::TargetName => {
                "rename the file and publish again; if nobody published it, the targets key is stolen: rotate it"
            }
            Self::Malformed => {
                "publish again with this version of weighbridge; if that was done, do not trust the repository"
            }
        }
    }
}

/// Why an update did not happen. The bundle in force stays either way.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// The repository offered something that must not be taken.
    #[error("{0}")]
    Refused(Refusal),
    /// It could not be found out.
    #[error(transparent)]
    Failed(#[from] Error),
}
