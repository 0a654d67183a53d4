use serde_json::{Value, json};

use super::graph::Graph;
use crate::report::bom::{File, ITEMS_MAX, Object, PATH_CHARS_MAX, TEXT_CHARS_MAX, bundle, signature_facts, text};
use crate::report::sarif::uri;

/// One file with its digest.
pub fn add(graph: &mut Graph, file: &File<'_>) {
    let artifact = file.artifact;
    let mut notes = vec![
        format!("format: {}", artifact.format),
        format!("verdict: {}", artifact.verdict),
        format!("size-bytes: {}", artifact.size_bytes),
    ];
    notes.extend(artifact.signature.iter().flat_map(signature_facts).map(|(name, value)| format!("{name}: {value}")));
    notes.extend(artifact.also_at.iter().take(ITEMS_MAX).map(|p| format!("also at: {p}")));
    graph.add("software_File", &file.id, |e| {
        e.with("name", super::super::bom::named(&file.name()))
            .with("comment", text(&notes.join("; "), TEXT_CHARS_MAX))
            .with("description", text(&artifact.path, PATH_CHARS_MAX))
            .list("verifiedUsing", artifact.sha256.map(|digest| hash(&digest.to_string())))
            .list("externalRef", artifact.signature.as_ref().and_then(bundle).map(bundle_reference))
            .with("software_primaryPurpose", purpose(&artifact.format))
            .with("software_fileKind", "file")
    });
}

pub fn hash(sha256: &str) -> Value {
    json!({"type": "Hash", "algorithm": "sha256", "hashValue": sha256})
}

/// Where the signature lies.
pub fn bundle_reference(path: &str) -> Value {
    Object::new()
        .with("type", "ExternalRef")
        .with("externalRefType", "securityOther")
        .with("locator", json!([uri(path)]))
        .with("comment", "signature bundle (OpenSSF Model Signing)")
        .into()
}

fn purpose(format: &str) -> &'static str {
    match format {
        "hf-config" | "tokenizer" | "sentencepiece" | "chat-template" | "safetensors-index" | "yaml-config"
        | "adapter-config" | "mlc" | "modelfile" | "json" | "xml" => "configuration",
        "model-card" => "documentation",
        "python-source" | "script" => "source",
        "oci-model" => "manifest",
        "requirements" => "requirement",
        "model-signing" => "evidence",
        "executable" => "executable",
        "zip" | "tar" | "gzip" | "rar" | "7z" => "archive",
        "unknown" => "other",
        _ => "model",
    }
}
