//! SPDX 3.0.1, JSON-LD, with the AI, software, licensing and security
//! profiles. docs/aibom.md maps our fields.

mod file;
mod graph;
mod licences;
mod package;
mod relations;
mod vulnerabilities;

use std::io::{self, Write};

use jiff::Timestamp;
use serde_json::{Value, json};
use weighbridge_types::Report;

use super::bom::{Bill, ITEMS_MAX, Object, TEXT_CHARS_MAX, text};
use graph::Graph;

/// What SPDX says where nothing is known.
const NO_ASSERTION: &str = "NOASSERTION";
/// The licence of which nothing is known (an individual of the model).
const NO_ASSERTION_LICENSE: &str = "https://spdx.org/rdf/3.0.1/terms/ExpandedLicensing/NoAssertionLicense";

/// A bill of materials of the models found, as of `now`.
pub fn spdx3(out: &mut impl Write, report: &Report, now: Timestamp) -> io::Result<()> {
    let bill = Bill::new(report)?;
    let mut graph = Graph::new(&bill.serial);
    let creation = creation(&mut graph, report, now);
    for entry in &bill.models {
        package::add(&mut graph, &bill, entry);
    }
    for file in &bill.files {
        file::add(&mut graph, file);
    }
    for entry in &bill.models {
        relations::add(&mut graph, &bill, entry);
    }
    vulnerabilities::add(&mut graph, &bill);
    let document = json!({
        "@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld",
        "@graph": with_document(graph, &bill, creation),
    });
    serde_json::to_writer_pretty(&mut *out, &document)?;
    writeln!(out)
}

/// Who writes this, with what, and when.
fn creation(graph: &mut Graph, report: &Report, now: Timestamp) -> Value {
    let agent = graph.add("SoftwareAgent", "agent-weighbridge", |e| e.with("name", "weighbridge"));
    let tool = graph.add("Tool", "tool-weighbridge", |e| {
        e.with("name", format!("weighbridge {}", text(&report.tool.version, 128)))
            .with("description", text(&format!("rules {}", report.tool.rules), TEXT_CHARS_MAX))
    });
    json!({
        "type": "CreationInfo",
        "@id": graph::CREATION,
        "specVersion": "3.0.1",
        "created": Timestamp::from_second(now.as_second()).unwrap_or(now).to_string(),
        "createdBy": [agent],
        "createdUsing": [tool],
    })
}

/// All elements, with the two that list them in front.
fn with_document(mut graph: Graph, bill: &Bill<'_>, creation: Value) -> Vec<Value> {
    let roots: Vec<String> = (bill.models.iter().map(|m| m.id.as_str()))
        .chain(bill.loose_files().map(|f| f.id.as_str()))
        .map(|id| graph.iri(id))
        .collect();
    let scanned: Vec<&str> = bill.report.roots.iter().map(String::as_str).take(ITEMS_MAX).collect();
    let unread = bill.report.errors.len();
    let scanned = format!("scanned: {}; could not be read: {unread}", scanned.join(", "));
    let parts: Vec<String> = graph.iris().map(str::to_owned).collect();
    let sbom = graph.element("software_Sbom", "sbom").map(|e| {
        e.with("name", "models found by weighbridge")
            .with("comment", text(&scanned, TEXT_CHARS_MAX))
            .with("software_sbomType", json!(["analyzed"]))
            .with("profileConformance", json!(profiles()))
            .list("rootElement", roots)
            .list("element", parts.iter().map(String::as_str))
    });
    let root = graph.iri("sbom");
    let document = graph.element("SpdxDocument", "document").map(|e| {
        e.with("name", "models found by weighbridge")
            .with("profileConformance", json!(profiles()))
            .with("rootElement", json!([root]))
            .list("element", std::iter::once(root.as_str()).chain(parts.iter().map(String::as_str)))
    });
    let front = [Some(creation), document.map(Value::from), sbom.map(Value::from)];
    front.into_iter().flatten().chain(graph.into_elements()).collect()
}

const fn profiles() -> [&'static str; 5] {
    ["core", "software", "ai", "simpleLicensing", "security"]
}

/// A key and its value.
fn entry(key: &str, value: &str) -> Value {
    Object::new().with("type", "DictionaryEntry").with("key", key).with("value", value).into()
}
