use clap::Args;

use crate::exit::{Failure, Outcome};

#[derive(Debug, Args)]
pub struct DoctorOptions {}

pub fn run(_: &DoctorOptions) -> Result<Outcome, Failure> {
    Ok(Outcome::Yes)
}
