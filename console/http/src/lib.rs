//! How the console listens.
//!
//! Job: TLS 1.3 with certificates of clients where they have one, connections
//! and bodies within bounds, problems in one form (RFC 9457).
//!
//! Trust boundary: whoever connects is a stranger. What a [`Peer`] says of a
//! client's certificate was verified against the console's authority.
//!
//! Deliberately unknown here: endpoints, people, storage.
#![forbid(unsafe_code)]

mod body;
mod listen;
mod peer;
mod problem;
mod tls;

pub use body::{Bounds, read};
pub use listen::{Limits, serve};
pub use peer::{Holder, Peer};
pub use problem::Problem;
pub use tls::{Tls, TlsError};

/// The name by which endpoints ask for the certificate of the console's own
/// authority, whatever else the listener is called (TLS, server_name).
pub const ENDPOINT_NAME: &str = "weighbridge-console";
