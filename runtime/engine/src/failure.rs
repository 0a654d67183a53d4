//! Failures in the words of the wire.

use weighbridge_inference_wire::{Failure, FailureKind};

/// The request is wrong in `field`.
pub(crate) fn invalid(field: &str, message: impl Into<String>) -> Failure {
    Failure { kind: FailureKind::Invalid, message: message.into(), field: Some(field.to_owned()) }
}

/// A failure without a field.
pub(crate) fn failed(kind: FailureKind, message: impl Into<String>) -> Failure {
    Failure { kind, message: message.into(), field: None }
}

/// The model's own fault.
pub(crate) fn model(message: impl Into<String>) -> Failure {
    failed(FailureKind::Model, message)
}

/// Words of other libraries, cut to a length that fits a log line.
pub(crate) fn said(error: impl std::fmt::Display) -> String {
    const CHARACTERS_MAX: usize = 400;
    let text = error.to_string();
    match text.char_indices().nth(CHARACTERS_MAX) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text,
    }
}

/// Runs third-party code that is known to panic on hostile input.
///
/// # Errors
/// The panic's own words.
pub(crate) fn guarded<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(ToString::to_string);
        said(text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no reason given".to_owned()))
    })
}
