//! What an error of tough means to an endpoint.

use std::error::Error as _;
use std::io;

use tough::error::Error as Tough;
use tough::{TransportError, TransportErrorKind};

use crate::error::{Error, Refusal, RefusalKind, UpdateError};
use crate::transport::{Foreign, REPOSITORY, TooLong};

/// Sorts an error into refused and failed; `file` was read last.
pub fn meaning(error: &Tough, file: Option<String>) -> UpdateError {
    let file = file.unwrap_or_else(|| "metadata/root.json".to_owned());
    let refused = |kind| UpdateError::Refused(Refusal { kind, file: file.clone(), reason: plain(error) });
    match error {
        Tough::VerifyMetadata { .. } | Tough::VerifyRoleMetadata { .. } | Tough::DuplicateKeyid { .. } => {
            refused(RefusalKind::Signature)
        }
        Tough::OlderMetadata { .. }
        | Tough::OlderSnapshotInTimestamp { .. }
        | Tough::SnapshotRoleRollback { .. }
        | Tough::SnapshotRoleMissing { .. } => refused(RefusalKind::Rollback),
        Tough::ExpiredMetadata { .. } => refused(RefusalKind::Expired),
        Tough::VersionMismatch { .. } => refused(RefusalKind::MixAndMatch),
        Tough::MaxUpdatesExceeded { .. } | Tough::MaxSizeExceeded { .. } => refused(RefusalKind::TooMuch),
        Tough::HashMismatch { .. } => refused(bytes_kind(&file)),
        Tough::Transport { source, .. } => carried(source, file),
        Tough::InvalidTargetName { .. } => refused(RefusalKind::TargetName),
        Tough::SystemTimeSteppedBackward { .. } => UpdateError::Failed(Error::Clock(plain(error))),
        Tough::DatastoreInit { .. }
        | Tough::DatastoreCreate { .. }
        | Tough::DatastoreOpen { .. }
        | Tough::DatastoreRemove { .. }
        | Tough::DatastoreSerialize { .. }
        | Tough::ParseTrustedMetadata { .. }
        | Tough::VerifyTrustedMetadata { .. } => {
            UpdateError::Failed(Error::State { path: "trust".to_owned(), reason: plain(error) })
        }
        // Whatever else tough finds wrong is wrong with what it read.
        _ => refused(RefusalKind::Malformed),
    }
}

/// Whether tough failed at its own copy of the state, which then says nothing.
pub fn is_of_state(error: &Tough) -> bool {
    matches!(
        error,
        Tough::DatastoreInit { .. }
            | Tough::DatastoreCreate { .. }
            | Tough::DatastoreOpen { .. }
            | Tough::DatastoreRemove { .. }
            | Tough::DatastoreSerialize { .. }
    )
}

/// Errors found while bytes were on their way.
fn carried(error: &TransportError, file: String) -> UpdateError {
    let cause = error.source();
    if error.kind() == TransportErrorKind::FileNotFound {
        let path = error.url().strip_prefix(REPOSITORY).unwrap_or(&file).to_owned();
        let source = io::Error::new(io::ErrorKind::NotFound, "there is no such file");
        return UpdateError::Failed(Error::Source { path, source });
    }
    let refused = |kind, reason: String| UpdateError::Refused(Refusal { kind, file: file.clone(), reason });
    if let Some(cause) = cause.and_then(|c| c.downcast_ref::<Tough>()) {
        return match cause {
            Tough::HashMismatch { calculated, expected, .. } => {
                refused(bytes_kind(&file), format!("its SHA-256 is {calculated}, and signed is {expected}"))
            }
            Tough::MaxSizeExceeded { max_size, .. } => {
                let kind = if is_target(&file) { RefusalKind::TargetBytes } else { RefusalKind::TooMuch };
                refused(kind, format!("it is longer than the {max_size} bytes that are allowed or signed"))
            }
            other => refused(RefusalKind::Malformed, plain(other)),
        };
    }
    if let Some(long) = cause.and_then(|c| c.downcast_ref::<TooLong>()) {
        return refused(RefusalKind::TooMuch, long.to_string());
    }
    if let Some(foreign) = cause.and_then(|c| c.downcast_ref::<Foreign>()) {
        return refused(RefusalKind::Malformed, foreign.to_string());
    }
    let source = match cause.and_then(|c| c.downcast_ref::<io::Error>()) {
        Some(e) => io::Error::new(e.kind(), e.to_string()),
        None => io::Error::other(error.to_string()),
    };
    UpdateError::Failed(Error::Source { path: file, source })
}

fn bytes_kind(file: &str) -> RefusalKind {
    if is_target(file) { RefusalKind::TargetBytes } else { RefusalKind::MixAndMatch }
}

fn is_target(file: &str) -> bool {
    file.starts_with("targets/")
}

/// The house's errors begin in lower case; tough's do not.
fn plain(error: &Tough) -> String {
    let text = error.to_string();
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |c| c.to_lowercase().chain(chars).collect())
}
