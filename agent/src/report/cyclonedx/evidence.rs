use serde_json::{Value, json};
use weighbridge_types::{Artifact, Claim, Strength};

use super::TOOL;
use crate::report::bom::{
    Bill, ITEMS_MAX, ModelEntry, NAME_CHARS_MAX, Object, PATH_CHARS_MAX, TEXT_CHARS_MAX, purl, text,
};

/// Why a model is said to be what it is, and where it lies.
pub fn of_model(bill: &Bill<'_>, entry: &ModelEntry<'_>) -> Object {
    let identity = entry.model.origin.iter().filter_map(identity).take(ITEMS_MAX);
    let digest = bill.only_sha256(entry).map(|digest| {
        json!({
            "field": "hash",
            "confidence": 1,
            "concludedValue": digest,
            "methods": [{"technique": "hash-comparison", "confidence": 1, "value": "SHA-256 of the bytes inspected"}],
            "tools": [TOOL],
        })
    });
    Object::new()
        .list("identity", identity.chain(digest))
        .list("occurrences", [json!({"location": text(&entry.model.path, PATH_CHARS_MAX)})])
}

/// Where a file lies.
pub fn of_file(artifact: &Artifact) -> Object {
    let places = std::iter::once(&artifact.path).chain(artifact.also_at.iter().take(ITEMS_MAX));
    Object::new().list("occurrences", places.map(|p| json!({"location": text(p, PATH_CHARS_MAX)})))
}

/// A claim as evidence of identity: of the package, or of its version alone.
fn identity(claim: &Claim) -> Option<Value> {
    let revision = || claim.revision.as_deref().filter(|r| !r.trim().is_empty());
    let (field, value) =
        claim.purl.as_deref().and_then(purl).map(|p| ("purl", p)).or_else(|| Some(("version", revision()?)))?;
    let confidence = confidence(claim.strength);
    Some(json!({
        "field": field,
        "confidence": confidence,
        "concludedValue": text(value, NAME_CHARS_MAX * 2),
        "methods": [{
            "technique": technique(&claim.source),
            "confidence": confidence,
            "value": text(&format!("{}: {}", claim.source, claim.detail), TEXT_CHARS_MAX),
        }],
        "tools": [TOOL],
    }))
}

/// An ordering put as numbers: the format wants one.
const fn confidence(strength: Strength) -> f64 {
    match strength {
        Strength::Hint => 0.2,
        Strength::Record => 0.5,
        Strength::Content => 0.8,
        Strength::Proof => 1.0,
    }
}

fn technique(source: &str) -> &'static str {
    match source {
        "attestation" => "attestation",
        "catalogue" => "hash-comparison",
        "gguf" | "safetensors" => "binary-analysis",
        "hf-cache" | "hf-local-dir" | "ollama" | "oci" | "git-lfs" => "manifest-analysis",
        "lm-studio" => "filename",
        _ => "other",
    }
}
