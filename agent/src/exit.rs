//! Exit codes: 0 yes or clean, 1 no, 2 could not do its work.

use std::error::Error;
use std::io::ErrorKind;
use std::process::ExitCode;

/// A command that did its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Yes, clean. Exit code 0.
    Yes,
    /// A finding, a refusal, a failed verification. Exit code 1.
    No,
    /// Parts of the work could not be done, and were told. Exit code 2.
    Incomplete,
}

/// A command that could not do its work. Exit code 2.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The command line asks for something impossible.
    #[error("{0}")]
    Usage(String),
    /// A file could not be read or written.
    #[error("cannot {action} `{path}`")]
    File {
        /// `read`, `write`.
        action: &'static str,
        /// The file.
        path: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Standard output could not be written.
    #[error("cannot write the report")]
    Output(#[from] std::io::Error),
    /// The scan could not be done.
    #[error(transparent)]
    Scan(#[from] weighbridge_scanner::ScanFailure),
    /// The model cannot be signed.
    #[error("cannot sign: {0}")]
    Sign(String),
    /// An advisory cannot be read.
    #[error(transparent)]
    Advisories(#[from] weighbridge_provenance::advisory::CatalogueError),
    /// Policies cannot be used.
    #[error("the policies in `{path}` cannot be used; `weighbridge policy check {path}` shows where")]
    Policy {
        /// The repository.
        path: String,
        /// What is wrong.
        problems: Vec<weighbridge_policy::Problem>,
    },
    /// What files are judged by cannot be used.
    #[error(transparent)]
    Judges(#[from] weighbridge_scanner::JudgeError),
    /// The daemon, or a question to it.
    #[error(transparent)]
    Daemon(#[from] weighbridge_daemon::DaemonError),
    /// A policy could not be distributed.
    #[error(transparent)]
    Distribution(#[from] weighbridge_distribution::Error),
    /// YARA rules do not compile.
    #[error(transparent)]
    Patterns(#[from] weighbridge_scanner::PatternError),
}

/// Prints a failure with its causes and turns the result into an exit code.
pub fn report(result: Result<Outcome, Failure>) -> ExitCode {
    let failure = match result {
        Ok(Outcome::Yes) => return ExitCode::SUCCESS,
        Ok(Outcome::No) => return ExitCode::from(1),
        Ok(Outcome::Incomplete) => return ExitCode::from(2),
        Err(failure) => failure,
    };
    // `weighbridge … | head` is no error worth a word.
    if let Failure::Output(e) = &failure
        && e.kind() == ErrorKind::BrokenPipe
    {
        return ExitCode::from(2);
    }
    let mut message = with_causes(&failure);
    if let Failure::Policy { problems, .. } = &failure {
        for problem in problems.iter().take(3) {
            message.push_str(&format!("\n  {}: {problem}", problem.file));
        }
    }
    anstream::eprintln!("weighbridge: {message}");
    ExitCode::from(2)
}

/// What an error says, and what caused it.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
