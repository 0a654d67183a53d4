use std::path::PathBuf;

use clap::Args;
use weighbridge_daemon::Question;

use super::{Daemon, text};
use crate::exit::{Failure, Outcome};

#[derive(Debug, Args)]
pub struct RequestOptions {
    /// The file
    file: PathBuf,

    /// Why it is needed
    #[arg(long, value_name = "TEXT")]
    reason: String,

    #[command(flatten)]
    daemon: Daemon,
}

pub fn run(options: &RequestOptions) -> Result<Outcome, Failure> {
    let question = Question::Request { path: super::resolved(&options.file), reason: options.reason.clone() };
    let answer = options.daemon.ask(&question)?;
    options.daemon.show(&answer, |out, answer| {
        writeln!(
            out,
            "request {} is filed; an approval of sha256:{} grants it",
            text(answer, "/id"),
            text(answer, "/sha256")
        )
    })?;
    Ok(Outcome::Yes)
}
