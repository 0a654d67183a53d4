use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use serde_json::Value;
use weighbridge_daemon::Question;
use weighbridge_policy::Action;

use super::{Daemon, list, number, text};
use crate::exit::{Failure, Outcome};
use crate::report::{bold, dim, good, ill, size, wrapped};

#[derive(Debug, Args)]
pub struct WhyOptions {
    /// The file
    file: PathBuf,

    /// What is to be done with it
    #[arg(long, value_name = "ACTION", value_parser = crate::commands::policy::action, default_value = "load")]
    action: Action,

    #[command(flatten)]
    daemon: Daemon,
}

pub fn run(options: &WhyOptions) -> Result<Outcome, Failure> {
    let question = Question::Why { path: super::resolved(&options.file), action: options.action };
    let answer = options.daemon.ask(&question)?;
    options.daemon.show(&answer, print)?;
    let denied = answer.pointer("/explanation/decision/effect").is_none_or(|effect| effect == "deny");
    Ok(if denied { Outcome::No } else { Outcome::Yes })
}

fn print(out: &mut dyn Write, answer: &Value) -> io::Result<()> {
    let (bold, dim) = (bold(), dim());
    if let Some(entry) = answer.get("quarantined") {
        writeln!(out, "{bold}{}{bold:#} is in quarantine since {}", text(answer, "/path"), text(entry, "/at"))?;
        for finding in list(entry, "/why/detail/findings") {
            writeln!(out, "  {} [{}]", text(finding, "/1"), text(finding, "/0"))?;
        }
        writeln!(out, "  by {}", text(entry, "/why/policies"))?;
        return writeln!(
            out,
            "  `weighbridge quarantine restore {}` brings it back (administrators)",
            text(entry, "/id")
        );
    }
    let (artifact, explanation) = (&answer["artifact"], &answer["explanation"]);
    let decision = &explanation["decision"];
    let denied = decision["effect"] == "deny";
    let style = if denied { ill() } else { good() };
    writeln!(
        out,
        "{style}{}{style:#}: {} of {bold}{}{bold:#}",
        text(decision, "/effect"),
        text(answer, "/action"),
        text(artifact, "/path")
    )?;
    writeln!(
        out,
        "  {dim}{}, {}, {}, sha256 {}{dim:#}",
        text(artifact, "/format"),
        size(number(artifact, "/size_bytes")),
        text(artifact, "/verdict"),
        text(artifact, "/sha256")
    )?;
    for finding in list(artifact, "/findings").iter().take(5) {
        writeln!(out, "  {} {} [{}]", text(finding, "/severity"), text(finding, "/title"), text(finding, "/rule"))?;
    }
    if decision["enforced"] == false {
        writeln!(out, "  not enforced: this team only observes")?;
    }
    for policy in list(explanation, "/policies").iter().filter(|p| p["applies"] == true) {
        let verb = if policy["forbids"] == true { "forbidden" } else { "permitted" };
        writeln!(out, "  {verb} by {bold}{}{bold:#} ({})", text(policy, "/id"), text(policy, "/file"))?;
        writeln!(out, "{}", wrapped(&text(policy, "/rationale"), "    "))?;
    }
    if text(decision, "/policies/0").starts_with("mode:") {
        writeln!(out, "  decided by the mode of the team: {}", text(decision, "/mode"))?;
    }
    for request in list(answer, "/requests") {
        writeln!(
            out,
            "  asked for by {} on {}: {} ({})",
            text(request, "/user"),
            text(request, "/made"),
            text(request, "/reason"),
            text(request, "/state")
        )?;
    }
    if denied {
        let who = list(answer, "/ask").iter().map(|o| text(o, "")).collect::<Vec<_>>().join(", ");
        let who = if who.is_empty() { String::new() } else { format!(" {who} decides.") };
        writeln!(out, "  `weighbridge request FILE --reason \"…\"` asks for an approval.{who}")?;
    }
    Ok(())
}
