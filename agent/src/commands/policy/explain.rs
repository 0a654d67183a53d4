use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use clap::Args;
use weighbridge_policy::{Assessment, Context, Explained, Explanation, PathClass, Request, Resource};
use weighbridge_types::Shown;

use super::RequestOptions;
use crate::cli::ListFormat;
use crate::commands::decide;
use crate::exit::{Failure, Outcome};
use crate::report::{bold, dim};

#[derive(Debug, Args)]
pub struct ExplainOptions {
    /// The policy repository
    dir: PathBuf,

    /// The model file; it is scanned as `weighbridge scan` would
    #[arg(long, value_name = "FILE")]
    model: PathBuf,

    #[command(flatten)]
    request: RequestOptions,

    /// How to write it
    #[arg(long, value_enum, default_value_t = ListFormat::Table, value_name = "FORMAT")]
    format: ListFormat,

    /// Show all policies, not only those that apply or nearly do
    #[arg(long, short)]
    verbose: bool,
}

pub fn run(options: &ExplainOptions) -> Result<Outcome, Failure> {
    let set = decide::load(&options.dir)?;
    let assessment = assess(&options.model, &options.dir)?;
    let (principal, context) = decide::request(&options.request);
    let context = Context { path_class: PathClass::of(&options.model.to_string_lossy()), ..context };
    let request = Request {
        principal: &principal,
        action: options.request.action,
        resource: Resource::Model(&assessment),
        context: &context,
    };
    let explanation = weighbridge_policy::explain(&request, &set).map_err(Failure::Usage)?;
    match options.format {
        ListFormat::Json => {
            let mut out = io::stdout().lock();
            serde_json::to_writer_pretty(&mut out, &explanation).map_err(io::Error::from)?;
            writeln!(out)?;
        }
        ListFormat::Table => print(&mut anstream::stdout().lock(), options, &explanation)?,
    }
    Ok(if explanation.decision.refuses() { Outcome::No } else { Outcome::Yes })
}

/// What the scanner says of `path`, by what `policy` brings to judge by.
fn assess(path: &Path, policy: &Path) -> Result<Assessment, Failure> {
    let config = crate::commands::scan::plain(path, Some(policy))?;
    let report = weighbridge_scanner::scan(&config, &|_| (), &AtomicBool::new(false))?;
    let [artifact] = report.artifacts.as_slice() else {
        let what = if report.artifacts.is_empty() { "is no model" } else { "holds several; name one of its files" };
        return Err(Failure::Usage(format!("`{}` {what}", path.display())));
    };
    let model = report.models.iter().find(|m| m.files.contains(&artifact.path));
    Ok(Assessment::of(artifact, model))
}

fn print(out: &mut impl Write, options: &ExplainOptions, explanation: &Explanation) -> io::Result<()> {
    let (bold, dim) = (bold(), dim());
    let decision = &explanation.decision;
    let not = if decision.enforced { "" } else { " (not enforced)" };
    writeln!(
        out,
        "{bold}{}{bold:#}{not}: {} of {} in mode {}",
        decision.effect,
        options.request.action.name(),
        options.model.display(),
        decision.mode.name()
    )?;
    let lists = [("by", &decision.policies), ("on trial", &decision.monitored), ("exceptions", &decision.exceptions)];
    for (name, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
        writeln!(out, "  {name}: {}", list.join(", "))?;
    }
    for obligation in &decision.obligations {
        writeln!(out, "  must: {}", Shown(&obligation.to_string()))?;
    }
    for error in &decision.errors {
        writeln!(out, "  error: {}", Shown(error))?;
    }
    writeln!(out, "\n{bold}facts{bold:#}")?;
    for part in ["principal", "resource", "context"] {
        writeln!(out, "  {part}: {}", Shown(&facts(explanation.facts.get(part).unwrap_or_default())))?;
    }
    for (title, choose) in [
        ("applies", (|p: &Explained| p.applies) as fn(&Explained) -> bool),
        ("nearly", Explained::is_near),
        ("does not apply", |p| !p.applies && !p.is_near()),
    ] {
        let chosen: Vec<&Explained> = explanation.policies.iter().filter(|p| choose(p)).collect();
        if chosen.is_empty() || (title == "does not apply" && !options.verbose) {
            continue;
        }
        writeln!(out, "\n{bold}{title}{bold:#}")?;
        for policy in chosen {
            let effect = if policy.forbids { "forbids" } else { "permits" };
            writeln!(out, "  {} {effect}  {dim}{}{dim:#}", Shown(&policy.id), Shown(&policy.file))?;
            writeln!(out, "    {}", Shown(&policy.rationale))?;
            if let Some(why) = &policy.out_of_scope {
                writeln!(out, "    not: {why}")?;
            }
            for condition in policy.conditions.iter().filter(|c| !c.met) {
                let error = condition.error.as_ref().map(|e| format!(" ({e})")).unwrap_or_default();
                writeln!(out, "    not met: {}{}", Shown(&condition.text), Shown(&error))?;
            }
        }
    }
    Ok(())
}

/// Attributes of an entity, or the context, on one line.
fn facts(value: &serde_json::Value) -> String {
    let uid = value.pointer("/uid").map(|uid| {
        let part = |key: &str| uid.get(key).and_then(|v| v.as_str()).unwrap_or_default().to_owned();
        format!("{}::{:?} ", part("type"), part("id"))
    });
    let attributes = value.get("attrs").unwrap_or(value);
    format!("{}{}", uid.unwrap_or_default(), attributes)
}
