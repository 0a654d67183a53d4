//! What files say of themselves: GGUF `general.*`, safetensors
//! `__metadata__`, the model card. Whoever makes a file writes these.

use serde_json::Value;
use weighbridge_types::{Artifact, Claim, Strength};

use super::{address, claim};

/// Most base models named.
const BASES_MAX: usize = 4;
/// Facts that hold an address of the model itself, the most exact first.
const ADDRESSES: &[&str] = &["repo_url", "url", "source_repo_url", "source_url"];
/// Facts told in words.
const WORDS: &[(&str, &str)] =
    &[("name", "name"), ("organization", "organization"), ("author", "author"), ("quantized_by", "quantised by")];

/// The claim of a file that says anything of its origin.
pub fn claims(artifact: &Artifact) -> Option<Claim> {
    let source = match artifact.format.as_str() {
        source @ ("gguf" | "safetensors" | "model-card") => source,
        _ => return None,
    };
    let facts = &artifact.metadata;
    let text = |key: &str| facts.get(key).and_then(Value::as_str).filter(|t| !t.trim().is_empty());
    let mut words: Vec<String> =
        WORDS.iter().filter_map(|(key, word)| Some(format!("{word} `{}`", address::text(text(key)?)))).collect();
    let url = ADDRESSES.iter().find_map(|key| address::url(text(key)?));
    let repository = text("source_repository").and_then(address::repository);
    words.extend(bases(artifact).into_iter().map(|base| format!("made from `{}`", address::text(&base))));
    let origin = url.is_some() || repository.is_some() || words.iter().any(|w| !w.starts_with("name "));
    if !origin {
        return None;
    }
    let purl = match &repository {
        Some(id) => Some(crate::purl::huggingface(id, None)),
        None => url.as_deref().and_then(|u| address::purl_of(u, None)),
    };
    let detail = format!(
        "the file says so of itself: {}",
        if words.is_empty() { "an address".to_owned() } else { words.join(", ") }
    );
    Some(Claim { purl, url, ..claim(Strength::Hint, source, detail) })
}

/// Names of the models that it says it was made from.
fn bases(artifact: &Artifact) -> Vec<String> {
    match artifact.metadata.get("base_model") {
        Some(Value::String(one)) if !one.is_empty() => vec![one.clone()],
        Some(Value::Array(many)) => many.iter().filter_map(|v| v.as_str().map(str::to_owned)).take(BASES_MAX).collect(),
        _ => Vec::new(),
    }
}
