//! Bounded parsers and detectors for model files, one directory per format.
//!
//! Job: say what bytes are ([`identify`]), what they declare (metadata), and
//! what is wrong with them (findings).
//!
//! Trust boundary: every byte that comes in through [`Input`] is hostile.
//! Nothing here panics on input, indexes without a check, or reserves memory
//! that the input asked for before holding the request against a limit.
//!
//! Deliberately unknown here: paths, the file system, processes, digests of files,
//! policy. Parsers are pure functions over a bounded [`Reader`]; what a file
//! names outside itself is returned as a link for others to resolve.
//!
//! How to add a format: `docs/adding-a-format.md`.
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "tests make their own numbers")
)]

pub mod codec;
mod core;
pub mod formats;

pub use crate::core::{
    Child, Confidence, ContentMatch, ContentScanner, FileName, FormatError, FormatSpec, GENERIC_RULES, HEAD_BYTES,
    Input, Inspection, Interest, Limits, NoContent, Options, Outcome, Parser, ReadAt, Reader, Recognise, Scope, Sniff,
    TAIL_BYTES, claims_model, identify, inspect, is_companion, triage,
};
pub use formats::{FORMATS, rules};
