use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::{Value, json};
use weighbridge_types::{Artifact, Finding, Report, Severity};

/// SARIF 2.1.0 (OASIS Standard, 27 March 2020).
pub fn sarif(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let mut rules: BTreeMap<&str, Value> = BTreeMap::new();
    let mut results = Vec::new();
    for artifact in &report.artifacts {
        for finding in &artifact.findings {
            rules.entry(&finding.rule).or_insert_with(|| rule(finding));
            results.push((artifact, finding));
        }
    }
    let index: BTreeMap<&str, usize> = rules.keys().enumerate().map(|(i, id)| (*id, i)).collect();
    let results: Vec<Value> = results.iter().map(|(a, f)| result(a, f, index.get(&*f.rule).copied())).collect();
    let errors: Vec<Value> = report
        .errors
        .iter()
        .map(|e| json!({"level": "error", "message": {"text": format!("{}: {}", e.path, e.message)}}))
        .collect();
    let document = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "Weighbridge",
                "semanticVersion": report.tool.version,
                "rules": rules.into_values().collect::<Vec<_>>(),
            }},
            "artifacts": report.artifacts.iter().map(described).collect::<Vec<_>>(),
            "results": results,
            "columnKind": "utf16CodeUnits",
            "invocations": [{
                "executionSuccessful": true,
                "toolExecutionNotifications": errors,
            }],
        }],
    });
    serde_json::to_writer_pretty(&mut *out, &document)?;
    writeln!(out)
}

fn rule(finding: &Finding) -> Value {
    let page = weighbridge_scanner::all_rules().find(|r| r.id == finding.rule);
    let mut rule = json!({
        "id": finding.rule,
        "shortDescription": {"text": finding.title},
        "defaultConfiguration": {"level": level(finding.severity)},
        "properties": {"security-severity": score(finding.severity), "tags": ["security", "supply-chain"]},
    });
    if let (Some(page), Some(rule)) = (page, rule.as_object_mut()) {
        rule.insert("fullDescription".into(), json!({"text": page.what}));
        let help = format!("{}\n\nFalse positives: {}\n\n{}", page.why, page.false_positives, page.remedy);
        rule.insert("help".into(), json!({"text": help}));
        if let Some(link) = page.references.iter().find_map(|r| link(r)) {
            rule.insert("helpUri".into(), link.into());
        }
    }
    rule
}

fn result(artifact: &Artifact, finding: &Finding, rule_index: Option<usize>) -> Value {
    let mut physical = json!({"artifactLocation": {"uri": uri(&artifact.path)}});
    if let (Some(offset), None, Some(physical)) = (finding.offset, &finding.member, physical.as_object_mut()) {
        physical.insert("region".into(), json!({"byteOffset": offset, "byteLength": 1}));
    }
    let mut location = json!({"physicalLocation": physical});
    if let (Some(member), Some(location)) = (&finding.member, location.as_object_mut()) {
        location.insert("logicalLocations".into(), json!([{"fullyQualifiedName": member, "kind": "member"}]));
    }
    json!({
        "ruleId": finding.rule,
        "ruleIndex": rule_index.map_or(-1, |i| i64::try_from(i).unwrap_or(-1)),
        "level": level(finding.severity),
        "message": {"text": format!("{}: {}", finding.title, finding.detail)},
        "locations": [location],
        "properties": {
            "severity": finding.severity,
            "verdict": artifact.verdict,
            "format": artifact.format,
            "offset": finding.offset,
            "references": finding.references,
        },
    })
}

fn described(artifact: &Artifact) -> Value {
    let mut out = json!({
        "location": {"uri": uri(&artifact.path)},
        "length": artifact.size_bytes,
        "properties": {"format": artifact.format, "verdict": artifact.verdict},
    });
    if let (Some(decision), Some(properties)) = (&artifact.decision, out.pointer_mut("/properties")) {
        properties["decision"] = json!(decision);
    }
    if let (Some(digest), Some(out)) = (artifact.sha256, out.as_object_mut()) {
        out.insert("hashes".into(), json!({"sha-256": digest}));
    }
    out
}

const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::Info => "note",
    }
}

/// The scale code-scanning services use.
const fn score(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "9.5",
        Severity::High => "8.0",
        Severity::Medium => "5.5",
        Severity::Low => "3.0",
        Severity::Info => "0.0",
    }
}

/// An address for a reference.
fn link(reference: &str) -> Option<String> {
    if reference.starts_with("https://") {
        Some(reference.to_owned())
    } else if reference.starts_with("CVE-") {
        Some(format!("https://www.cve.org/CVERecord?id={reference}"))
    } else {
        reference.strip_prefix("CWE-").map(|n| format!("https://cwe.mitre.org/data/definitions/{n}.html"))
    }
}

/// A path as a URI reference (RFC 3986): all but unreserved characters and
/// slashes percent-encoded.
pub(super) fn uri(path: &str) -> String {
    let mut out = String::from(if path.starts_with('/') { "file://" } else { "" });
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
