//! What an endpoint tells its console, and hears from it.
//!
//! Job: come in with a token ([`enrol`]), keep a certificate and renew it, and
//! carry messages over one connection ([`Client`]). Offline is normal: what
//! could not be told is told later, by whoever keeps it.
//!
//! Trust boundary: a console is believed only under the authority that the
//! token named, and then no more than the messages allow: it cannot loosen
//! policy. What it answers is bounded and checked.
//!
//! Deliberately unknown here: the inventory, policy, how orders are carried out.
#![forbid(unsafe_code)]

mod address;
mod client;
mod enrol;
mod error;
mod identity;
mod trust;

pub use address::Address;
pub use client::{Answer, Client};
pub use enrol::{Step, enrol};
pub use error::ReportError;
pub use identity::Identity;

/// The name by which a console shows the certificate of its own authority.
const CONSOLE_NAME: &str = "weighbridge-console";
