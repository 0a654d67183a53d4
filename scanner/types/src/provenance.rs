//! What is known of where a model came from and who vouches for it.

use serde::{Deserialize, Serialize};

use crate::Severity;

/// What the signature beside a model says. A check that could not run is not
/// a pass: it is [`Signature::Unknown`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum Signature {
    /// No bundle lies beside it.
    Unsigned,
    /// Every check passed, and the signer is one that is trusted here.
    Trusted {
        /// Who signed.
        signer: Signer,
        /// How much of what lies there the signature covers.
        coverage: Coverage,
        /// Path of the bundle.
        bundle: String,
    },
    /// A check failed.
    Untrusted {
        /// Which, and on what.
        reason: String,
        /// Who claims to have signed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signer: Option<Signer>,
        /// Path of the bundle.
        bundle: String,
    },
    /// A check could not be made.
    Unknown {
        /// Why, and what would let it run.
        cause: String,
        /// Who claims to have signed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signer: Option<Signer>,
        /// Path of the bundle.
        bundle: String,
    },
}

impl Signature {
    /// `trusted`, `untrusted`, `unsigned` or `unknown`, as in reports.
    #[must_use]
    pub fn status(&self) -> &'static str {
        match self {
            Self::Unsigned => "unsigned",
            Self::Trusted { .. } => "trusted",
            Self::Untrusted { .. } => "untrusted",
            Self::Unknown { .. } => "unknown",
        }
    }
}

/// How a signature is tied to a signer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SigningMethod {
    /// A bare public key.
    Key,
    /// An X.509 chain to an explicit root.
    Certificate,
    /// A short-lived certificate and a transparency log (Sigstore).
    Sigstore,
}

/// Who signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signer {
    /// How it is known.
    pub method: SigningMethod,
    /// SHA-256 of the key, subject of the certificate, or the identity in it.
    pub identity: String,
    /// Who vouches for the identity: the issuing certificate or the identity
    /// provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// What this signer is called here, in the configuration of trust.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When it was signed, by a trusted timestamp (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_at: Option<String>,
}

/// How much of a model a signature covers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// Files whose digests were signed and agree.
    pub files_signed: u64,
    /// Files there that the signature leaves out.
    pub files_ignored: u64,
    /// Bytes in signed files.
    pub bytes_signed: u64,
    /// Bytes in files left out.
    pub bytes_ignored: u64,
}

/// How much a claim about origin is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strength {
    /// Anyone could have written it, and nothing can be checked.
    Hint,
    /// Written by the program that fetched the file; the user could change it.
    Record,
    /// As [`Strength::Record`], and the recorded digest is the file's.
    Content,
    /// A signature or the digest catalogue of the policy: cannot be forged here.
    Proof,
}

/// One claim about where a file came from. Never a fact by itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Claim {
    /// How much it is worth.
    pub strength: Strength,
    /// Who makes it: `hf-cache`, `hf-local-dir`, `ollama`, `oci`, `lm-studio`,
    /// `git-lfs`, `gguf`, `safetensors`, `model-card`, `xattr`, `catalogue`,
    /// `attestation`.
    pub source: String,
    /// Package URL of the model, where one can be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purl: Option<String>,
    /// Address it was fetched from, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Commit, tag or digest of the version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Where the claim stands and what was checked, in words.
    pub detail: String,
}

/// Fingerprint of a model's norm tensors, which survives requantisation.
/// Relation, never trust.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    /// 64 hexadecimal digits over names and values of the norm tensors.
    pub fingerprint: String,
    /// How many tensors went into it.
    pub tensors: u64,
    /// Models with the same fingerprint: paths in this report, or names from
    /// the catalogue.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub likely_derived_from: Vec<String>,
}

/// Why an advisory applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdvisoryMatchKind {
    /// Only the lineage agrees: a warning.
    Lineage,
    /// The claimed repository and revision.
    Revision,
    /// The installed version of a program.
    Version,
    /// The digest of the file.
    Digest,
}

/// An advisory that applies to a model or an installed program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdvisoryMatch {
    /// Identifier of the advisory.
    pub id: String,
    /// Other identifiers of the same problem.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// What is wrong, in a sentence.
    pub summary: String,
    /// How bad it is.
    pub severity: Severity,
    /// Why it applies.
    pub matched_by: AdvisoryMatchKind,
    /// What agreed: the digest, the revision, the version.
    pub evidence: String,
    /// First version without the problem, for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed: Option<String>,
    /// Package URLs of what to use instead, for models.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaced_by: Vec<String>,
    /// Where to read more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<String>,
}
