use std::io::{self, Write};
use std::path::Path;

use crate::exit::{Failure, Outcome};

pub fn run(dir: &Path) -> Result<Outcome, Failure> {
    let files = weighbridge_policy::init(dir).map_err(|source| Failure::File {
        action: "write a policy repository to",
        path: dir.display().to_string(),
        source,
    })?;
    let shown = dir.display();
    let mut out = anstream::stdout().lock();
    for file in files {
        writeln!(out, "wrote {shown}/{file}")?;
    }
    writeln!(out, "\nNext: weighbridge policy check {shown} && weighbridge policy test {shown}")?;
    Ok(Outcome::Yes)
}

pub fn schema() -> Result<Outcome, Failure> {
    io::stdout().lock().write_all(weighbridge_policy::SCHEMA_TEXT.as_bytes())?;
    Ok(Outcome::Yes)
}
