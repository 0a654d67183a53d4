use weighbridge_inference_wire::{Failure, FailureKind};

/// Why a worker ended before the other side was gone.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// The socket failed.
    #[error("the socket to the supervisor fails: {0}")]
    Socket(std::io::Error),
    /// The model, or the machine, is not fit.
    #[error("{}", .0.message)]
    Refused(Failure),
    /// Code that runs the model panicked; callers were told.
    #[error("{}", .0.message)]
    Broken(Failure),
}

impl From<std::io::Error> for WorkerError {
    fn from(error: std::io::Error) -> Self {
        Self::Socket(error)
    }
}

impl From<Failure> for WorkerError {
    fn from(failure: Failure) -> Self {
        Self::Refused(failure)
    }
}

/// Longest text passed on from others, characters.
const CHARACTERS_MAX: usize = 400;

/// A failure without a field.
pub fn failed(kind: FailureKind, message: impl Into<String>) -> Failure {
    Failure { kind, message: message.into(), field: None }
}

/// The model's own fault.
pub fn of_model(message: impl Into<String>) -> Failure {
    failed(FailureKind::Model, message)
}

/// An error with its causes, cut to a length that fits a log line.
pub fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    short(&text)
}

/// `text` without control characters, cut.
pub fn short(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut out: String = plain.clone().take(CHARACTERS_MAX).collect();
    if plain.count() > CHARACTERS_MAX {
        out.push('…');
    }
    out
}
