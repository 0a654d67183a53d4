use crate::json::JsonError;

/// Why a signature does not stand.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// The bundle cannot be read.
    #[error("cannot read the bundle `{path}`: {source}")]
    ReadBundle {
        /// The file.
        path: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The bundle is no proper JSON.
    #[error("the bundle is refused: {0}")]
    Json(#[from] JsonError),
    /// A field is missing or holds what it must not.
    #[error("`{field}` {problem}")]
    Field {
        /// Path of the field in the bundle or its statement.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A version, method or algorithm this release does not know.
    #[error("{0} is not supported")]
    Unsupported(String),
    /// Made in another way than the one that is trusted.
    #[error("signed with {found}, but {wanted} is asked for")]
    Method {
        /// What the bundle holds.
        found: &'static str,
        /// What was asked for.
        wanted: &'static str,
    },
    /// The signature does not fit the key and the payload.
    #[error("the signature does not verify with {0}")]
    Signature(String),
    /// The bundle was signed with another key.
    #[error("signed with the key {found}, not with {wanted}")]
    OtherKey {
        /// SHA-256 of the key in the bundle.
        found: String,
        /// SHA-256 of the trusted key.
        wanted: String,
    },
    /// The certificate chain does not lead to a trusted root.
    #[error("the certificate of `{subject}` is refused: {problem}")]
    Certificate {
        /// Subject of the certificate.
        subject: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Properly signed, by somebody else.
    #[error("signed by `{found}`, not by `{wanted}`")]
    Identity {
        /// Who signed.
        found: String,
        /// Who should have.
        wanted: String,
    },
    /// A check of the keyless method failed.
    #[error("keyless verification failed: {0}")]
    Keyless(String),
    /// Nobody is trusted to sign in this way.
    #[error("signed with {method} by `{identity}`, whom nothing here trusts; name the signer with {hint}")]
    NobodyTrusted {
        /// How it was signed.
        method: &'static str,
        /// Who claims to have signed.
        identity: String,
        /// What would settle it.
        hint: &'static str,
    },
    /// The files are not the signed ones.
    #[error("{}", problems(.0))]
    Files(Vec<FileProblem>),
    /// The files cannot be listed.
    #[error(transparent)]
    Tree(#[from] weighbridge_discovery::TreeError),
    /// A file cannot be read to its end.
    #[error("cannot read `{name}`: {source}")]
    ReadFile {
        /// The file.
        name: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file changed while it was digested.
    #[error("`{0}` changed while it was read; verify again when nothing writes to it")]
    Changed(String),
}

impl SignatureError {
    /// Whether a check could not be made, rather than failed.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        use weighbridge_discovery::TreeError;
        matches!(
            self,
            Self::ReadBundle { .. }
                | Self::Unsupported(_)
                | Self::NobodyTrusted { .. }
                | Self::ReadFile { .. }
                | Self::Changed(_)
                | Self::Tree(TreeError::Read(..) | TreeError::TooLarge(_))
        )
    }

    pub(super) fn field(field: &'static str, problem: impl Into<String>) -> Self {
        Self::Field { field, problem: problem.into() }
    }
}

/// How a file differs from the signed one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileProblem {
    /// Its digest is another.
    Altered(String),
    /// It is signed, and not there.
    Missing(String),
    /// It is there, and not signed.
    Unsigned(String),
    /// Signed under one name, there under another.
    Renamed {
        /// The signed name.
        from: String,
        /// The name it has now.
        to: String,
    },
}

impl std::fmt::Display for FileProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use weighbridge_types::Shown;
        match self {
            Self::Altered(name) => write!(f, "`{}` was altered after signing", Shown(name)),
            Self::Missing(name) => write!(f, "`{}` is signed but missing", Shown(name)),
            Self::Unsigned(name) => write!(f, "`{}` is not signed", Shown(name)),
            Self::Renamed { from, to } => write!(f, "`{}` was renamed to `{}` after signing", Shown(from), Shown(to)),
        }
    }
}

/// Problems listed in one message.
const SHOWN_MAX: usize = 8;

fn problems(list: &[FileProblem]) -> String {
    let mut text: Vec<String> = list.iter().take(SHOWN_MAX).map(ToString::to_string).collect();
    if list.len() > SHOWN_MAX {
        text.push(format!("and {} more", list.len() - SHOWN_MAX));
    }
    text.join("; ")
}
