use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;
use weighbridge_policy::{Action, Change, Machine, Plan, Recorded, plan};
use weighbridge_types::{Report, Shown};

use crate::cli::ListFormat;
use crate::commands::{decide, files};
use crate::exit::{Failure, Outcome};
use crate::report::{bold, good, ill};

/// Largest inventory read, bytes.
const INVENTORY_BYTES_MAX: u64 = 1 << 30;
/// Changes shown of each kind.
const SHOWN_MAX: usize = 50;

#[derive(Debug, Args)]
pub struct PlanOptions {
    /// The policies in force: a repository or bundle
    old: PathBuf,

    /// The policies that are to follow
    new: PathBuf,

    /// A report of `weighbridge scan --format json`, or lines: machines (`{"host": …, "team": …, "report": …}`) or recorded
    /// requests (`{"principal": …, "action": …, "model": …, "context": …}`)
    #[arg(long, value_name = "FILE", required = true)]
    inventory: Vec<PathBuf>,

    /// What is to be done with each model
    #[arg(long, value_name = "ACTION", value_parser = super::request::action, default_values = ["store", "load", "serve"])]
    action: Vec<Action>,

    /// Team of machines that name none
    #[arg(long, value_name = "NAME")]
    team: Option<String>,

    /// Decide as of this time [default: now]
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,

    /// How to write it
    #[arg(long, value_enum, default_value_t = ListFormat::Table, value_name = "FORMAT")]
    format: ListFormat,
}

pub fn run(options: &PlanOptions) -> Result<Outcome, Failure> {
    let (old, new) = (decide::load(&options.old)?, decide::load(&options.new)?);
    let mut inventory = Inventory::default();
    for path in &options.inventory {
        inventory.read(path, options)?;
    }
    let Inventory { machines, records } = &inventory;
    let plan = plan(&old, &new, machines, records, &options.action, options.at.unwrap_or_else(Timestamp::now));
    match options.format {
        ListFormat::Json => {
            let mut out = io::stdout().lock();
            serde_json::to_writer_pretty(&mut out, &plan).map_err(io::Error::from)?;
            writeln!(out)?;
        }
        ListFormat::Table => print(&mut anstream::stdout().lock(), &plan)?,
    }
    Ok(Outcome::Yes)
}

/// What is decided twice.
#[derive(Default)]
struct Inventory {
    machines: Vec<Machine>,
    records: Vec<Recorded>,
}

impl Inventory {
    fn read(&mut self, path: &Path, options: &PlanOptions) -> Result<(), Failure> {
        let text = files::read_text(path, INVENTORY_BYTES_MAX)?;
        if let Ok(report) = serde_json::from_str::<Report>(&text) {
            let host = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
            self.machines.push(Machine { host, team: options.team.clone(), report });
            return Ok(());
        }
        for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            self.line(line).map_err(|e| {
                let place = format!("`{}` line {}", path.display(), at + 1);
                Failure::Usage(format!("{place} is no report of a scan, no machine and no recorded request: {e}"))
            })?;
        }
        let unnamed = self.machines.iter_mut().filter(|m| m.team.is_none());
        unnamed.for_each(|machine| machine.team.clone_from(&options.team));
        Ok(())
    }

    fn line(&mut self, line: &str) -> serde_json::Result<()> {
        let value: serde_json::Value = serde_json::from_str(line)?;
        if value.get("principal").is_some() {
            self.records.push(serde_json::from_value(value)?);
        } else {
            self.machines.push(serde_json::from_value(value)?);
        }
        Ok(())
    }
}

fn print(out: &mut impl Write, plan: &Plan) -> io::Result<()> {
    let (good, ill, bold) = (good(), ill(), bold());
    let tightens = |c: &&Change| c.tightens();
    let loosens = |c: &&Change| c.loosens();
    let rest = |c: &&Change| !c.tightens() && !c.loosens();
    section(out, plan, &format!("{ill}refused from then on{ill:#}"), tightens)?;
    section(out, plan, &format!("{good}no longer refused{good:#}"), loosens)?;
    section(out, plan, &format!("{bold}decided otherwise{bold:#}"), rest)?;
    let count = |choose: fn(&Change) -> bool| {
        let chosen: Vec<&Change> = plan.changes.iter().filter(|c| choose(c)).collect();
        let hosts: std::collections::BTreeSet<&String> = chosen.iter().flat_map(|c| &c.hosts).collect();
        format!("{} models and actions on {} machines", chosen.len(), hosts.len())
    };
    writeln!(
        out,
        "{} decisions on {} machines: {} refused from then on, {} no longer refused, {} changes in all",
        plan.decisions,
        plan.hosts,
        count(Change::tightens),
        count(Change::loosens),
        plan.changes.len()
    )
}

fn section(out: &mut impl Write, plan: &Plan, title: &str, choose: impl Fn(&&Change) -> bool) -> io::Result<()> {
    let chosen: Vec<&Change> = plan.changes.iter().filter(choose).collect();
    if chosen.is_empty() {
        return Ok(());
    }
    writeln!(out, "{title}")?;
    for change in chosen.iter().take(SHOWN_MAX) {
        let digest = change.sha256.as_deref().and_then(|d| d.get(..12)).unwrap_or("unread");
        writeln!(
            out,
            "  {} {} ({digest}) on {} machines: {} by {} → {} by {}",
            change.action,
            Shown(&change.model),
            change.hosts.len(),
            change.old.effect,
            Shown(&change.old.policies.join(", ")),
            change.new.effect,
            Shown(&change.new.policies.join(", "))
        )?;
    }
    if let Some(more) = chosen.len().checked_sub(SHOWN_MAX).filter(|n| *n > 0) {
        writeln!(out, "  … and {more} more; --format json shows all")?;
    }
    writeln!(out)
}
