use std::io::Write;
use std::path::Path;

use jiff::Timestamp;
use weighbridge_policy::Repository;

use crate::exit::{Failure, Outcome};

pub fn run(dir: &Path, deny_warnings: bool) -> Result<Outcome, Failure> {
    let repository = Repository::load(dir);
    let mut problems = repository.problems.clone();
    problems.extend(repository.expired(Timestamp::now()));
    super::show(&problems);
    let Some(set) = repository.set() else {
        return Ok(Outcome::Incomplete);
    };
    let data = set.data();
    let mut out = anstream::stdout().lock();
    writeln!(
        out,
        "{}: {} policies, {} approvals, {} exceptions, {} publishers; {} warnings",
        dir.display(),
        set.ids().count(),
        data.approvals.len(),
        data.exceptions.len(),
        data.publishers.len(),
        problems.len()
    )?;
    Ok(if deny_warnings && !problems.is_empty() { Outcome::No } else { Outcome::Yes })
}
