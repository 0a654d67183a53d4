use std::io::{self, Write};

use clap::Args;
use serde_json::Value;
use weighbridge_daemon::Question;
use weighbridge_types::Verdict;

use super::{Daemon, list, number, text};
use crate::exit::{Failure, Outcome};
use crate::report::{dim, size, verdict_style};

#[derive(Debug, Args)]
pub struct ModelsOptions {
    #[command(flatten)]
    daemon: Daemon,
}

pub fn run(options: &ModelsOptions) -> Result<Outcome, Failure> {
    let answer = options.daemon.ask(&Question::Models)?;
    options.daemon.show(&answer, print)?;
    Ok(Outcome::Yes)
}

fn print(out: &mut dyn Write, answer: &Value) -> io::Result<()> {
    let dim = dim();
    for file in list(answer, "/files") {
        let verdict = serde_json::from_value::<Verdict>(file["verdict"].clone()).unwrap_or(Verdict::Unknown);
        let style = verdict_style(verdict);
        writeln!(
            out,
            "{style}{verdict:10}{style:#} {:6} {}  {dim}{}, {}{dim:#}",
            text(file, "/decision/effect"),
            text(file, "/path"),
            text(file, "/format"),
            size(number(file, "/size_bytes"))
        )?;
    }
    let (files, models) = (list(answer, "/files").len(), list(answer, "/models").len());
    writeln!(out, "{files} files, {models} models; `weighbridge why FILE` tells more of one")
}
