use serde_json::{Value, json};

use super::graph::Graph;
use super::package::identifier;
use crate::report::bom::{Bill, Object, TEXT_CHARS_MAX, Weakness, id, text, weaknesses};

/// What to do where neither rule nor advisory says.
const ACTION: &str = "do not load it until it was looked at";

/// Advisories and rules as vulnerabilities; each match as an assessment (VEX):
/// affected where it is certain, under investigation where it is not.
pub fn add(graph: &mut Graph, bill: &Bill<'_>) {
    for weakness in weaknesses(bill) {
        let vulnerability = vulnerability(graph, &weakness);
        let affected: Vec<String> = weakness.affects.iter().map(|id| graph.iri(id)).collect();
        for element in &affected {
            graph.relate(element, "hasAssociatedVulnerability", std::slice::from_ref(&vulnerability), |e| e);
        }
        let notes = format!("severity: {}\n{}", weakness.severity, weakness.evidence);
        let assessed = affected.first().cloned();
        let fill = |e: Object| e.maybe("security_assessedElement", assessed).with("security_statusNotes", notes);
        if weakness.is_certain {
            let action = weakness.remedy.as_deref().unwrap_or(ACTION);
            graph.relate_as(
                "security_VexAffectedVulnAssessmentRelationship",
                &vulnerability,
                "affects",
                &affected,
                |e| fill(e).with("security_actionStatement", text(action, TEXT_CHARS_MAX)),
            );
        } else {
            graph.relate_as(
                "security_VexUnderInvestigationVulnAssessmentRelationship",
                &vulnerability,
                "underInvestigationFor",
                &affected,
                fill,
            );
        }
    }
}

fn vulnerability(graph: &mut Graph, weakness: &Weakness) -> String {
    let kind = if weakness.is_finding { "rule" } else { "vulnerability" };
    let names = std::iter::once(&weakness.id).chain(&weakness.aliases);
    let identifiers: Vec<Value> =
        names.map(|n| identifier(if n.starts_with("CVE-") { "cve" } else { "securityOther" }, n)).collect();
    let pages = weakness.pages.iter().map(|(title, url)| {
        json!({"type": "ExternalRef", "externalRefType": "securityAdvisory", "locator": [url], "comment": title})
    });
    let cwes = weakness
        .cwes
        .iter()
        .map(|n| json!({"type": "ExternalRef", "externalRefType": "cwe", "locator": [format!("CWE-{n}")]}));
    graph.add("security_Vulnerability", &id(kind, &[&weakness.id]), |e| {
        e.with("name", weakness.id.as_str())
            .with("summary", weakness.summary.as_str())
            .list("externalIdentifier", identifiers)
            .list("externalRef", pages.chain(cwes))
    })
}
