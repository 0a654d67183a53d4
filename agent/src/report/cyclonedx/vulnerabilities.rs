use serde_json::{Value, json};

use crate::report::bom::{Bill, Object, Weakness, weaknesses};

/// Findings under the identifier of their rule, advisories under their CVE
/// where they have one.
pub fn of(bill: &Bill<'_>) -> Vec<Value> {
    weaknesses(bill).iter().map(vulnerability).collect()
}

fn vulnerability(weakness: &Weakness) -> Value {
    let references = weakness.aliases.iter().map(|id| json!({"id": id, "source": source(id, false)}));
    let pages = weakness.pages.iter().map(|(title, url)| json!({"title": title, "url": url}));
    Object::new()
        .with("bom-ref", weakness.local_id.as_str())
        .with("id", weakness.id.as_str())
        .with("source", source(&weakness.id, weakness.is_finding))
        .list("references", references)
        .with(
            "ratings",
            json!([{"source": {"name": "weighbridge"}, "severity": weakness.severity.name(), "method": "other"}]),
        )
        .list("cwes", weakness.cwes.iter().copied())
        .with("description", weakness.summary.as_str())
        .maybe("detail", Some(weakness.evidence.as_str()).filter(|e| !e.is_empty()))
        .maybe("recommendation", weakness.remedy.as_deref())
        .list("advisories", pages)
        .maybe("analysis", analysis(weakness))
        .list("affects", weakness.affects.iter().map(|id| json!({"ref": id})))
        .into()
}

/// Who gave it that name.
fn source(id: &str, is_finding: bool) -> Value {
    if is_finding {
        json!({"name": "weighbridge"})
    } else if id.starts_with("CVE-") {
        json!({"name": "CVE", "url": "https://www.cve.org/"})
    } else if id.starts_with("GHSA-") {
        json!({"name": "GitHub", "url": "https://github.com/advisories"})
    } else {
        json!({"name": "advisory"})
    }
}

/// Only what a match by itself decides. A finding is raised by a program, and
/// nobody has looked at it yet.
fn analysis(weakness: &Weakness) -> Option<Value> {
    if weakness.is_finding {
        return None;
    }
    let (state, detail) = if weakness.is_certain {
        ("exploitable", "digest or version agrees with the advisory")
    } else {
        ("in_triage", "only a claim or the lineage agrees with the advisory; the bytes were not compared")
    };
    Some(json!({"state": state, "detail": detail}))
}
