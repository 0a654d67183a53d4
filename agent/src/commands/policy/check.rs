use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use weighbridge_policy::Repository;

use super::problems::show;
use crate::exit::{Failure, Outcome};

#[derive(Debug, Args)]
pub struct CheckOptions {
    /// The policy repository
    dir: PathBuf,

    /// Warnings are a failure too
    #[arg(long)]
    deny_warnings: bool,
}

pub fn run(options: &CheckOptions) -> Result<Outcome, Failure> {
    let repository = Repository::load(&options.dir);
    let mut problems = repository.problems.clone();
    problems.extend(repository.expired(Timestamp::now()));
    show(&problems);
    let Some(set) = repository.set() else {
        return Ok(Outcome::Incomplete);
    };
    let data = set.data();
    writeln!(
        anstream::stdout().lock(),
        "{}: {} policies, {} approvals, {} exceptions, {} publishers; {} warnings",
        options.dir.display(),
        set.ids().count(),
        data.approvals.len(),
        data.exceptions.len(),
        data.publishers.len(),
        problems.len()
    )?;
    Ok(if options.deny_warnings && !problems.is_empty() { Outcome::No } else { Outcome::Yes })
}
