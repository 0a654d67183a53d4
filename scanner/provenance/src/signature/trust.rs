//! Who is trusted to sign, as the user or the policy says it.

use std::io;

use serde::{Deserialize, Serialize};
use sigstore_verify::Verifier;
use sigstore_verify::trust_root::{SIGSTORE_PRODUCTION_TRUSTED_ROOT, TrustedRoot};

use super::chain::{self, Leaves};
use super::key::{KeyError, PublicKey};

/// Longest file that trust is read from, bytes.
pub const TRUST_BYTES_MAX: u64 = 4 << 20;

/// Why trust cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// The file is no proper TOML, or has unknown keys.
    #[error("{0}")]
    Syntax(String),
    /// An entry names no method, or more than one.
    #[error("the signer {0} needs exactly one of `key`, `certificate_roots`, or `identity_provider` with `identity`")]
    Method(String),
    /// A file it names cannot be read.
    #[error("cannot read `{path}`: {source}")]
    Read {
        /// The file.
        path: String,
        /// The system's reason.
        source: io::Error,
    },
    /// A key or certificate is unusable.
    #[error("cannot use `{path}`: {source}")]
    Key {
        /// The file.
        path: String,
        /// What is wrong with it.
        source: KeyError,
    },
    /// The Sigstore root is unusable.
    #[error("cannot use the trusted root of {signer}: {problem}")]
    Root {
        /// Whose entry.
        signer: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// Everyone who is trusted, with their keys and roots at hand: it can be
/// handed to a process that cannot open files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustConfig {
    /// In the order in which they are tried.
    pub signers: Vec<SignerConfig>,
}

/// One trusted signer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignerConfig {
    /// What to call it.
    pub name: Option<String>,
    /// How it signs.
    pub method: MethodConfig,
}

/// How a trusted signer signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MethodConfig {
    /// With a key.
    Key {
        /// `-----BEGIN PUBLIC KEY-----`
        pem: String,
    },
    /// With a certificate.
    Certificate {
        /// The trusted roots, PEM.
        roots: String,
        /// Subject, common name or alternative name the certificate must have.
        identity: Option<String>,
        /// A Sigstore trusted root whose timestamp authorities are believed.
        timestamps: Option<String>,
        /// Accept leaves marked as authorities. For the conformance suite.
        danger_authority_leaves: bool,
    },
    /// Keyless.
    Sigstore {
        /// The alternative name the certificate must have.
        identity: String,
        /// The identity provider that must vouch for it.
        identity_provider: String,
        /// `trusted_root.json` of the instance; the public one if absent.
        trusted_root: Option<String>,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    signer: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: Option<String>,
    key: Option<String>,
    certificate_roots: Option<String>,
    identity: Option<String>,
    identity_provider: Option<String>,
    trusted_root: Option<String>,
}

impl TrustConfig {
    /// Reads a trust file (TOML, documented in `docs/signatures.md`). `read`
    /// gives the text of a file it names.
    ///
    /// # Errors
    /// [`TrustError`] names the entry or the file.
    pub fn parse(text: &str, read: &dyn Fn(&str) -> io::Result<String>) -> Result<Self, TrustError> {
        let file: File = toml::from_str(text).map_err(|e| TrustError::Syntax(e.to_string()))?;
        let file_text = |path: &String| read(path).map_err(|source| TrustError::Read { path: path.clone(), source });
        let signers = file.signer.into_iter().enumerate().map(|(i, entry)| {
            let shown = entry.name.as_ref().map_or_else(|| format!("number {}", i + 1), |n| format!("`{n}`"));
            let method = match (&entry.key, &entry.certificate_roots, &entry.identity_provider, &entry.identity) {
                (Some(key), None, None, None) => MethodConfig::Key { pem: file_text(key)? },
                (None, Some(roots), None, identity) => MethodConfig::Certificate {
                    roots: file_text(roots)?,
                    identity: identity.clone(),
                    timestamps: entry.trusted_root.as_ref().map(file_text).transpose()?,
                    danger_authority_leaves: false,
                },
                (None, None, Some(provider), Some(identity)) => MethodConfig::Sigstore {
                    identity: identity.clone(),
                    identity_provider: provider.clone(),
                    trusted_root: entry.trusted_root.as_ref().map(file_text).transpose()?,
                },
                _ => return Err(TrustError::Method(shown)),
            };
            Ok(SignerConfig { name: entry.name, method })
        });
        Ok(Self { signers: signers.collect::<Result<_, _>>()? })
    }
}

/// [`TrustConfig`] with its keys parsed.
pub struct Trust {
    pub(super) signers: Vec<Trusted>,
}

pub(super) struct Trusted {
    pub name: Option<String>,
    pub method: TrustedMethod,
}

pub(super) enum TrustedMethod {
    Key(PublicKey),
    Certificate { roots: Vec<Vec<u8>>, identity: Option<String>, timestamps: Option<Box<TrustedRoot>>, leaves: Leaves },
    Sigstore { verifier: Box<Verifier>, identity: String, identity_provider: String },
}

impl Trust {
    /// Parses the keys and roots of `config`.
    ///
    /// # Errors
    /// [`TrustError`] says whose is unusable.
    pub fn new(config: &TrustConfig) -> Result<Self, TrustError> {
        let signers = config.signers.iter().enumerate().map(|(i, signer)| {
            let shown = signer.name.clone().unwrap_or_else(|| format!("signer {}", i + 1));
            Ok(Trusted { name: signer.name.clone(), method: method(&signer.method, &shown)? })
        });
        Ok(Self { signers: signers.collect::<Result<_, _>>()? })
    }
}

fn method(config: &MethodConfig, shown: &str) -> Result<TrustedMethod, TrustError> {
    let key = |source| TrustError::Key { path: shown.to_owned(), source };
    let root = |text: &str| {
        TrustedRoot::from_json(text).map_err(|e| TrustError::Root { signer: shown.to_owned(), problem: e.to_string() })
    };
    Ok(match config {
        MethodConfig::Key { pem } => TrustedMethod::Key(PublicKey::from_pem(pem.as_bytes()).map_err(key)?),
        MethodConfig::Certificate { roots, identity, timestamps, danger_authority_leaves } => {
            TrustedMethod::Certificate {
                roots: chain::from_pem(roots.as_bytes()).map_err(key)?,
                identity: identity.clone(),
                timestamps: timestamps.as_deref().map(root).transpose()?.map(Box::new),
                leaves: if *danger_authority_leaves { Leaves::AuthoritiesToo } else { Leaves::EndEntities },
            }
        }
        MethodConfig::Sigstore { identity, identity_provider, trusted_root } => {
            let root = root(trusted_root.as_deref().unwrap_or(SIGSTORE_PRODUCTION_TRUSTED_ROOT))?;
            let verifier = Verifier::new(&root)
                .map_err(|e| TrustError::Root { signer: shown.to_owned(), problem: e.to_string() })?;
            TrustedMethod::Sigstore {
                verifier: Box::new(verifier),
                identity: identity.clone(),
                identity_provider: identity_provider.clone(),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<TrustConfig, TrustError> {
        TrustConfig::parse(text, &|path| {
            if path == "gone" { Err(io::ErrorKind::NotFound.into()) } else { Ok(format!("text of {path}")) }
        })
    }

    #[test]
    fn each_signer_has_one_method() {
        let text = r#"
            [[signer]]
            name = "team"
            key = "k.pub"
            [[signer]]
            certificate_roots = "roots.pem"
            identity = "ml@example.com"
            [[signer]]
            identity = "ml@example.com"
            identity_provider = "https://accounts.example.com"
        "#;
        assert_eq!(parse(text).unwrap().signers.len(), 3);
        for bad in [
            "[[signer]]\nname = \"x\"",
            "[[signer]]\nkey = \"k\"\ncertificate_roots = \"r\"",
            "[[signer]]\nidentity_provider = \"p\"",
            "[[signer]]\nkey = \"k\"\nidentity = \"i\"",
            "[[signer]]\nkey = \"gone\"",
            "[[signer]]\nkey = \"k\"\ntypo = 1",
            "[[signers]]\nkey = \"k\"",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn unusable_keys_are_named() {
        let config = parse("[[signer]]\nname = \"team\"\nkey = \"k\"").unwrap();
        let Err(error) = Trust::new(&config) else { panic!("a text is no key") };
        assert!(error.to_string().contains("`team`"), "{error}");
    }
}
