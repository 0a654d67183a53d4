//! Certificates by which endpoints and consoles know each other.
//!
//! Job: one key pair of the console's own, made at its first start, that signs
//! short-lived certificates of endpoints and of the console's listener. Whoever
//! has a certificate of it is who the certificate says; nobody else is anybody.
//!
//! Trust boundary: requests for certificates are an attacker's bytes. Of what
//! they ask for, only the key counts.
//!
//! Deliberately unknown here: who may have a certificate, storage, TLS.
#![forbid(unsafe_code)]

mod error;
mod files;
mod issue;

pub use error::AuthorityError;
pub use issue::{Authority, Issued, Requested};
