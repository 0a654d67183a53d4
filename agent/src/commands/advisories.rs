use std::io::{self, Write};
use std::path::Path;

use jiff::Timestamp;
use weighbridge_provenance::advisory::osv::{Affected, Event};
use weighbridge_provenance::advisory::{Advisory, Catalogue};
use weighbridge_types::Shown;

use crate::cli::{AdvisoriesCommand, AdvisoriesOptions};
use crate::exit::{Failure, Outcome};
use crate::report::{bold, severity_style, wrapped};

pub fn run(options: &AdvisoriesOptions) -> Result<Outcome, Failure> {
    let mut out = anstream::stdout().lock();
    match &options.command {
        AdvisoriesCommand::List { advisories } => list(&mut out, &catalogue(advisories.as_deref())?)?,
        AdvisoriesCommand::Explain { id, advisories } => {
            let catalogue = catalogue(advisories.as_deref())?;
            let Some(advisory) = catalogue.get(id) else {
                let message =
                    format!("there is no advisory `{id}` that holds; `weighbridge advisories list` shows all");
                return Err(Failure::Usage(message));
            };
            explain(&mut out, advisory)?;
        }
    }
    Ok(Outcome::Yes)
}

/// Our advisories and those directly in `folder`.
pub fn catalogue(folder: Option<&Path>) -> Result<Catalogue, Failure> {
    let documents = folder.map(weighbridge_scanner::documents).transpose()?.unwrap_or_default();
    Ok(Catalogue::load(&documents, Timestamp::now())?)
}

fn list(out: &mut impl Write, catalogue: &Catalogue) -> io::Result<()> {
    let width = catalogue.advisories().map(|a| a.id.len()).max().unwrap_or(0);
    for advisory in catalogue.advisories() {
        let style = severity_style(advisory.severity);
        let subject = advisory.affected.iter().find_map(subject).unwrap_or_default();
        let (severity, summary) = (advisory.severity, Shown(&advisory.summary));
        writeln!(out, "{:width$}  {style}{severity:8}{style:#}  {}: {summary}", advisory.id, Shown(&subject))?;
    }
    Ok(())
}

/// What an entry is about, in a word.
fn subject(affected: &Affected) -> Option<String> {
    let package = affected.package.as_ref().map(|(_, name)| name.clone());
    package.or_else(|| affected.stack.clone()).or_else(|| affected.ranges.iter().find_map(|r| r.repo.clone()))
}

fn explain(out: &mut impl Write, advisory: &Advisory) -> io::Result<()> {
    let (bold, style) = (bold(), severity_style(advisory.severity));
    let (id, severity, summary) = (&advisory.id, advisory.severity, Shown(&advisory.summary));
    writeln!(out, "{bold}{id}{bold:#}  {style}{severity}{style:#}  {summary}")?;
    if !advisory.details.is_empty() {
        writeln!(out, "\n{}", wrapped(&Shown(&advisory.details).to_string(), "  "))?;
    }
    writeln!(out, "\n{bold}Affected{bold:#}")?;
    for affected in &advisory.affected {
        let subject = subject(affected).unwrap_or_default();
        let mut spans: Vec<String> = affected.ranges.iter().map(|r| span(&r.events)).collect();
        spans.extend(affected.versions.iter().cloned());
        let spans = if spans.is_empty() { "no range is known".to_owned() } else { spans.join("; ") };
        writeln!(out, "  {}: {}", Shown(&subject), Shown(&spans))?;
    }
    for repository in &advisory.weighbridge.repo {
        writeln!(out, "  {}", Shown(repository))?;
    }
    if let Some(verification) = &advisory.verification {
        writeln!(out, "\n{bold}Checked{bold:#}\n{}", wrapped(&Shown(verification).to_string(), "  "))?;
    }
    writeln!(out, "\n{bold}References{bold:#}")?;
    for (_, url) in &advisory.references {
        writeln!(out, "  {}", Shown(url))?;
    }
    Ok(())
}

/// `from 0.6.5, fixed in 0.8.5`
fn span(events: &[Event]) -> String {
    let words = events.iter().map(|event| match event {
        Event::Introduced(v) if v == "0" => "from the first".to_owned(),
        Event::Introduced(v) => format!("from {v}"),
        Event::Fixed(v) => format!("fixed in {v}"),
        Event::LastAffected(v) => format!("up to {v}"),
        Event::Limit(v) => format!("looked at up to {v}"),
    });
    words.collect::<Vec<_>>().join(", ")
}
