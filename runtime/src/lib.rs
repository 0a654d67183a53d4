//! Serves approved models: one confined worker process for each.
//!
//! Job: [`Supervisor::load`] takes bytes that policy approved, seals them in
//! memory while it hashes them, and hands them to a worker; requests go there
//! and events come back. A worker that crashes, hangs or misbehaves is ended
//! and started again from the same sealed memory; the others never notice.
//!
//! Trust boundary: a worker has read hostile bytes. Whatever it says is held
//! against what may be said, and bounded; nothing of a model is parsed here but
//! the manifest that our own importer wrote, and that by length.
//!
//! Deliberately unknown here: HTTP, callers, how models are found.
#![forbid(unsafe_code)]

mod energy;
mod gateway;
mod load;
mod supervisor;
mod worker;

pub use energy::Meter;
pub use load::{LoadError, PartSource, available};
pub use supervisor::{Handle, Options, Settings, Supervisor, Timing, WorkerCommand};
