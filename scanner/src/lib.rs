//! From candidates to a report: confined workers, digests, patterns, cache,
//! and the models that files make up.
//!
//! Job: [`scan`] walks, hands open files to confined worker processes, and
//! puts what they say together. [`worker::run`] is the other side.
//!
//! Trust boundary: replies of workers are hostile, since a worker may have
//! been taken over by the file it inspects. They are bounded, parsed as data,
//! and believed only about that file.
//!
//! Deliberately unknown here: policy. An assessment says what is, not what to
//! do about it.
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "tests make their own numbers")
)]

mod advisories;
mod cache;
mod judges;
mod models;
mod origin;
mod patterns;
mod pool;
mod protocol;
mod rules;
mod scan;
mod signatures;
pub mod worker;

pub use judges::{JudgeError, JudgePlaces, Judges, documents, trust};
pub use patterns::{PatternError, PatternPage, Patterns};
pub use pool::WorkerCommand;
pub use scan::{Event, ScanConfig, ScanFailure, scan};

use weighbridge_types::Rule;

/// Every built-in rule, by format, then the pipeline's own.
pub fn all_rules() -> impl Iterator<Item = &'static Rule> {
    let own = rules::ALL.iter().chain(weighbridge_provenance::origin::rules::ALL).copied();
    weighbridge_formats::formats::rules().chain(own)
}
