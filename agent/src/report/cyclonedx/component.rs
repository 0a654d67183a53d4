use serde_json::{Value, json};
use weighbridge_types::{ModelKind, Sha256, Signature};

use super::{evidence, model_card, pedigree, property};
use crate::report::bom::{
    Bill, File, ITEMS_MAX, Licence, ModelEntry, Object, TEXT_CHARS_MAX, bundle, licences, named, signature_facts, text,
    url,
};
use crate::report::sarif::uri;

/// A model, with the files that no earlier model lists below it.
pub fn model(bill: &Bill<'_>, entry: &ModelEntry<'_>) -> Object {
    let model = entry.model;
    let authors = bill.list(entry, "author").into_iter().map(|name| json!({"name": name}));
    Object::new()
        .with("type", "machine-learning-model")
        .with("bom-ref", entry.id.as_str())
        .maybe("supplier", bill.supplier(entry).map(|name| json!({"name": name})))
        .list("authors", authors)
        .maybe("publisher", bill.says(entry, "organization"))
        .with("name", named(&model.name))
        .maybe("version", bill.version(entry))
        .maybe("description", bill.says(entry, "description").or_else(|| bill.says(entry, "doc_string")))
        .list("hashes", bill.only_sha256(entry).map(hash))
        .list("licenses", licence_choice(bill, entry))
        .maybe("purl", bill.purl(entry).map(|(_, purl)| purl))
        .object("pedigree", pedigree::of(bill, entry))
        .list("externalReferences", references(bill, entry))
        .list("components", bill.own_files(entry).map(file))
        .object("evidence", evidence::of_model(bill, entry))
        .object("modelCard", model_card::of(bill, entry))
        .list("properties", properties(bill, entry))
        .list("tags", bill.list(entry, "tags"))
}

/// One file.
pub fn file(file: &File<'_>) -> Object {
    let artifact = file.artifact;
    let kind = data_kind(&artifact.format);
    let mut properties = vec![
        property("format", &artifact.format),
        property("verdict", artifact.verdict.name()),
        property("size-bytes", &artifact.size_bytes.to_string()),
    ];
    if let Some(signature) = &artifact.signature {
        properties.extend(signature_facts(signature).iter().map(|(name, value)| property(name, value)));
    }
    Object::new()
        .with("type", if kind.is_some() { "data" } else { "file" })
        .with("bom-ref", file.id.as_str())
        .with("name", file.name())
        .list("hashes", artifact.sha256.map(hash))
        .list("externalReferences", artifact.signature.as_ref().and_then(bundle_reference))
        .maybe("data", kind.map(|kind| json!([{"type": kind, "name": artifact.format}])))
        .object("evidence", evidence::of_file(artifact))
        .list("properties", properties)
}

/// What kind of data a file is, if it is neither weights nor program.
fn data_kind(format: &str) -> Option<&'static str> {
    match format {
        "hf-config" | "tokenizer" | "sentencepiece" | "chat-template" | "safetensors-index" | "yaml-config"
        | "lora" | "mlc" | "modelfile" | "json" | "oci-model" => Some("configuration"),
        "model-card" => Some("definition"),
        _ => None,
    }
}

fn hash(sha256: Sha256) -> Value {
    json!({"alg": "SHA-256", "content": sha256})
}

/// Identifiers where SPDX has them, names otherwise; a lone expression, since
/// 1.6 does not mix the two.
fn licence_choice(bill: &Bill<'_>, entry: &ModelEntry<'_>) -> Vec<Value> {
    let (licences, _) = licences(bill, entry);
    if let [Licence::Expression(expression)] = licences.as_slice() {
        return vec![json!({"expression": expression, "acknowledgement": "declared"})];
    }
    let page = bill.says(entry, "license_link").and_then(|l| url(&l));
    let one = |licence: &Licence| {
        let choice = match licence {
            Licence::Id(id) => Object::new().with("id", *id),
            Licence::Expression(name) | Licence::Name(name) => Object::new().with("name", name.as_str()),
        };
        let page = page.clone().filter(|_| licences.len() == 1);
        json!({"license": Value::from(choice.with("acknowledgement", "declared").maybe("url", page))})
    };
    licences.iter().map(one).collect()
}

fn references(bill: &Bill<'_>, entry: &ModelEntry<'_>) -> Vec<Value> {
    let mut out = Vec::from_iter(entry.model.signature.as_ref().and_then(bundle_reference));
    for (claim, address) in bill.downloads(entry) {
        let comment = text(&format!("claimed by {}: {}", claim.source, claim.detail), TEXT_CHARS_MAX);
        out.push(json!({"type": "distribution", "url": address, "comment": comment}));
    }
    for (key, kind) in [("repo_url", "vcs"), ("url", "website")] {
        if let Some(address) = bill.says(entry, key).and_then(|a| url(&a)) {
            out.push(json!({"type": kind, "url": address, "comment": "as its metadata says"}));
        }
    }
    out
}

/// The bundle beside it. One that could not be verified attests nothing.
fn bundle_reference(signature: &Signature) -> Option<Value> {
    let facts: Vec<String> =
        signature_facts(signature).iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let kind = if matches!(signature, Signature::Trusted { .. }) { "attestation" } else { "other" };
    let comment = text(&facts.join("; "), TEXT_CHARS_MAX);
    bundle(signature).map(|path| json!({"type": kind, "url": uri(path), "comment": comment}))
}

fn properties(bill: &Bill<'_>, entry: &ModelEntry<'_>) -> Vec<Value> {
    let model = entry.model;
    let mut out = vec![
        property("format", &model.format),
        property("kind", kind_name(model.kind)),
        property("verdict", model.verdict.name()),
        property("size-bytes", &model.size_bytes.to_string()),
    ];
    if let Some(digest) = bill.digest_of(entry) {
        out.push(property("digest", &digest));
    }
    if let Some(signature) = &model.signature {
        out.extend(signature_facts(signature).iter().map(|(name, value)| property(name, value)));
    }
    out.extend(bill.claims(entry).iter().map(|claim| property("origin", claim)));
    if let Some(lineage) = &model.lineage {
        out.push(property("lineage-fingerprint", &lineage.fingerprint));
        out.push(property("lineage-tensors", &lineage.tensors.to_string()));
    }
    out.extend(model.missing.iter().take(ITEMS_MAX).map(|m| property("missing", m)));
    out.extend(model.same_as.iter().take(ITEMS_MAX).map(|s| property("same-as", s)));
    out
}

/// As it stands in the report.
const fn kind_name(kind: ModelKind) -> &'static str {
    match kind {
        ModelKind::File => "file",
        ModelKind::Sharded => "sharded",
        ModelKind::Repository => "repository",
        ModelKind::HfSnapshot => "hf-snapshot",
        ModelKind::Ollama => "ollama",
        ModelKind::Oci => "oci",
        ModelKind::SavedModel => "saved-model",
        ModelKind::CoremlPackage => "coreml-package",
        ModelKind::TfCheckpoint => "tf-checkpoint",
        ModelKind::ExternalData => "external-data",
        ModelKind::Adapter => "adapter",
    }
}
