//! Findings and advisories, as what both formats call vulnerabilities.

use std::collections::{BTreeMap, HashMap};

use weighbridge_types::{AdvisoryMatch, AdvisoryMatchKind, Finding, Rule, Severity, Verdict};

use super::{Bill, File, ITEMS_MAX, NAME_CHARS_MAX, TEXT_CHARS_MAX, id, lines, page_url, text};

/// Something known against files or models.
pub struct Weakness {
    /// Unique in the bill, for this rule and file or this advisory and reason.
    pub local_id: String,
    /// The rule, CVE or advisory.
    pub id: String,
    /// Whether it is a finding of this scan, not an advisory.
    pub is_finding: bool,
    pub severity: Severity,
    pub summary: String,
    /// The evidence, in lines.
    pub evidence: String,
    pub remedy: Option<String>,
    pub cwes: Vec<u32>,
    /// The same problem elsewhere.
    pub aliases: Vec<String>,
    /// Where to read more: title and address.
    pub pages: Vec<(String, String)>,
    /// Identifiers of the files and models it touches, first the one with the evidence.
    pub affects: Vec<String>,
    /// Whether it is certain to apply, or must be looked at first.
    pub is_certain: bool,
}

/// All of them: findings by file and rule, then advisories. Notes (`info`)
/// say nothing against a file and are left out.
pub fn weaknesses(bill: &Bill<'_>) -> Vec<Weakness> {
    let rules: HashMap<&str, &Rule> = weighbridge_scanner::all_rules().map(|r| (r.id, r)).collect();
    let mut out = Vec::new();
    for file in &bill.files {
        let mut by_rule: BTreeMap<&str, Vec<&Finding>> = BTreeMap::new();
        for finding in file.artifact.findings.iter().filter(|f| f.severity > Severity::Info) {
            by_rule.entry(&finding.rule).or_default().push(finding);
        }
        for (rule, findings) in by_rule {
            out.extend(from_findings(bill, file, rule, &findings, rules.get(rule).copied()));
        }
    }
    out.extend(advisories(bill));
    out
}

fn from_findings(
    bill: &Bill<'_>,
    file: &File<'_>,
    id_of_rule: &str,
    findings: &[&Finding],
    rule: Option<&Rule>,
) -> Option<Weakness> {
    let worst = findings.iter().max_by_key(|f| f.severity)?;
    let evidence: Vec<String> = findings.iter().map(|f| evidence(f)).collect();
    let references: Vec<&str> = worst.references.iter().map(AsRef::as_ref).take(ITEMS_MAX).collect();
    let mut affects = vec![file.id.clone()];
    affects.extend(bill.models_of(file).map(|m| m.id.clone()));
    Some(Weakness {
        local_id: id("finding", &[id_of_rule, &file.id]),
        id: text(id_of_rule, NAME_CHARS_MAX),
        is_finding: true,
        severity: worst.severity,
        summary: text(&worst.title, TEXT_CHARS_MAX),
        evidence: text_lines(&evidence),
        remedy: rule.map(|r| r.remedy.to_owned()),
        cwes: references.iter().filter_map(|r| cwe(r)).collect(),
        // A rule refers to cases like it; none of them is this very one.
        aliases: Vec::new(),
        pages: references.iter().filter_map(|r| page(r)).collect(),
        affects,
        is_certain: findings.iter().any(|f| f.verdict == Verdict::Malicious),
    })
}

fn evidence(finding: &Finding) -> String {
    let member = finding.member.as_deref().map(|m| format!(" in {m}")).unwrap_or_default();
    let at = finding.offset.map(|o| format!(" at byte {o}")).unwrap_or_default();
    text(&format!("{}{member}{at}", finding.detail), TEXT_CHARS_MAX)
}

fn text_lines(items: &[String]) -> String {
    lines(items).lines().map(|l| text(l, TEXT_CHARS_MAX)).collect::<Vec<_>>().join("\n")
}

/// An advisory with what it touches and why.
struct Matched<'a> {
    advisory: &'a AdvisoryMatch,
    affects: Vec<String>,
    evidence: Vec<String>,
}

/// Advisories, each with everything it touches for the same reason.
fn advisories(bill: &Bill<'_>) -> Vec<Weakness> {
    let mut all: BTreeMap<(&str, AdvisoryMatchKind), Matched<'_>> = BTreeMap::new();
    let of_models = bill.models.iter().flat_map(|m| m.model.advisories.iter().map(|a| (&m.id, a)));
    let of_files = bill.files.iter().flat_map(|f| f.artifact.advisories.iter().map(|a| (&f.id, a)));
    for (id, advisory) in of_models.chain(of_files) {
        let matched_by = advisory.matched_by;
        let Matched { affects, evidence, .. } = all.entry((&advisory.id, matched_by)).or_insert_with(|| Matched {
            advisory,
            affects: Vec::new(),
            evidence: Vec::new(),
        });
        if !affects.contains(id) {
            affects.push(id.clone());
        }
        let line = text(&format!("{}: {}", matched(matched_by), advisory.evidence), TEXT_CHARS_MAX);
        if !evidence.contains(&line) {
            evidence.push(line);
        }
    }
    all.into_values().map(from_advisory).collect()
}

fn from_advisory(matched_advisory: Matched<'_>) -> Weakness {
    let Matched { advisory, affects, evidence } = matched_advisory;
    let mut names: Vec<String> = std::iter::once(&advisory.id)
        .chain(advisory.aliases.iter().take(ITEMS_MAX))
        .map(|n| text(n, NAME_CHARS_MAX))
        .filter(|n| !n.is_empty())
        .collect();
    // The name that others know comes first.
    let known = names.iter().position(|n| cve(n)).unwrap_or(0);
    let name = if names.is_empty() { "unnamed".to_owned() } else { names.remove(known) };
    Weakness {
        local_id: id("advisory", &[&advisory.id, matched(advisory.matched_by)]),
        id: name,
        is_finding: false,
        severity: advisory.severity,
        summary: text(&advisory.summary, TEXT_CHARS_MAX),
        evidence: text_lines(&evidence),
        remedy: remedy(advisory),
        cwes: Vec::new(),
        aliases: names,
        pages: advisory.references.iter().take(ITEMS_MAX).filter_map(|r| page(r)).collect(),
        affects,
        is_certain: matches!(advisory.matched_by, AdvisoryMatchKind::Digest | AdvisoryMatchKind::Version),
    }
}

fn remedy(advisory: &AdvisoryMatch) -> Option<String> {
    let mut parts = Vec::new();
    if let Some(fixed) = &advisory.fixed {
        parts.push(format!("update to {fixed} or later"));
    }
    if !advisory.replaced_by.is_empty() {
        let by: Vec<&str> = advisory.replaced_by.iter().take(ITEMS_MAX).map(String::as_str).collect();
        parts.push(format!("replace by {}", by.join(", ")));
    }
    (!parts.is_empty()).then(|| text(&parts.join("; "), TEXT_CHARS_MAX))
}

const fn matched(kind: AdvisoryMatchKind) -> &'static str {
    match kind {
        AdvisoryMatchKind::Lineage => "lineage",
        AdvisoryMatchKind::Revision => "revision",
        AdvisoryMatchKind::Version => "version",
        AdvisoryMatchKind::Digest => "digest",
    }
}

/// `CVE-2025-1234`
fn cve(name: &str) -> bool {
    name.strip_prefix("CVE-").and_then(|n| n.split_once('-')).is_some_and(|(year, n)| {
        year.len() == 4 && (1..=19).contains(&n.len()) && (year.bytes().chain(n.bytes())).all(|b| b.is_ascii_digit())
    })
}

/// `CWE-502`: 502.
fn cwe(reference: &str) -> Option<u32> {
    let digits: String = reference.strip_prefix("CWE-")?.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok().filter(|n| *n > 0)
}

/// Title and address of a reference.
fn page(reference: &str) -> Option<(String, String)> {
    if cve(reference) {
        return Some((reference.to_owned(), format!("https://www.cve.org/CVERecord?id={reference}")));
    }
    let address = reference.split_whitespace().find(|w| w.starts_with("https://") || w.starts_with("http://"))?;
    Some((text(reference, NAME_CHARS_MAX), page_url(address)?))
}
