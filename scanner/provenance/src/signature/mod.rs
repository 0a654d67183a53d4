//! OpenSSF Model Signing 1.0: bundles that say who signed the files of a
//! model.
//!
//! A bundle is heard first ([`hear`]): parsed, its signature and its signer
//! checked against whom the user trusts. Then the files are held against its
//! manifest ([`compare`]). Both must succeed.

mod artifact;
mod attestation;
mod bundle;
mod chain;
mod dsse;
mod error;
mod files;
mod hash;
mod key;
pub mod keyless;
mod manifest;
mod sign;
mod testimony;
mod trust;

use std::path::Path;

pub use artifact::{Artifact, Instance, Who, verify_artifact};
pub use attestation::{ATTESTATION_BYTES_MAX, Attestation, attestations};
pub use bundle::{BUNDLE_BYTES_MAX, Bundle, Material};
pub use chain::from_pem as certificates_from_pem;
pub use error::{FileProblem, SignatureError};
pub use files::{Compared, DigestFiles, Digests, Scope, compare, digest, digest_bound};
pub use hash::{Algorithm, Digested, digest as digest_reader};
pub use key::{KeyError, PrivateKey, PublicKey};
pub use manifest::{Manifest, Part};
pub use sign::{Serialization, SignError, manifest as manifest_of, sign};
pub use testimony::{Hearing, Objection, Testimony, hear};
pub use trust::{MethodConfig, SignerConfig, TRUST_BYTES_MAX, Trust, TrustConfig, TrustError};
use weighbridge_types::Signature;

/// Parsers of hostile bytes, for fuzzing.
pub(crate) const PARSERS: &[(&str, crate::parsers::Run)] = &[
    ("signature-bundle", |bytes| {
        let _ = hear(bytes, &Trust { signers: Vec::new() }, now(), Hearing { danger_legacy: true });
    }),
    ("signature-attestation", |bytes| {
        let _ = attestations(bytes, &Trust { signers: Vec::new() }, now());
    }),
    ("signature-statement", |bytes| {
        let _ = Manifest::parse(bytes, true);
    }),
    ("signature-chain", |bytes| {
        // Certificates behind two bytes of length each.
        let mut chain = Vec::new();
        let mut rest = bytes;
        while let Some((len, tail)) = rest.split_first_chunk::<2>() {
            let (one, others) = tail.split_at(tail.len().min(usize::from(u16::from_le_bytes(*len))));
            chain.push(one.to_vec());
            rest = others;
        }
        for leaves in [chain::Leaves::EndEntities, chain::Leaves::AuthoritiesToo] {
            let _ = chain::verify(&chain, &chain, now(), leaves);
        }
        if let Some(leaf) = chain.first() {
            let _ = chain::subject(leaf);
            let _ = chain::key(leaf);
        }
    }),
    ("signature-key", |bytes| {
        let _ = PublicKey::from_pem(bytes);
        let _ = PublicKey::from_spki(bytes);
        let _ = PrivateKey::from_pem(bytes);
        let _ = chain::from_pem(bytes);
    }),
];

/// The time at which signatures are judged.
#[must_use]
pub fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// The outcome of verifying a model.
#[derive(Debug)]
pub struct Verified {
    /// What it comes to.
    pub signature: Signature,
    /// Files that are there and that the signature does not cover.
    pub ignored: Vec<String>,
}

/// Verifies `model` against the bundle `text`, called `bundle`: hears it, and
/// compares every file.
#[must_use]
pub fn verify(
    model: &Path,
    text: &[u8],
    bundle: &str,
    trust: &Trust,
    scope: &Scope,
    hearing: Hearing,
    progress: &(dyn Fn(u64) + Sync),
) -> Verified {
    let testimony = hear(text, trust, now(), hearing);
    let compared = match (&testimony.objection, &testimony.manifest) {
        // Files are not read for a bundle that is refused anyway.
        (Some(objection), _) if !objection.unknown => Ok(Compared::default()),
        (_, Some(manifest)) => compare(model, manifest, scope, &mut |tree, names| {
            digest(tree, names, manifest.algorithm, manifest.shard_bytes, progress)
        }),
        (_, None) => Ok(Compared::default()),
    };
    conclude(testimony, compared, bundle)
}

/// Puts together what the bundle says and what its files are.
#[must_use]
pub fn conclude(testimony: Testimony, compared: Result<Compared, SignatureError>, bundle: &str) -> Verified {
    let Testimony { signer, objection, .. } = testimony;
    let bundle = bundle.to_owned();
    let failed = compared.as_ref().err().map(Objection::from);
    // A failed check weighs more than one that could not be made.
    let objection = [objection, failed].into_iter().flatten().min_by_key(|o| o.unknown);
    let (coverage, ignored) = compared.map(|c| (c.coverage, c.ignored)).unwrap_or_default();
    let signature = match (objection, signer) {
        (None, Some(signer)) => Signature::Trusted { signer, coverage, bundle },
        (Some(Objection { unknown: false, reason }), signer) => Signature::Untrusted { reason, signer, bundle },
        (Some(Objection { reason: cause, .. }), signer) => Signature::Unknown { cause, signer, bundle },
        (None, None) => Signature::Unknown { cause: "nobody is named as signer".to_owned(), signer: None, bundle },
    };
    Verified { signature, ignored }
}
