//! The record of decisions and actions: a chain of hashes with signed heads.
//!
//! Each entry holds the hash of the one before it, so nothing inside can be
//! changed, left out or put in. The last entry always carries a head that is
//! signed with the endpoint's key, and one head in [`HEAD_ENTRIES_MAX`] entries
//! or [`HEAD_SECONDS_MAX`] seconds stays for good. What chain and heads cannot
//! show by themselves, an end cut off at a head that was kept, shows against a
//! head from elsewhere. `docs/audit.md` gives the encoding.

mod chain;
mod check;
mod export;
mod key;

pub use chain::{Chain, Entry, Head};
pub use check::{Broken, Fault, Verification, Verified};
pub use export::verify_export;
pub use key::PublicKey;

pub(crate) use chain::{Appender, Sealed, count, entries, last_head, time};
pub(crate) use check::verify;
pub(crate) use export::export;
pub(crate) use key::Signer;

/// Most entries from one kept head to the next.
pub const HEAD_ENTRIES_MAX: u64 = 64;
/// Most seconds from one kept head to the next, as long as entries come.
pub const HEAD_SECONDS_MAX: i64 = 60;
/// Longest body of an entry, bytes.
pub const BODY_BYTES_MAX: usize = 256 << 10;
