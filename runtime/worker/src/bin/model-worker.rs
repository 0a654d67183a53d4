//! A model worker by itself, for tests: `model-worker LIBRARY`, with a socket
//! to the supervisor as standard input.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(library) = std::env::args_os().nth(1) else { return ExitCode::from(2) };
    match weighbridge_worker::run_on_standard_input(library.as_ref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}
