use std::io;
use std::path::PathBuf;
use std::time::Duration;

use weighbridge_console_wire::WireError;

/// Why the console was not told, or not understood.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// What should be an address is none.
    #[error("`{0}` is no address of a console; give https://HOST:PORT")]
    Address(String),
    /// A token, or an answer, that breaks the rules.
    #[error("{0}")]
    Message(#[from] WireError),
    /// No connection, or one that broke.
    #[error("the console at {address} cannot be reached: {reason}")]
    Network {
        /// Where.
        address: String,
        /// Why not.
        reason: String,
    },
    /// The console says no.
    #[error("the console refuses ({status}): {detail}")]
    Refused {
        /// HTTP's number.
        status: u16,
        /// In its words.
        detail: String,
        /// When it may say yes.
        retry_after: Option<Duration>,
    },
    /// It says what no console says.
    #[error("the console's answer cannot be used: {0}")]
    Answer(String),
    /// A file of the identity.
    #[error("cannot {action} `{}`", .path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The identity's files do not belong together.
    #[error("`{}` holds no identity that can be used ({reason}); enrol again with a new token", .path.display())]
    Identity {
        /// The folder.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl ReportError {
    /// Whether the console will never say anything else to this endpoint.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Refused { status: 401 | 403, .. } | Self::Identity { .. })
    }
}
