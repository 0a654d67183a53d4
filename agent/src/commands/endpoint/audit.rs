use std::path::PathBuf;

use clap::Subcommand;
use weighbridge_daemon::{Question, RawPath};

use super::{Daemon, text};
use crate::exit::{Failure, Outcome};

#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Check that nothing was altered, removed or inserted
    ///
    /// Exit codes: 0 whole, 1 not, 2 could not be checked.
    Verify {
        #[command(flatten)]
        daemon: Daemon,
    },
    /// Write the record to a new file that can be checked offline
    Export {
        /// The file
        file: PathBuf,

        #[command(flatten)]
        daemon: Daemon,
    },
}

pub fn run(command: &AuditCommand) -> Result<Outcome, Failure> {
    match command {
        AuditCommand::Verify { daemon } => {
            let answer = daemon.ask(&Question::AuditVerify)?;
            let whole = answer.get("whole") == Some(&serde_json::Value::Bool(true));
            daemon.show(&answer, |out, answer| {
                if whole {
                    let (entries, heads) = (text(answer, "/entries"), text(answer, "/heads"));
                    writeln!(out, "whole: {entries} entries, {heads} signed heads")
                } else {
                    writeln!(out, "broken: {}", text(answer, "/broken"))
                }
            })?;
            Ok(if whole { Outcome::Yes } else { Outcome::No })
        }
        AuditCommand::Export { file, daemon } => {
            let answer = daemon.ask(&Question::AuditExport { to: RawPath::of(file) })?;
            daemon.show(&answer, |out, answer| {
                writeln!(out, "{} entries in {}", text(answer, "/entries"), text(answer, "/path"))
            })?;
            Ok(Outcome::Yes)
        }
    }
}
