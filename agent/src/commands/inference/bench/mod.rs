//! `weighbridge bench`: how fast a model is here, and what else would fit.

mod fits;
mod machine;
mod measure;
mod show;

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use weighbridge_policy::PolicySet;
use weighbridge_types::Shown;

use super::load::{LoadOptions, Loader, name_of, supervisor};
use crate::commands::decide;
use crate::exit::{Failure, Outcome};

#[derive(Debug, Args)]
pub struct BenchOptions {
    /// A model, as for `serve`; without one, only what this machine is good for
    model: Option<PathBuf>,

    /// Refuse what these policies refuse; without them, what is malicious
    #[arg(long, value_name = "DIR", requires = "model")]
    policy: Option<PathBuf>,

    /// Tokens of a prompt
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    prompt: u32,

    /// Tokens that each stream writes
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    tokens: u32,

    /// Streams that write at the same time
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1,4,8", value_parser = clap::value_parser!(u16).range(1..=256))]
    streams: Vec<u16>,

    /// Times that everything is measured; the best counts, since noise only takes away
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,

    /// Print JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    load: LoadOptions,
}

/// All that was measured.
#[derive(Debug, Serialize)]
struct Bench {
    schema: &'static str,
    machine: machine::Machine,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<measure::Measured>,
    fits: Vec<fits::Fit>,
}

pub fn run(options: &BenchOptions) -> Result<Outcome, Failure> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = options.load.threads.map_or(cores, usize::from);
    let mut machine = machine::Machine::measure(threads)?;
    let model = match &options.model {
        None => None,
        Some(path) => {
            let policy = match &options.policy {
                Some(folder) => decide::load(folder)?,
                None => PolicySet::empty().map_err(Failure::Usage)?,
            };
            let (folder, supervisor) = (options.policy.clone(), supervisor()?);
            let loader = Loader { supervisor, options: options.load.clone(), folder, team: None };
            if options.policy.is_none()
                && let Some(file) = loader.attack(path)?
            {
                eprintln!("weighbridge: `{}` attacks whoever loads it; `weighbridge scan` shows how", Shown(&file));
                return Ok(Outcome::No);
            }
            let started = std::time::Instant::now();
            let loaded = match loader.load(&policy, path, &name_of(path))? {
                Ok(loaded) => loaded,
                Err(refused) => {
                    eprintln!("weighbridge: {}", Shown(&refused));
                    return Ok(Outcome::No);
                }
            };
            Some(measure::measure(&loaded.handle, started.elapsed(), options, &mut machine)?)
        }
    };
    let share = model.as_ref().and_then(measure::Measured::share_of_limit);
    let fits = fits::fits(&machine, share);
    let bench = Bench { schema: "weighbridge.bench/1", machine, model, fits };
    if options.json {
        println!("{}", serde_json::to_string_pretty(&bench).map_err(|e| Failure::Usage(e.to_string()))?);
    } else {
        show::print(&mut anstream::stdout().lock(), &bench)?;
    }
    Ok(Outcome::Yes)
}
