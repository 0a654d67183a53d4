//! Sigstore bundles over one artifact, whatever it is: what the conformance
//! suite of the Sigstore clients asks for, and what attestations beside a
//! model are verified with.

use std::fs::File;

use sigstore_verify::trust_root::{SIGSTORE_PRODUCTION_TRUSTED_ROOT, SIGSTORE_STAGING_TRUSTED_ROOT, TrustedRoot};
use sigstore_verify::types::{Bundle, DerPublicKey, Sha256Hash};
use sigstore_verify::{PublicKeyVerificationPolicy, VerificationPolicy, Verifier};

use super::SignatureError;

/// What is signed.
#[derive(Debug)]
pub enum Artifact {
    /// A file, read to its end.
    File(File),
    /// Its SHA-256, hexadecimal.
    Digest(String),
}

/// Who must have signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// An identity that an identity provider vouches for.
    Identity {
        /// Alternative name of the certificate.
        identity: String,
        /// Address of the provider.
        issuer: String,
    },
    /// The holder of a key, in PEM form.
    Key(String),
}

/// The Sigstore instance that is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Instance {
    /// The public one.
    Production,
    /// Its test instance.
    Staging,
    /// The text of a `trusted_root.json`.
    Root(String),
}

/// Verifies `bundle` over `artifact`.
///
/// # Errors
/// [`SignatureError`] says which check failed.
pub fn verify_artifact(bundle: &str, artifact: Artifact, who: &Who, instance: &Instance) -> Result<(), SignatureError> {
    let failed = |e: &dyn std::fmt::Display| SignatureError::Keyless(e.to_string());
    let root = match instance {
        Instance::Production => SIGSTORE_PRODUCTION_TRUSTED_ROOT,
        Instance::Staging => SIGSTORE_STAGING_TRUSTED_ROOT,
        Instance::Root(text) => text,
    };
    let root = TrustedRoot::from_json(root).map_err(|e| failed(&e))?;
    let verifier = Verifier::new(&root).map_err(|e| failed(&e))?;
    let bundle = Bundle::from_json(bundle).map_err(|e| failed(&e))?;
    let policy: Box<dyn sigstore_verify::Policy> = match who {
        Who::Identity { identity, issuer } => Box::new(VerificationPolicy::new(identity, issuer)),
        Who::Key(pem) => {
            let key = DerPublicKey::from_pem(pem).map_err(|e| failed(&e))?;
            Box::new(PublicKeyVerificationPolicy::new(key))
        }
    };
    let result = match artifact {
        Artifact::File(file) => verifier.verify_reader(file, &bundle, policy.as_ref()),
        Artifact::Digest(hex) => {
            let digest = Sha256Hash::from_hex(&hex).map_err(|e| failed(&e))?;
            verifier.verify(digest, &bundle, policy.as_ref())
        }
    };
    result.map(|_| ()).map_err(|e| failed(&e))
}
