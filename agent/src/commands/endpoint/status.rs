use std::io::{self, Write};

use clap::Args;
use serde_json::{Value, json};
use weighbridge_daemon::Question;

use super::{Daemon, list, number, text};
use crate::exit::{Failure, Outcome};
use crate::report::{bold, dim, ill, size};

#[derive(Debug, Args)]
pub struct StatusOptions {
    #[command(flatten)]
    daemon: Daemon,

    /// Show the last events too (administrators)
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "20")]
    events: Option<u32>,
}

pub fn run(options: &StatusOptions) -> Result<Outcome, Failure> {
    let events = options.events.map(|limit| options.daemon.ask(&Question::Events { limit })).transpose()?;
    let answer = json!({
        "status": options.daemon.ask(&Question::Status)?,
        "runtimes": options.daemon.ask(&Question::Runtimes)?,
        "downloads": options.daemon.ask(&Question::Downloads)?,
        "events": events,
    });
    options.daemon.show(&answer, print)?;
    Ok(Outcome::Yes)
}

fn print(out: &mut dyn Write, answer: &Value) -> io::Result<()> {
    let (bold, dim, ill) = (bold(), dim(), ill());
    let status = &answer["status"];
    writeln!(
        out,
        "{bold}{}{bold:#}  mode {bold}{}{bold:#}, policy {} ({} policies), since {}",
        text(status, "/host"),
        text(status, "/mode"),
        text(status, "/policy/revision"),
        text(status, "/policy/policies"),
        text(status, "/started")
    )?;
    if let Some(problem) = status.pointer("/policy/problem").and_then(Value::as_str) {
        writeln!(out, "{ill}policy{ill:#}  {}", weighbridge_types::Shown(problem))?;
    }
    let gate = match status.get("gate") {
        None | Some(Value::Null) => "off".to_owned(),
        Some(gate) => format!(
            "{} file systems, {} opens answered, {} denied, {} late",
            text(gate, "/ready/marks"),
            text(gate, "/health/answered"),
            text(gate, "/health/denied"),
            text(gate, "/health/late")
        ),
    };
    writeln!(out, "gate       {gate}")?;
    writeln!(
        out,
        "files      {}, {} refused, {} malicious, {} suspicious",
        text(status, "/record/files"),
        text(status, "/record/refused"),
        number(status, "/record/verdicts/malicious"),
        number(status, "/record/verdicts/suspicious")
    )?;
    writeln!(
        out,
        "record     {} entries, {} events wait for a console",
        number(status, "/record/audit/seq"),
        number(status, "/record/outbox/events")
    )?;
    for runtime in list(answer, "/runtimes/processes/runtimes") {
        let loaded: Vec<String> = list(runtime, "/loaded").iter().map(|l| text(l, "/path")).collect();
        let listens: Vec<String> = list(runtime, "/listens").iter().map(listen).collect();
        writeln!(
            out,
            "runs       {bold}{}{bold:#} (process {} of {}) {dim}{}{dim:#} {}",
            text(runtime, "/stack"),
            text(runtime, "/pid"),
            text(runtime, "/user"),
            listens.join(" "),
            loaded.join(", ")
        )?;
    }
    for device in list(answer, "/runtimes/gpus") {
        writeln!(
            out,
            "gpu        {} {}: {} %, {} of {}",
            text(device, "/id"),
            text(device, "/name"),
            text(device, "/utilisation_percent"),
            size(number(device, "/memory_used_bytes")),
            size(number(device, "/memory_total_bytes"))
        )?;
    }
    for (name, kind) in [("running", "downloads"), ("ended", "downloaded")] {
        for download in list(answer, &format!("/downloads/{name}")) {
            writeln!(
                out,
                "{kind:10} {bold}{}{bold:#}: {} of {}, by {} (process {} of {}), from {}",
                text(download, "/file"),
                size(number(download, "/bytes_received")),
                text(download, "/format"),
                text(download, "/exe"),
                text(download, "/pid"),
                text(download, "/uid"),
                source(download)
            )?;
        }
    }
    for event in list(answer, "/events").iter().filter(|e| e.pointer("/body/text").is_some()) {
        writeln!(out, "{dim}{}{dim:#}  {}", text(event, "/at"), text(event, "/body/text"))?;
    }
    Ok(())
}

/// `0.0.0.0:11434 (exposed)`
fn listen(listen: &Value) -> String {
    let exposed = if listen["exposed"] == true { " (reachable from elsewhere)" } else { "" };
    format!("{}:{}{exposed}", text(listen, "/address"), text(listen, "/port"))
}

/// Where a download comes from: its best evidence, or the other end.
fn source(download: &Value) -> String {
    let evidence = list(download, "/evidence").first().map(|e| text(e, "/value"));
    evidence.or_else(|| list(download, "/remote").first().map(|r| text(r, ""))).unwrap_or_else(|| "-".to_owned())
}
