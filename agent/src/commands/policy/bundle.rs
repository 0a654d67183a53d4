use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use weighbridge_policy::{Repository, run_tests};

use super::problems::show;
use crate::exit::{Failure, Outcome};

#[derive(Debug, Args)]
pub struct BundleOptions {
    /// The policy repository
    dir: PathBuf,

    /// An empty folder for the bundle, or one to be made
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub fn run(options: &BundleOptions) -> Result<Outcome, Failure> {
    let repository = Repository::load(&options.dir);
    show(&repository.problems);
    if repository.is_broken() {
        return Ok(Outcome::Incomplete);
    }
    let now = Timestamp::now();
    let run = run_tests(&repository, now);
    show(&run.problems);
    let failed = run.outcomes.iter().filter(|o| !o.failures.is_empty()).count();
    if failed > 0 || !run.problems.is_empty() {
        anstream::eprintln!(
            "no bundle: {failed} tests fail; `weighbridge policy test {}` shows them",
            options.dir.display()
        );
        return Ok(Outcome::No);
    }
    let bundled = weighbridge_policy::bundle(&repository, &options.out, now).map_err(|source| Failure::File {
        action: "write a bundle to",
        path: options.out.display().to_string(),
        source,
    })?;
    writeln!(anstream::stdout().lock(), "bundled {bundled} files: {}", options.out.display())?;
    Ok(Outcome::Yes)
}
