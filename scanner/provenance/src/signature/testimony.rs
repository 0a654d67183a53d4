//! What a bundle says, who says it, and whether to believe that: everything
//! that can be known without looking at the files.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sigstore_verify::types::{Bundle as SigstoreBundle, Sha256Hash, SignatureBytes, TimestampToken};
use sigstore_verify::{VerificationPolicy, Verifier};
use weighbridge_types::{Signer, SigningMethod};

use super::bundle::{Bundle, Material};
use super::chain::{self, Leaves};
use super::key::PublicKey;
use super::manifest::Manifest;
use super::trust::{Trust, TrustedMethod};
use super::{SignatureError, dsse};

/// A bundle, heard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Testimony {
    /// Who claims to have signed; who did, if there is no objection.
    pub signer: Option<Signer>,
    /// The files it speaks of, if it could be read.
    pub manifest: Option<Manifest>,
    /// Why it is not believed.
    pub objection: Option<Objection>,
}

/// Why a signature is not believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Objection {
    /// A check could not be made, rather than failed.
    pub unknown: bool,
    /// In words.
    pub reason: String,
}

impl From<&SignatureError> for Objection {
    fn from(error: &SignatureError) -> Self {
        Self { unknown: error.is_unknown(), reason: error.to_string() }
    }
}

/// How strict to be.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hearing {
    /// Accept bundles of version 0.2 of the reference, which signed another
    /// text and no file names of their own.
    pub danger_legacy: bool,
}

/// Parses and authenticates the text of a bundle. Never fails: what is wrong
/// with it is its objection.
#[must_use]
pub fn hear(text: &[u8], trust: &Trust, now: Timestamp, hearing: Hearing) -> Testimony {
    let bundle = match Bundle::parse(text) {
        Ok(bundle) => bundle,
        Err(error) => return Testimony { signer: None, manifest: None, objection: Some((&error).into()) },
    };
    let claimed = claimed_signer(&bundle);
    let standing = standing(&bundle, trust, now, hearing);
    let (signer, objection) = match standing {
        Ok(signer) => (Some(signer), None),
        Err(error) => (claimed, Some(Objection::from(&error))),
    };
    // The files of a bundle that nobody vouches for are still worth comparing.
    match Manifest::parse(&bundle.payload, hearing.danger_legacy) {
        Ok(manifest) => Testimony { signer, manifest: Some(manifest), objection },
        Err(error) => {
            let objection = objection.filter(|o| !o.unknown).unwrap_or_else(|| (&error).into());
            Testimony { signer, manifest: None, objection: Some(objection) }
        }
    }
}

/// Who the bundle says signed it; nothing is checked.
fn claimed_signer(bundle: &Bundle) -> Option<Signer> {
    let method = bundle.material.method();
    let signer = |identity, issuer| Some(Signer { method, identity, issuer, name: None, signed_at: None });
    match &bundle.material {
        Material::Key { hint } => signer(hint.clone()?, None),
        Material::Chain(chain) => {
            let subject = chain::subject(chain.first()?).ok()?;
            signer(subject.name, Some(subject.issuer))
        }
        Material::Sigstore { certificate } => signer(chain::subject(certificate).ok()?.name, None),
    }
}

/// Tries every trusted signer that signs this way. The last objection is
/// given if none fits: with one signer it is the one.
pub(super) fn standing(
    bundle: &Bundle,
    trust: &Trust,
    now: Timestamp,
    hearing: Hearing,
) -> Result<Signer, SignatureError> {
    let mut last = None;
    for trusted in &trust.signers {
        let heard = match (&bundle.material, &trusted.method) {
            (Material::Key { hint }, TrustedMethod::Key(key)) => by_key(bundle, hint.as_deref(), key, hearing),
            (Material::Chain(chain), TrustedMethod::Certificate { roots, identity, timestamps, leaves }) => {
                let at = time(bundle, chain, timestamps.as_deref(), now);
                at.and_then(|(at, signed_at)| {
                    by_certificate(bundle, chain, roots, identity.as_deref(), at, *leaves, hearing)
                        .map(|signer| Signer { signed_at, ..signer })
                })
            }
            (Material::Sigstore { .. }, TrustedMethod::Sigstore { verifier, identity, identity_provider }) => {
                keyless(bundle, verifier, identity, identity_provider)
            }
            _ => continue,
        };
        match heard {
            Ok(signer) => return Ok(Signer { name: trusted.name.clone(), ..signer }),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| nobody(bundle, trust)))
}

/// No trusted signer signs in the way this bundle was signed.
fn nobody(bundle: &Bundle, trust: &Trust) -> SignatureError {
    let found = words(bundle.material.method());
    if let [only] = trust.signers.as_slice() {
        let wanted = match only.method {
            TrustedMethod::Key(_) => "a key",
            TrustedMethod::Certificate { .. } => "a certificate",
            TrustedMethod::Sigstore { .. } => "keyless signing",
        };
        return SignatureError::Method { found, wanted };
    }
    let hint = match bundle.material.method() {
        SigningMethod::Key => "`--key FILE`",
        SigningMethod::Certificate => "`--certificate-roots FILE`",
        SigningMethod::Sigstore => "`--identity` and `--identity-provider`",
    };
    let identity = claimed_signer(bundle).map_or_else(|| "an unnamed key".to_owned(), |s| s.identity);
    SignatureError::NobodyTrusted { method: found, identity, hint }
}

fn words(method: SigningMethod) -> &'static str {
    match method {
        SigningMethod::Key => "a key",
        SigningMethod::Certificate => "a certificate",
        SigningMethod::Sigstore => "keyless signing",
    }
}

fn by_key(bundle: &Bundle, hint: Option<&str>, key: &PublicKey, hearing: Hearing) -> Result<Signer, SignatureError> {
    let own = key.hint();
    if !verifies(bundle, key, hearing) {
        return Err(match hint.filter(|h| !h.eq_ignore_ascii_case(&own)) {
            Some(found) => SignatureError::OtherKey { found: found.to_owned(), wanted: own },
            None => SignatureError::Signature(format!("the key {own}")),
        });
    }
    Ok(Signer { method: SigningMethod::Key, identity: own, issuer: None, name: None, signed_at: None })
}

fn verifies(bundle: &Bundle, key: &PublicKey, hearing: Hearing) -> bool {
    key.verifies(&dsse::pae(&bundle.payload_type, &bundle.payload), &bundle.signature)
        || hearing.danger_legacy
            && key.verifies_legacy(&dsse::pae_legacy(&bundle.payload_type, &bundle.payload), &bundle.signature)
}

/// The time at which the chain must hold: now, or when a trusted timestamp
/// says the signature was made if the certificate has expired since.
fn time(
    bundle: &Bundle,
    chain: &[Vec<u8>],
    authorities: Option<&sigstore_verify::trust_root::TrustedRoot>,
    now: Timestamp,
) -> Result<(Timestamp, Option<String>), SignatureError> {
    let leaf = chain.first().map(Vec::as_slice).unwrap_or_default();
    let signature = SignatureBytes::from_bytes(&bundle.signature);
    let stamped = authorities.iter().flat_map(|root| root.tsa_authorities()).find_map(|authority| {
        bundle.timestamps.iter().find_map(|token| {
            let token = TimestampToken::from_bytes(token);
            sigstore_verify::tsa::verify_timestamp_for_authority(&token, &signature, &authority).ok()
        })
    });
    match stamped {
        Some(at) if chain::is_valid_at(leaf, now).is_err() => Ok((at, Some(at.to_string()))),
        Some(at) => Ok((now, Some(at.to_string()))),
        None => Ok((now, None)),
    }
}

fn by_certificate(
    bundle: &Bundle,
    chain: &[Vec<u8>],
    roots: &[Vec<u8>],
    identity: Option<&str>,
    at: Timestamp,
    leaves: Leaves,
    hearing: Hearing,
) -> Result<Signer, SignatureError> {
    chain::verify(chain, roots, at, leaves)?;
    let leaf = chain.first().map(Vec::as_slice).unwrap_or_default();
    let subject = chain::subject(leaf)?;
    if !verifies(bundle, &chain::key(leaf)?, hearing) {
        return Err(SignatureError::Signature(format!("the certificate of `{}`", subject.name)));
    }
    if let Some(wanted) = identity
        && !subject.names.iter().any(|name| name == wanted)
    {
        return Err(SignatureError::Identity { found: subject.names.join("`, `"), wanted: wanted.to_owned() });
    }
    Ok(Signer {
        method: SigningMethod::Certificate,
        identity: identity.map_or(subject.name, str::to_owned),
        issuer: Some(subject.issuer),
        name: None,
        signed_at: None,
    })
}

/// Short-lived certificate, transparency log, identity: the keyless verifier
/// of the Sigstore organisation does it all. The statement's own subject is
/// given as the artifact; the files are compared with the manifest afterwards.
fn keyless(
    bundle: &Bundle,
    verifier: &Verifier,
    identity: &str,
    identity_provider: &str,
) -> Result<Signer, SignatureError> {
    let failed = |e: &dyn std::fmt::Display| SignatureError::Keyless(e.to_string());
    let digest = subject_digest(&bundle.payload)
        .ok_or_else(|| SignatureError::field("subject[0].digest.sha256", "is missing"))?;
    let parsed = SigstoreBundle::from_json(&bundle.text).map_err(|e| failed(&e))?;
    let policy = VerificationPolicy::new(identity, identity_provider);
    let result = verifier.verify(digest, &parsed, &policy).map_err(|error| match error {
        sigstore_verify::error::Error::IdentityMismatch { actual, .. } => SignatureError::Identity {
            found: actual.map_or_else(|| "nobody named".to_owned(), |a| a.to_string()),
            wanted: identity.to_owned(),
        },
        sigstore_verify::error::Error::IssuerMismatch { actual, .. } => SignatureError::Identity {
            found: format!("an identity of {}", actual.as_deref().unwrap_or("an unnamed provider")),
            wanted: format!("an identity of {identity_provider}"),
        },
        error => failed(&error),
    })?;
    // Whatever a later version relaxes by default, all four must have run.
    let ran = [
        ("certificate", result.certificate_verified()),
        ("certificate log", result.sct_verified()),
        ("transparency log", result.tlog_verified()),
        ("identity", result.identity_policy_checked()),
    ];
    if let Some((check, _)) = ran.iter().find(|(_, ran)| !ran) {
        return Err(SignatureError::Keyless(format!("the {check} was not checked")));
    }
    Ok(Signer {
        method: SigningMethod::Sigstore,
        identity: result.identity().map_or_else(|| identity.to_owned(), ToString::to_string),
        issuer: result.issuer().map(str::to_owned),
        name: None,
        signed_at: result.verified_timestamps().first().map(ToString::to_string),
    })
}

fn subject_digest(payload: &[u8]) -> Option<Sha256Hash> {
    let statement: serde_json::Value = serde_json::from_slice(payload).ok()?;
    let digest = statement.pointer("/subject/0/digest/sha256")?.as_str()?;
    Sha256Hash::from_hex(digest).ok()
}
