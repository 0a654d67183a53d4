//! `cargo xtask CHORE`: demo, test, fuzz, bench, dist, schema checks.
#![forbid(unsafe_code)]
#![allow(clippy::cast_possible_truncation, reason = "makes data to measure with")]

mod bench;
mod conformance;
mod debian;
mod demo;
mod dist;
mod fuzz;
mod licences;
mod minilm;
mod onnxruntime;
mod rules;
mod run;
mod schemas;
mod test;
mod venv;
mod wheel;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The chores of this repository
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Build, then scan this machine's Python packages, home and a planted set of samples
    Demo(demo::Options),
    /// Format check, lints, and all tests; installs what they need
    Test(test::Options),
    /// Fetch ONNX Runtime's library for the inference service
    Onnxruntime,
    /// Fuzz every parser, or those named
    Fuzz(fuzz::Options),
    /// Compile the YARA rules after a change to them
    Rules,
    /// Run the public conformance suites of signatures against our binary
    Conformance(conformance::Options),
    /// Measure beside peers and physical limits
    Bench(bench::Options),
    /// Build the packages, .deb and .rpm, into target/dist
    Dist,
}

fn main() -> ExitCode {
    let result = match Cli::parse().chore {
        Chore::Demo(options) => demo::run(&options),
        Chore::Test(options) => test::run(&options),
        Chore::Onnxruntime => onnxruntime::library().map(|library| println!("{}", library.display())),
        Chore::Fuzz(options) => fuzz::run(&options),
        Chore::Rules => rules::run(),
        Chore::Conformance(options) => conformance::run_suites(&options),
        Chore::Bench(options) => bench::run(&options),
        Chore::Dist => dist::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}
