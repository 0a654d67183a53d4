use serde_json::json;
use weighbridge_types::ModelKind;

use super::graph::Graph;
use super::{NO_ASSERTION, licences};
use crate::report::bom::{Bill, ITEMS_MAX, ModelEntry, id, named};

/// What a model consists of, comes from and was trained on.
pub fn add(graph: &mut Graph, bill: &Bill<'_>, entry: &ModelEntry<'_>) {
    let package = graph.iri(&entry.id);
    let files: Vec<String> = bill.files_of(entry).map(|f| graph.iri(&f.id)).collect();
    if !files.is_empty() {
        let completeness = if bill.is_incomplete(entry) { "incomplete" } else { NO_COMPLETENESS };
        graph.relate(&package, "contains", &files, |e| e.with("completeness", completeness));
    }
    licences::add(graph, bill, entry, &package);
    ancestors(graph, bill, entry, &package);
    lineage(graph, bill, entry, &package);
    for name in bill.list(entry, "datasets") {
        let data = graph.add("dataset_DatasetPackage", &id("dataset", &[&name]), |e| {
            e.with("name", named(&name))
                .with("software_primaryPurpose", "data")
                .with("dataset_datasetType", json!(["noAssertion"]))
        });
        graph.relate(&package, "trainedOn", &[data], |e| e.with("comment", "as its files say; not verified"));
    }
}

const NO_COMPLETENESS: &str = "noAssertion";

fn ancestors(graph: &mut Graph, bill: &Bill<'_>, entry: &ModelEntry<'_>, package: &str) {
    for ancestor in bill.ancestors(entry) {
        let base = match bill.find(entry, &ancestor.raw) {
            Some(here) => graph.iri(&here.id),
            None => outside(graph, &ancestor.name, ancestor.purl.as_deref()),
        };
        let to = [base];
        graph.relate(package, "descendantOf", &to, |e| e.with("comment", "as its files say; not verified"));
        if entry.model.kind == ModelKind::Adapter {
            graph.relate(package, "dependsOn", &to, |e| e.with("comment", "an adapter changes its base model"));
        }
    }
}

/// Two models here with one fingerprint are variants: which came first is not
/// known. Those of the catalogue are base models.
fn lineage(graph: &mut Graph, bill: &Bill<'_>, entry: &ModelEntry<'_>, package: &str) {
    const COMMENT: &str = "likely derived: the norm tensors agree; a relation, not a proof";
    for name in entry.model.lineage.iter().flat_map(|l| &l.likely_derived_from).take(ITEMS_MAX) {
        let (kind, other) = match bill.find(entry, name) {
            Some(here) => ("hasVariant", graph.iri(&here.id)),
            // Apart from what files declare, so that the comments stay true.
            None => ("descendantOf", outside_as(graph, "lineage", name, None)),
        };
        graph.relate(package, kind, &[other], |e| e.with("comment", COMMENT));
    }
}

/// A model that is named and was not found.
fn outside(graph: &mut Graph, name: &str, purl: Option<&str>) -> String {
    outside_as(graph, "ancestor", name, purl)
}

fn outside_as(graph: &mut Graph, kind: &str, name: &str, purl: Option<&str>) -> String {
    graph.add("software_Package", &id(kind, &[name]), |e| {
        e.with("name", named(name))
            .with("comment", "not found in this scan")
            .with("software_primaryPurpose", "model")
            .with("software_packageVersion", NO_ASSERTION)
            .maybe("software_packageUrl", purl)
    })
}
