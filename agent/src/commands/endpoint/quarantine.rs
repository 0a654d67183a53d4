use std::io::{self, Write};
use std::path::PathBuf;

use clap::Subcommand;
use serde_json::Value;
use weighbridge_daemon::{Question, RawPath};

use super::{Daemon, number, text};
use crate::exit::{Failure, Outcome};
use crate::report::{bold, dim, size};

#[derive(Debug, Subcommand)]
pub enum QuarantineCommand {
    /// What is in quarantine, and why
    List {
        #[command(flatten)]
        daemon: Daemon,
    },
    /// Bring a file back as it was: bytes, owner, mode, times, attributes
    Restore {
        /// Its number
        id: String,

        /// To another place
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,

        #[command(flatten)]
        daemon: Daemon,
    },
    /// Delete a file for good
    Purge {
        /// Its number
        id: String,

        #[command(flatten)]
        daemon: Daemon,
    },
}

pub fn run(command: &QuarantineCommand) -> Result<Outcome, Failure> {
    match command {
        QuarantineCommand::List { daemon } => daemon.show(&daemon.ask(&Question::Quarantined)?, print)?,
        QuarantineCommand::Restore { id, to, daemon } => {
            let to = to.as_deref().map(RawPath::of);
            let answer = daemon.ask(&Question::Restore { id: id.clone(), to })?;
            daemon.show(&answer, |out, answer| writeln!(out, "{} is back", text(answer, "/path")))?;
        }
        QuarantineCommand::Purge { id, daemon } => {
            let answer = daemon.ask(&Question::Purge { id: id.clone() })?;
            daemon.show(&answer, |out, answer| writeln!(out, "{} is deleted", text(answer, "/id")))?;
        }
    }
    Ok(Outcome::Yes)
}

fn print(out: &mut dyn Write, answer: &Value) -> io::Result<()> {
    let (bold, dim) = (bold(), dim());
    let entries = super::list(answer, "");
    for entry in entries {
        writeln!(
            out,
            "{bold}{}{bold:#}  {}  {dim}{}, {}, by {}{dim:#}",
            text(entry, "/id"),
            text(entry, "/path"),
            size(number(entry, "/size_bytes")),
            text(entry, "/at"),
            text(entry, "/why/policies")
        )?;
    }
    writeln!(out, "{} files in quarantine", entries.len())
}
