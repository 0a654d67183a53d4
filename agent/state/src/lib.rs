//! What an endpoint knows and did: the inventory with its decisions, the queue
//! of events for a console, requests for approval, the audit record, and the
//! vault that holds what was quarantined.
//!
//! Job: keep all of it through `kill -9`, a full disk and a damaged database,
//! in a folder that only its owner can enter. [`State`] is one SQLite database
//! with one writer; [`View`] reads it, beside the writer or without one.
//! `docs/audit.md` describes the record byte for byte.
//!
//! Trust boundary: paths, names, reasons and the bodies of events come from
//! others; they are bound in length and kept as data. Whoever can write the
//! folder is root and holds the signing key too: against root only a head kept
//! elsewhere helps, and [`View::verify`] takes one.
//!
//! Deliberately unknown here: how files are scanned, what policy says, how the
//! console is spoken to.
#![forbid(unsafe_code)]

mod artifacts;
pub mod audit;
mod change;
mod database;
mod error;
mod facts;
mod folder;
mod hex;
mod models;
mod outbox;
mod reported;
mod requests;
mod schema;
mod state;
#[cfg(target_os = "linux")]
pub mod vault;
mod view;

pub use artifacts::{Counts, Filter, Known, StoredArtifact, VerdictCount};
pub use change::Change;
pub use error::StateError;
pub use models::StoredModel;
pub use outbox::{Event, OutboxLimits, OutboxStatus, Queued};
pub use reported::Unreported;
pub use requests::{NewRequest, Request, RequestState};
pub use state::{Damage, Opening, State};
pub use view::View;
