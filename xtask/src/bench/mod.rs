//! Measurements beside peers and physical limits, as ratios in one run.

mod agent;
mod files;
mod inference;
mod measure;
mod policy;
mod provenance;
mod scan;

use clap::{Args, Subcommand};

use crate::run::Result;

#[derive(Debug, Args)]
pub struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// `weighbridge scan` beside sha2, find, modelaudit, modelscan and picklescan
    Scan(scan::Options),
    /// Scanning and verifying signed models beside sha2, openssl and the Python reference
    Provenance(provenance::Options),
    /// The daemon: opens under the gate, sweeps, new models, and doing nothing
    Agent(agent::Options),
    /// The inference service beside llama.cpp and sentence-transformers
    Inference(inference::Options),
    /// Decisions, loading and replay of policies
    Policy,
}

pub fn run(options: &Options) -> Result {
    match &options.what {
        What::Scan(options) => scan::run(options),
        What::Provenance(options) => provenance::run(options),
        What::Agent(options) => agent::run(options),
        What::Inference(options) => inference::run(options),
        What::Policy => policy::run(),
    }
}
