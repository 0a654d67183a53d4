//! Messages between endpoints and their console.
//!
//! Job: what an endpoint says when it enrols, checks in, tells what lies on it
//! and what happened, and what it is told. Everything is JSON; whoever reads
//! ignores fields it does not know and fills in those it misses, so either side
//! may be newer. What changes the meaning of a field gets a new [`VERSION`].
//!
//! Trust boundary: both sides hold what arrives against the limits here
//! ([`Check`]) before they use it. That an endpoint speaks for itself alone is
//! the transport's matter: the client certificate says who it is, no message
//! does.
//!
//! Deliberately unknown here: HTTP, certificates, storage.
#![forbid(unsafe_code)]

mod check_in;
mod command;
mod enrol;
mod error;
mod events;
mod inventory;
mod limits;
mod token;

pub use check_in::{Capability, CheckIn, Instructions, Load, ORDERS_MAX, Renewal};
pub use command::{Command, Order, Outcome, Receipt, Receipts};
pub use enrol::{Enrolled, Enrolment, EnrolmentAnswer, KeyStorage, Machine};
pub use error::WireError;
pub use events::{Accepted, Batch, EVENTS_MAX, Event};
pub use inventory::{Delta, Fingerprint, InventoryAnswer, ModelFile, ROWS_MAX, RowDigest};
pub use limits::{Check, PATH_BYTES_MAX};
pub use token::JoinToken;

/// Version of the messages; in the path of every request of an endpoint.
pub const VERSION: u32 = 1;
/// Largest request of an endpoint, bytes, after it was unpacked.
pub const REQUEST_BYTES_MAX: usize = 16 << 20;
/// Largest request as it is sent, bytes.
pub const PACKED_BYTES_MAX: usize = 4 << 20;
