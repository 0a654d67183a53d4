use std::io;
use std::path::PathBuf;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorityError {
    /// The request is none, or its signature is wrong.
    #[error("the request for a certificate cannot be used: {0}; send PKCS #10 as PEM, signed with its own key")]
    Request(String),
    /// A key of a kind that is not taken.
    #[error("the key of the request is neither Ed25519 nor ECDSA P-256; make another")]
    Key,
    /// A file of the authority cannot be used.
    #[error("cannot {action} `{}`", .path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The files of the authority do not belong together, or are damaged.
    #[error("`{}` holds no authority that can be used: {reason}; restore it from a backup", .path.display())]
    Damaged {
        /// The folder.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Making a certificate failed.
    #[error("cannot make a certificate: {0}")]
    Issue(String),
}
