//! Signed distribution of policy bundles by The Update Framework (TUF).
//!
//! Job: [`keys`] makes and rotates the keys of a fleet, [`publish`] turns a
//! folder into a repository, [`renew`] keeps it fresh, and [`Store`] fetches,
//! verifies and installs on an endpoint. The protocol is that of the crate
//! `tough`; docs/decisions/0008 says where we go beyond it.
//!
//! Trust boundary: whatever a [`Source`] gives is hostile until its signatures
//! and digests hold. The first root, the state folder and the key folder belong
//! to whoever runs this.
//!
//! Deliberately unknown here: what a bundle says. Its files are bytes.
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unwrap_used,
        clippy::expect_used,
        reason = "a test may stop where it fails"
    )
)]

mod error;
mod files;
pub mod keys;
mod limits;
mod name;
mod repository;
mod roots;
mod runtime;
mod source;
mod store;
mod transport;

#[cfg(test)]
mod tests;

pub use error::{Error, Refusal, RefusalKind, UpdateError};
pub use limits::Limits;
pub use repository::{Published, Renewed, publish, renew};
pub use source::{Directory, Source};
pub use store::{Bundle, Store, Updated};
