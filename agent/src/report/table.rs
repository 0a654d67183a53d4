use std::io::{self, Write};

use weighbridge_types::{
    Artifact, Claim, Decision, Effect, Finding, Model, Report, Shown, Signature, Strength, Verdict,
};

use super::text::{bold, count, dim, severity_style, size, verdict_style, wrapped};

/// Findings shown per artifact; the rest are counted.
const FINDINGS_SHOWN_MAX: usize = 5;
/// Columns of the origin of a model.
const ORIGIN_WIDTH: usize = 44;

/// For people: what was found, why it is bad, what to do. Quiet about clean
/// artifacts unless `verbose`.
pub fn table(out: &mut impl Write, report: &Report, verbose: bool) -> io::Result<()> {
    let mut artifacts: Vec<&Artifact> = report
        .artifacts
        .iter()
        .filter(|a| {
            verbose
                || a.verdict != Verdict::Clean
                || a.shadow.is_some()
                || a.decision.as_ref().is_some_and(|d| d.effect == Effect::Deny || !d.monitored.is_empty())
                || a.findings.iter().any(|f| f.severity > weighbridge_types::Severity::Low)
        })
        .collect();
    artifacts.sort_by(|a, b| b.verdict.cmp(&a.verdict).then_with(|| a.path.cmp(&b.path)));
    for a in artifacts {
        artifact(out, a)?;
    }
    models(out, &report.models)?;
    for error in &report.errors {
        writeln!(out, "{}: {}", Shown(&error.path), Shown(&error.message))?;
    }
    summary(out, report)
}

fn artifact(out: &mut impl Write, artifact: &Artifact) -> io::Result<()> {
    let (style, bold, dim) = (verdict_style(artifact.verdict), bold(), dim());
    writeln!(
        out,
        "{style}{:10}{style:#} {bold}{}{bold:#}  {dim}{}, {}{dim:#}",
        artifact.verdict,
        Shown(&artifact.path),
        Shown(&artifact.format),
        size(artifact.size_bytes)
    )?;
    for finding in artifact.findings.iter().take(FINDINGS_SHOWN_MAX) {
        self::finding(out, finding)?;
    }
    if let Some(more) = artifact.findings.len().checked_sub(FINDINGS_SHOWN_MAX).filter(|n| *n > 0) {
        writeln!(out, "  {dim}… and {more} more; --format json shows all{dim:#}")?;
    }
    if let Some(decision) = &artifact.decision {
        self::decision(out, decision, "")?;
    }
    if let Some(decision) = &artifact.shadow {
        self::decision(out, decision, "the candidate would say: ")?;
    }
    if let Some(first) = artifact.findings.first()
        && let Some(rule) = weighbridge_scanner::all_rules().find(|r| r.id == first.rule)
    {
        writeln!(out, "{}", wrapped(&format!("→ {}", rule.remedy), "  "))?;
    }
    writeln!(out)
}

/// `deny by deny-malicious: quarantine, alert`
fn decision(out: &mut impl Write, decision: &Decision, who: &str) -> io::Result<()> {
    let style = verdict_style(if decision.refuses() { Verdict::Malicious } else { Verdict::Clean });
    let by = decision.policies.join(", ");
    let not = if decision.enforced { "" } else { " (not enforced)" };
    let must: Vec<String> = decision.obligations.iter().map(ToString::to_string).collect();
    let must = if must.is_empty() { String::new() } else { format!("; must {}", must.join(", ")) };
    write!(out, "  {style}{:8}{style:#} ", decision.effect)?;
    writeln!(out, "{}", wrapped(&Shown(&format!("{who}by {by}{not}{must}")).to_string(), "           ").trim_start())?;
    for (what, list) in [("on trial", &decision.monitored), ("exceptions", &decision.exceptions)] {
        if !list.is_empty() {
            writeln!(out, "           {what}: {}", Shown(&list.join(", ")))?;
        }
    }
    for error in &decision.errors {
        writeln!(out, "           {}", Shown(error))?;
    }
    Ok(())
}

fn finding(out: &mut impl Write, finding: &Finding) -> io::Result<()> {
    let (style, dim) = (severity_style(finding.severity), dim());
    writeln!(out, "  {style}{:8}{style:#} {} {dim}[{}]{dim:#}", finding.severity, finding.title, finding.rule)?;
    let member = finding.member.as_deref().map(|m| format!("in {}", Shown(m)));
    let offset = finding.offset.map(|o| format!("at byte {o}"));
    let place: Vec<String> = member.into_iter().chain(offset).collect();
    let place = if place.is_empty() { String::new() } else { format!("{}: ", place.join(" ")) };
    writeln!(out, "{}", wrapped(&format!("{place}{}", Shown(&finding.detail)), "           "))
}

fn models(out: &mut impl Write, models: &[Model]) -> io::Result<()> {
    if models.is_empty() {
        return Ok(());
    }
    let rows: Vec<[String; 8]> = models
        .iter()
        .map(|m| {
            let fact = |key: &str| match m.metadata.get(key) {
                Some(serde_json::Value::String(s)) => Shown(s).to_string(),
                Some(other) => other.as_u64().map_or_else(String::new, count),
                None => String::new(),
            };
            [
                Shown(&m.name).to_string(),
                m.format.clone(),
                fact("parameters"),
                fact("quantization"),
                size(m.size_bytes),
                m.signature.as_ref().map(signature).unwrap_or_default(),
                m.origin.first().map(origin).unwrap_or_default(),
                m.verdict.name().to_owned(),
            ]
        })
        .collect();
    // Where nothing is signed, or no origin is known, the column is left out.
    let signed = if rows.iter().any(|row| !row[5].is_empty()) { "signature" } else { "" };
    let known = if models.iter().any(|m| !m.origin.is_empty()) { "origin" } else { "" };
    let header = ["model", "format", "parameters", "quantization", "size", signed, known, "verdict"].map(str::to_owned);
    let mut widths = [0; 8];
    for row in rows.iter().chain([&header]) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(textwrap::core::display_width(cell).min(44));
        }
    }
    let bold = bold();
    write!(out, "{bold}")?;
    cells(out, &header, &widths)?;
    writeln!(out, "{bold:#}")?;
    for (row, model) in rows.iter().zip(models) {
        let style = verdict_style(model.verdict);
        let (last, first) = (row.last().map_or("", String::as_str), row.get(..7).unwrap_or_default());
        cells(out, first, &widths)?;
        writeln!(out, "{style}{last}{style:#}")?;
    }
    writeln!(out)
}

/// Empty for `unsigned`, which most are.
fn signature(signature: &Signature) -> String {
    match signature {
        Signature::Unsigned => String::new(),
        Signature::Trusted { signer, .. } => {
            format!("trusted ({})", Shown(signer.name.as_ref().unwrap_or(&signer.identity)))
        }
        Signature::Untrusted { .. } | Signature::Unknown { .. } => signature.status().to_owned(),
    }
}

/// The strongest claim in a few words: `hub/Org/Name@c0ffee01 (content)`.
fn origin(claim: &Claim) -> String {
    let place = claim.purl.as_deref().and_then(|p| p.strip_prefix("pkg:")).map(|p| p.split('?').next().unwrap_or(p));
    let place = match (place, &claim.url, &claim.revision) {
        (Some(place), ..) => {
            place.split_once('@').map_or_else(|| place.to_owned(), |(name, v)| format!("{name}@{}", short(v)))
        }
        (None, Some(url), _) => url.split_once("://").map_or(url.as_str(), |(_, rest)| rest).to_owned(),
        (None, None, Some(revision)) => format!("{} {}", claim.source, short(revision)),
        (None, None, None) => claim.source.clone(),
    };
    let strength = match claim.strength {
        Strength::Hint => "hint",
        Strength::Record => "record",
        Strength::Content => "content",
        Strength::Proof => "proof",
    };
    let room = ORIGIN_WIDTH.saturating_sub(strength.len() + 3);
    let place: String = Shown(&place).to_string();
    let place = if textwrap::core::display_width(&place) > room {
        place.chars().take(room.saturating_sub(1)).chain(['…']).collect()
    } else {
        place
    };
    format!("{place} ({strength})")
}

/// The first digits of a commit or digest; other revisions as they stand.
fn short(revision: &str) -> String {
    let digits = revision.strip_prefix("sha256:").unwrap_or(revision);
    let is_digest = digits.len() >= 40 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    if is_digest { digits.get(..8).unwrap_or(digits).to_owned() } else { revision.to_owned() }
}

fn cells(out: &mut impl Write, row: &[String], widths: &[usize]) -> io::Result<()> {
    for (cell, width) in row.iter().zip(widths).filter(|(_, width)| **width > 0) {
        let shown: String = if textwrap::core::display_width(cell) > *width {
            cell.chars().take(width.saturating_sub(1)).chain(['…']).collect()
        } else {
            cell.clone()
        };
        let pad = width.saturating_sub(textwrap::core::display_width(&shown));
        write!(out, "{shown}{:pad$}  ", "")?;
    }
    Ok(())
}

fn summary(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let s = &report.summary;
    let of = |verdict: Verdict| s.verdicts.get(verdict.name()).copied().unwrap_or(0);
    let cached = if s.files_cached > 0 { format!(", {} from the cache", s.files_cached) } else { String::new() };
    writeln!(
        out,
        "{} files seen{cached}, {} artifacts in {} models: {} malicious, {} suspicious, {} unknown, {} clean. {} hashed in {}.{:03} s.",
        s.files_seen,
        s.artifacts,
        s.models,
        of(Verdict::Malicious),
        of(Verdict::Suspicious),
        of(Verdict::Unknown),
        of(Verdict::Clean),
        size(s.bytes_hashed),
        s.elapsed_ms / 1000,
        s.elapsed_ms % 1000
    )
}
