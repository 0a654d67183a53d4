use std::io::{self, Write};

use weighbridge_types::{Report, Shown, Verdict};

use super::text::size;

/// For issues and wikis: a table of findings and a table of models.
pub fn markdown(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let s = &report.summary;
    let of = |verdict: Verdict| s.verdicts.get(verdict.name()).copied().unwrap_or(0);
    writeln!(out, "# Model scan\n")?;
    writeln!(
        out,
        "{} files, {} artifacts, {} models: **{} malicious**, {} suspicious, {} unknown, {} clean.\n",
        s.files_seen,
        s.artifacts,
        s.models,
        of(Verdict::Malicious),
        of(Verdict::Suspicious),
        of(Verdict::Unknown),
        of(Verdict::Clean)
    )?;
    if report.artifacts.iter().any(|a| !a.findings.is_empty()) {
        writeln!(out, "## Findings\n\n| severity | file | finding | evidence | rule |\n|---|---|---|---|---|")?;
    }
    for artifact in &report.artifacts {
        for f in &artifact.findings {
            let member = f.member.as_deref().map(|m| format!(" in {}", cell(m))).unwrap_or_default();
            let at = f.offset.map(|o| format!(" at byte {o}")).unwrap_or_default();
            writeln!(
                out,
                "| {} | {}{member}{at} | {} | {} | {} |",
                f.severity,
                cell(&artifact.path),
                cell(&f.title),
                cell(&f.detail),
                cell(&f.rule)
            )?;
        }
    }
    if report.artifacts.iter().any(|a| a.decision.is_some()) {
        writeln!(out, "\n## Decisions\n\n| decision | file | by | must |\n|---|---|---|---|")?;
    }
    for artifact in &report.artifacts {
        if let Some(decision) = &artifact.decision {
            let not = if decision.enforced { "" } else { " (not enforced)" };
            let must: Vec<String> = decision.obligations.iter().map(ToString::to_string).collect();
            let (by, must) = (cell(&decision.policies.join(", ")), cell(&must.join(", ")));
            writeln!(out, "| {}{not} | {} | {by} | {must} |", decision.effect, cell(&artifact.path))?;
        }
    }
    writeln!(out, "\n## Models\n\n| model | format | size | verdict | path |\n|---|---|---|---|---|")?;
    for m in &report.models {
        writeln!(
            out,
            "| {} | {} | {} | {} | {} |",
            cell(&m.name),
            cell(&m.format),
            size(m.size_bytes),
            m.verdict,
            cell(&m.path)
        )?;
    }
    if !report.errors.is_empty() {
        writeln!(out, "\n## Not read\n")?;
        for e in &report.errors {
            writeln!(out, "- {}: {}", cell(&e.path), cell(&e.message))?;
        }
    }
    Ok(())
}

/// Hostile text in a table cell: no markup, no line breaks, no cell ends.
fn cell(text: &str) -> String {
    let mut out = String::new();
    for c in Shown(text).to_string().chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '!' | '~' => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
    }
    out
}
