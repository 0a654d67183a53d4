use serde_json::{Value, json};

use super::property;
use crate::report::bom::{Bill, ITEMS_MAX, ModelEntry, Object, lines, named};

/// What a model was made from, as it says, and what its norm tensors say.
pub fn of(bill: &Bill<'_>, entry: &ModelEntry<'_>) -> Object {
    let mut notes = Vec::new();
    let mut ancestors: Vec<Value> = Vec::new();
    for ancestor in bill.ancestors(entry) {
        notes.push(format!("made from {}, as its files say; not verified", ancestor.name));
        ancestors.push(related(&ancestor.name, "declared").maybe("purl", ancestor.purl).into());
    }
    // Two models here with one fingerprint are related; which came first is
    // not known. Those of the catalogue are base models.
    let mut variants: Vec<Value> = Vec::new();
    for name in entry.model.lineage.iter().flat_map(|l| &l.likely_derived_from).take(ITEMS_MAX) {
        let here = bill.find(entry, name);
        let name = here.map_or_else(|| named(name), |m| named(&m.model.name));
        notes.push(format!("likely derived from {name}: the norm tensors agree; a relation, not a proof"));
        let related = related(&name, "likely derived from, by norm tensors");
        match here {
            Some(other) => variants.push(related.maybe("version", bill.version(other)).into()),
            None => ancestors.push(related.into()),
        }
    }
    Object::new()
        .list("ancestors", ancestors)
        .list("variants", variants)
        .maybe("notes", (!notes.is_empty()).then(|| lines(&notes)))
}

fn related(name: &str, relation: &str) -> Object {
    Object::new()
        .with("type", "machine-learning-model")
        .with("name", name)
        .with("properties", json!([property("relation", relation)]))
}
