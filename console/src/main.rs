//! `weighbridge-console`: the administrator's console.

mod data;
mod error;
mod serve;
mod token;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use error::Failure;

/// The fleet in one place: which models lie and run where, what is wrong with
/// them, and what became of it.
#[derive(Debug, Parser)]
#[command(name = "weighbridge-console", version)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Listen for endpoints
    Serve(serve::Options),
    /// Make a token with which endpoints enrol
    Token(token::Options),
}

fn main() -> ExitCode {
    let options = Options::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&Failure::System(error)),
    };
    let done = runtime.block_on(async {
        match options.command {
            Command::Serve(options) => serve::run(&options).await,
            Command::Token(options) => token::run(&options).await,
        }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failed(&failure),
    }
}

fn failed(failure: &Failure) -> ExitCode {
    let mut text = failure.to_string();
    let mut cause = std::error::Error::source(failure);
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    eprintln!("weighbridge-console: {text}");
    ExitCode::from(2)
}
