//! CycloneDX 1.6 and 1.7 (ECMA-424), JSON. docs/aibom.md maps our fields.

mod citations;
mod component;
mod evidence;
mod graph;
mod model_card;
mod pedigree;
mod vulnerabilities;

use std::io::{self, Write};

use jiff::Timestamp;
use serde_json::{Value, json};
use weighbridge_types::Report;

use super::bom::{Bill, ITEMS_MAX, Object, PATH_CHARS_MAX, text};

/// Reference to what was scanned.
const ROOT: &str = "scanned";
/// Reference to this program.
const TOOL: &str = "weighbridge";

/// Which version of the specification to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpecVersion {
    V1_6,
    V1_7,
}

impl SpecVersion {
    const fn name(self) -> &'static str {
        match self {
            Self::V1_6 => "1.6",
            Self::V1_7 => "1.7",
        }
    }
}

/// A bill of materials of the models found, as of `now`.
pub fn cyclonedx(out: &mut impl Write, report: &Report, version: SpecVersion, now: Timestamp) -> io::Result<()> {
    let bill = Bill::new(report)?;
    let components: Vec<Value> = bill
        .models
        .iter()
        .map(|m| component::model(&bill, m).into())
        .chain(bill.loose_files().map(|f| component::file(f).into()))
        .collect();
    let citations = if version == SpecVersion::V1_7 { citations::of(&bill, now) } else { Vec::new() };
    let document = Object::new()
        .with("$schema", format!("http://cyclonedx.org/schema/bom-{}.schema.json", version.name()))
        .with("bomFormat", "CycloneDX")
        .with("specVersion", version.name())
        .with("serialNumber", format!("urn:uuid:{}", bill.serial))
        .with("version", 1)
        .with("metadata", metadata(report, now))
        .with("components", components)
        .with("dependencies", graph::dependencies(&bill))
        .list("compositions", graph::compositions(&bill))
        .list("vulnerabilities", vulnerabilities::of(&bill))
        .list("citations", citations);
    serde_json::to_writer_pretty(&mut *out, &Value::from(document))?;
    writeln!(out)
}

fn metadata(report: &Report, now: Timestamp) -> Value {
    let roots: Vec<String> = report.roots.iter().map(|r| text(r, PATH_CHARS_MAX)).collect();
    let name = match roots.as_slice() {
        [one] if !one.is_empty() => one.clone(),
        many => format!("{} scanned paths", many.len()),
    };
    let places = roots.iter().take(ITEMS_MAX).map(|r| json!({"location": r}));
    json!({
        "timestamp": seconds(now),
        "lifecycles": [{"phase": "discovery"}],
        "tools": {"components": [{
            "type": "application",
            "bom-ref": TOOL,
            "name": TOOL,
            "version": text(&report.tool.version, 128),
            "properties": [property("rules", &report.tool.rules)],
        }]},
        "component": Value::from(
            Object::new()
                .with("type", "file")
                .with("bom-ref", ROOT)
                .with("name", name)
                .object("evidence", Object::new().list("occurrences", places)),
        ),
    })
}

/// RFC 3339 in UTC, whole seconds.
fn seconds(now: Timestamp) -> String {
    Timestamp::from_second(now.as_second()).unwrap_or(now).to_string()
}

/// A property in our namespace.
fn property(name: &str, value: &str) -> Value {
    json!({"name": format!("weighbridge:{name}"), "value": text(value, PATH_CHARS_MAX)})
}
