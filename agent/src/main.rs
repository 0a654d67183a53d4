//! The `weighbridge` command.
#![forbid(unsafe_code)]

mod cli;
mod commands;
mod exit;
mod progress;
mod report;
mod sigstore;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};

fn main() -> ExitCode {
    exit::report(run(Cli::parse()))
}

fn run(cli: Cli) -> Result<exit::Outcome, exit::Failure> {
    match cli.command {
        Command::Scan(options) => commands::scan::run(&options),
        Command::Inventory(options) => commands::inventory::run(&options),
        Command::Advisories(options) => commands::advisories::run(&options),
        Command::Rules(options) => commands::rules::run(&options),
        Command::Verify(options) => commands::verify::run(&options),
        Command::Sign(options) => commands::sign::run(&options),
        Command::Policy(command) => commands::policy::run(&command),
        Command::Daemon(options) => commands::daemon::run(&options),
        Command::Enroll(options) => commands::enroll::run(&options),
        Command::Status(options) => commands::endpoint::status(&options),
        Command::Models(options) => commands::endpoint::models(&options),
        Command::Why(options) => commands::endpoint::why(&options),
        Command::Request(options) => commands::endpoint::request(&options),
        Command::Quarantine(command) => commands::endpoint::quarantine(&command),
        Command::Audit(command) => commands::endpoint::audit(&command),
        Command::Doctor(options) => commands::doctor::run(&options),
        Command::Import(options) => commands::inference::import(&options),
        Command::Serve(options) => commands::inference::serve(&options),
        Command::Chat(options) => commands::inference::chat(&options),
        Command::Bench(options) => commands::inference::bench(&options),
        Command::ImportWorker => commands::inference::import_worker(),
        Command::ModelWorker(options) => commands::inference::model_worker(&options),
        Command::Gate => commands::daemon::gate(),
        Command::Conformance(options) => commands::conformance::run(options),
        Command::ScanWorker => commands::worker::run(),
        Command::CompileRules => commands::rules::compile(),
        Command::Pages(options) => commands::pages::run(&options),
    }
}
