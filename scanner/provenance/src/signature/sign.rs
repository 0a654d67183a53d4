//! Signing a model with a key, alone or with the chain of its certificate.

use std::path::Path;

use super::bundle::{Bundle, Material, payload_type};
use super::files::{self, Scope};
use super::hash::Algorithm;
use super::key::{KeyError, PrivateKey};
use super::manifest::Manifest;
use super::{SignatureError, chain, dsse};

/// How to describe the model.
#[derive(Debug, Clone, Copy)]
pub struct Serialization {
    /// The hash of files.
    pub algorithm: Algorithm,
    /// Digest ranges of this many bytes instead of whole files.
    pub shard_bytes: Option<u64>,
}

/// Why a model cannot be signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The files cannot be listed or read.
    #[error(transparent)]
    Files(#[from] SignatureError),
    /// The key cannot be used.
    #[error("cannot use the key: {0}")]
    Key(#[from] KeyError),
    /// The certificate belongs to another key.
    #[error("the certificate of `{0}` belongs to another key")]
    OtherCertificate(String),
}

/// The manifest of `model` as it is now.
///
/// # Errors
/// [`SignatureError`] names the file that cannot be signed.
pub fn manifest(
    model: &Path,
    scope: &Scope,
    serialization: Serialization,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Manifest, SignatureError> {
    let tree = files::list(model, scope, &[], false)?;
    let names: Vec<&String> = tree.files.keys().collect();
    let mut digests = files::digest(&tree, &names, serialization.algorithm, serialization.shard_bytes, progress)?;
    digests.retain(|_, parts| !parts.is_empty());
    let name = std::path::absolute(model).ok().and_then(|p| p.file_name()?.to_str().map(str::to_owned));
    Ok(Manifest {
        model_name: name.unwrap_or_else(|| "model".to_owned()),
        algorithm: serialization.algorithm,
        shard_bytes: serialization.shard_bytes,
        allow_links: scope.allow_links,
        ignore_paths: files::recorded_ignore_paths(model, scope),
        files: digests,
    })
}

/// Signs `manifest`; gives the text of the bundle. `chain` holds the
/// certificate of the key and those above it, leaf first, DER; without one
/// the key is named.
///
/// # Errors
/// [`SignError`]
pub fn sign(manifest: &Manifest, key: &PrivateKey, chain: Vec<Vec<u8>>) -> Result<String, SignError> {
    let payload = manifest.statement()?;
    let public = key.public()?;
    let material = match chain.first() {
        None => Material::Key { hint: Some(public.hint()) },
        Some(leaf) if chain::key(leaf)? == public => Material::Chain(chain),
        Some(leaf) => return Err(SignError::OtherCertificate(chain::subject(leaf)?.name)),
    };
    let signature = key.sign(&dsse::pae(payload_type(), &payload))?;
    Ok(Bundle::text_of(&material, &payload, &signature))
}
