//! The transparency log: Rekor's API, version 1 (openapi.yaml, `dsse` 0.0.1),
//! and how bundles write its entries (`sigstore_rekor.proto`).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{KeylessError, RESPONSE_BYTES_MAX};
use crate::json;
use crate::signature::chain;

const KIND: &str = "dsse";
const VERSION: &str = "0.0.1";
/// Most hashes in an inclusion proof: a tree of 2^63 leaves has no more.
const HASHES_MAX: usize = 64;
/// Longest checkpoint, bytes.
const CHECKPOINT_BYTES_MAX: usize = 16 << 10;

pub(super) fn request(envelope: &Value, certificate: &[u8]) -> String {
    let verifier = STANDARD.encode(chain::to_pem(certificate));
    json!({
        "apiVersion": VERSION,
        "kind": KIND,
        "spec": { "proposedContent": { "envelope": envelope.to_string(), "verifiers": [verifier] } },
    })
    .to_string()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    body: String,
    integrated_time: i64,
    #[serde(rename = "logID")]
    log_id: String,
    log_index: u64,
    verification: Verification,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Verification {
    signed_entry_timestamp: String,
    inclusion_proof: Proof,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Proof {
    checkpoint: String,
    hashes: Vec<String>,
    log_index: u64,
    root_hash: String,
    tree_size: u64,
}

/// The one entry in an answer, as a bundle holds it: integers as text, bytes
/// as base64 (ProtoJSON).
pub(super) fn entry(response: &[u8]) -> Result<Value, KeylessError> {
    let failed = |e: &dyn std::fmt::Display| KeylessError::Log(e.to_string());
    let value = json::strict(response, RESPONSE_BYTES_MAX).map_err(|e| failed(&e))?;
    let Value::Object(entries) = value else { return Err(failed(&"it is no object")) };
    if entries.len() != 1 {
        return Err(failed(&format_args!("it holds {} entries instead of one", entries.len())));
    }
    let entry = entries.into_values().next().unwrap_or_default();
    let entry: Entry = serde_json::from_value(entry).map_err(|e| failed(&e))?;
    let proof = entry.verification.inclusion_proof;
    if proof.hashes.len() > HASHES_MAX || proof.checkpoint.len() > CHECKPOINT_BYTES_MAX {
        return Err(failed(&"its inclusion proof is too long"));
    }
    let hashes = proof.hashes.iter().map(|h| hash("hashes", h)).collect::<Result<Vec<_>, _>>()?;
    Ok(json!({
        "logIndex": entry.log_index.to_string(),
        "logId": { "keyId": hash("logID", &entry.log_id)? },
        "kindVersion": { "kind": KIND, "version": VERSION },
        "integratedTime": entry.integrated_time.to_string(),
        "inclusionPromise": { "signedEntryTimestamp": entry.verification.signed_entry_timestamp },
        "inclusionProof": {
            "logIndex": proof.log_index.to_string(),
            "rootHash": hash("rootHash", &proof.root_hash)?,
            "treeSize": proof.tree_size.to_string(),
            "hashes": hashes,
            "checkpoint": { "envelope": proof.checkpoint },
        },
        "canonicalizedBody": entry.body,
    }))
}

/// A SHA-256 in hexadecimal digits, as base64.
fn hash(field: &str, text: &str) -> Result<String, KeylessError> {
    let digest: weighbridge_types::Sha256 =
        text.parse().map_err(|_| KeylessError::Log(format!("`{field}` is no SHA-256")))?;
    Ok(STANDARD.encode(digest.as_bytes()))
}
