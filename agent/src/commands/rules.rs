use std::io::{self, Write};

use serde::Serialize;
use weighbridge_scanner::Patterns;
use weighbridge_types::{Severity, Verdict};

use crate::cli::{ListFormat, RulesCommand, RulesOptions};
use crate::exit::{Failure, Outcome};
use crate::report::{bold, severity_style, wrapped};

/// A rule's page, wherever the rule comes from.
#[derive(Debug, Serialize)]
struct Page {
    id: String,
    severity: Severity,
    verdict: Verdict,
    title: String,
    what: String,
    why: String,
    false_positives: String,
    remedy: String,
    references: Vec<String>,
}

pub fn run(options: &RulesOptions) -> Result<Outcome, Failure> {
    let pages = pages()?;
    match &options.command {
        RulesCommand::List { format: ListFormat::Json } => {
            let mut out = io::stdout().lock();
            serde_json::to_writer_pretty(&mut out, &pages).map_err(io::Error::from)?;
            writeln!(out)?;
        }
        RulesCommand::List { format: ListFormat::Table } => {
            let width = pages.iter().map(|p| p.id.len()).max().unwrap_or(0);
            let mut out = anstream::stdout().lock();
            for page in &pages {
                let style = severity_style(page.severity);
                writeln!(out, "{:width$}  {style}{:8}{style:#}  {}", page.id, page.severity, page.title)?;
            }
        }
        RulesCommand::Explain { id } => {
            let Some(page) = pages.iter().find(|p| p.id == *id) else {
                return Err(Failure::Usage(unknown(id, &pages)));
            };
            explain(&mut anstream::stdout().lock(), page)?;
        }
    }
    Ok(Outcome::Yes)
}

/// Writes our YARA rules in compiled form.
pub fn compile() -> Result<Outcome, Failure> {
    io::stdout().lock().write_all(&Patterns::compiled_for_release()?)?;
    Ok(Outcome::Yes)
}

fn pages() -> Result<Vec<Page>, Failure> {
    let mut pages: Vec<Page> = weighbridge_scanner::all_rules()
        .map(|r| Page {
            id: r.id.to_owned(),
            severity: r.severity,
            verdict: r.verdict,
            title: r.title.to_owned(),
            what: r.what.to_owned(),
            why: r.why.to_owned(),
            false_positives: r.false_positives.to_owned(),
            remedy: r.remedy.to_owned(),
            references: r.references.iter().map(|r| (*r).to_owned()).collect(),
        })
        .collect();
    pages.extend(Patterns::load(&[])?.pages().map(|p| Page {
        id: p.id,
        severity: p.severity,
        verdict: p.verdict,
        title: p.title,
        what:
            "A byte pattern (YARA rule) in the content, outside plain tensor data unless `--deep` is given.".to_owned(),
        why: p.why,
        false_positives: p.false_positives,
        remedy: "Do not load the file; look at the bytes at the reported offset.".to_owned(),
        references: p.references,
    }));
    pages.sort_by(|a, b| a.id.cmp(&b.id));
    pages.dedup_by(|a, b| a.id == b.id);
    Ok(pages)
}

fn unknown(id: &str, pages: &[Page]) -> String {
    let near: Vec<&str> =
        pages.iter().map(|p| p.id.as_str()).filter(|p| p.contains(id) || id.contains(p)).take(5).collect();
    let hint = if near.is_empty() { String::new() } else { format!("; did you mean {}?", near.join(", ")) };
    format!("there is no rule `{id}`{hint} `weighbridge rules list` shows all")
}

fn explain(out: &mut impl Write, page: &Page) -> io::Result<()> {
    let (bold, style) = (bold(), severity_style(page.severity));
    writeln!(out, "{bold}{}{bold:#}  {style}{}{style:#}  {}", page.id, page.severity, page.title)?;
    writeln!(out, "A hit makes the file {}.", page.verdict)?;
    for (heading, text) in [
        ("What", &page.what),
        ("Why", &page.why),
        ("False positives", &page.false_positives),
        ("What to do", &page.remedy),
    ] {
        writeln!(out, "\n{bold}{heading}{bold:#}\n{}", wrapped(text, "  "))?;
    }
    if !page.references.is_empty() {
        writeln!(out, "\n{bold}References{bold:#}")?;
        for reference in &page.references {
            writeln!(out, "  {reference}")?;
        }
    }
    Ok(())
}
