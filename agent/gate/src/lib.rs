//! Answers the kernel's questions whether a file may be opened.
//!
//! Job: one small process ([`run`]) that says yes or no within a deadline
//! from a table of verdicts, and the daemon's handle to it ([`Gate`]).
//! Verdicts come from the daemon; files nobody has judged go to it as open
//! descriptors.
//!
//! Trust boundary: runs as root beside hostile openers. File content is
//! looked at for 64 bytes and parsed no further; `/proc` is bounded text.
//! The gate process opens no path outside `/proc`, starts no process, writes
//! no log and allocates within bounds. If it dies, the kernel lets openers
//! through; if the daemon dies, it takes its marks back and ends.
//!
//! Deliberately unknown here: policy, formats, digests.
#![forbid(unsafe_code)]

mod message;
mod path;
mod sniff;

#[cfg(target_os = "linux")]
mod client;
#[cfg(target_os = "linux")]
mod deadline;
#[cfg(target_os = "linux")]
pub mod doctor;
#[cfg(target_os = "linux")]
mod engine;
#[cfg(target_os = "linux")]
mod exempt;
#[cfg(target_os = "linux")]
mod process;
#[cfg(target_os = "linux")]
mod reports;
#[cfg(target_os = "linux")]
mod table;
#[cfg(target_os = "linux")]
mod wire;

#[cfg(target_os = "linux")]
pub use client::{Gate, GateError, Notice, Question};
pub use message::{Health, MarkError, Ready, Refusal, Start, Unknown, Verdict};
#[cfg(target_os = "linux")]
pub use process::run;
