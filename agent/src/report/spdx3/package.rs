use jiff::Timestamp;
use serde_json::{Value, json};

use super::file::{bundle_reference, hash};
use super::graph::Graph;
use super::{NO_ASSERTION, entry};
use crate::report::bom::{
    Bill, ModelEntry, NAME_CHARS_MAX, Object, PATH_CHARS_MAX, TEXT_CHARS_MAX, bundle, id, lines, named,
    signature_facts, text, url,
};

/// One model. What the class demands and nobody knows is `NOASSERTION`, but
/// for the release time, which has no such value.
pub fn add(graph: &mut Graph, bill: &Bill<'_>, model_entry: &ModelEntry<'_>) {
    let model = model_entry.model;
    let says = |key| bill.says(model_entry, key);
    let supplier = agent(graph, bill.supplier(model_entry).as_deref());
    let author = says("organization").or_else(|| says("author")).map(|name| agent(graph, Some(&name)));
    let downloads = bill.downloads(model_entry);
    let purl = bill.purl(model_entry).map(|(_, purl)| purl);
    let family = says("model_type").or_else(|| says("architecture"));
    let types: Vec<String> = family.into_iter().chain(says("architecture")).collect();
    graph.add("ai_AIPackage", &model_entry.id, |e| {
        e.with("name", named(&model.name))
            .maybe("description", says("description").or_else(|| says("doc_string")))
            .with("comment", comment(model_entry))
            .list("verifiedUsing", bill.only_sha256(model_entry).map(|d| hash(&d.to_string())))
            .list("externalIdentifier", purl.map(|p| identifier("packageUrl", p)))
            .list("externalRef", model.signature.as_ref().and_then(bundle).map(bundle_reference))
            .maybe("builtTime", says("date").and_then(|d| time(&d)))
            .list("originatedBy", author)
            .with("suppliedBy", supplier)
            .with("software_primaryPurpose", "model")
            .with("software_packageVersion", bill.version(model_entry).unwrap_or_else(|| NO_ASSERTION.to_owned()))
            .with("software_downloadLocation", downloads.first().map_or(NO_ASSERTION, |(_, address)| address))
            .maybe("software_packageUrl", purl)
            .maybe("software_homePage", says("repo_url").or_else(|| says("url")).and_then(|a| url(&a)))
            .maybe("software_sourceInfo", source_info(bill, model_entry))
            .list("ai_typeOfModel", unique(types))
            .list("ai_domain", says("pipeline_tag").or_else(|| says("task_type")))
            .list("ai_hyperparameter", hyperparameters(bill, model_entry))
    });
}

/// What has no field of its own: a line each.
fn comment(model_entry: &ModelEntry<'_>) -> String {
    let model = model_entry.model;
    let mut notes = vec![
        format!("format: {}", text(&model.format, NAME_CHARS_MAX)),
        format!("verdict: {}", model.verdict),
        format!("path: {}", text(&model.path, PATH_CHARS_MAX)),
    ];
    notes.extend(model.signature.iter().flat_map(signature_facts).map(|(name, value)| format!("{name}: {value}")));
    if let Some(lineage) = &model.lineage {
        let fingerprint = text(&lineage.fingerprint, NAME_CHARS_MAX);
        notes.push(format!("lineage-fingerprint: {fingerprint} over {} tensors", lineage.tensors));
    }
    notes.extend(model.missing.iter().map(|m| format!("missing: {}", text(m, PATH_CHARS_MAX))));
    notes.extend(model.same_as.iter().map(|s| format!("same as: {}", text(s, PATH_CHARS_MAX))));
    lines(&notes)
}

fn source_info(bill: &Bill<'_>, model_entry: &ModelEntry<'_>) -> Option<String> {
    let claims = bill.claims(model_entry);
    (!claims.is_empty()).then(|| format!("claims, none proven unless it says so:\n{}", lines(&claims)))
}

fn hyperparameters(bill: &Bill<'_>, model_entry: &ModelEntry<'_>) -> Vec<Value> {
    let mut out: Vec<Value> =
        bill.listed(model_entry).iter().map(|(key, value)| entry(&key.replace('_', "-"), value)).collect();
    for (key, list) in [("input", "inputs"), ("output", "outputs")] {
        out.extend(bill.list(model_entry, list).iter().map(|value| entry(key, value)));
    }
    out
}

/// An organisation by name, or nobody in particular.
pub fn agent(graph: &mut Graph, name: Option<&str>) -> String {
    match name {
        Some(name) => {
            let shown = text(name, NAME_CHARS_MAX);
            graph.add("Organization", &id("agent", &[name]), |e| e.with("name", shown))
        }
        None => graph.add("Agent", "agent-noassertion", |e| {
            e.with("name", NO_ASSERTION).with("comment", text("nobody is known", TEXT_CHARS_MAX))
        }),
    }
}

pub fn identifier(kind: &str, value: &str) -> Value {
    Object::new()
        .with("type", "ExternalIdentifier")
        .with("externalIdentifierType", kind)
        .with("identifier", json!(value))
        .into()
}

/// As SPDX writes times: UTC, whole seconds.
fn time(raw: &str) -> Option<String> {
    let time: Timestamp = raw.parse().ok()?;
    let shown = Timestamp::from_second(time.as_second()).ok()?.to_string();
    // Four digits of year, no sign.
    (shown.len() == "2026-01-01T00:00:00Z".len()).then_some(shown)
}

fn unique(mut items: Vec<String>) -> Vec<String> {
    items.dedup();
    items
}
