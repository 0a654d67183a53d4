//! ZIP archives (PKWARE APPNOTE 6.3.10), read as CPython's `zipfile` reads
//! them, and where other readers (miniz in PyTorch, libarchive, streaming
//! unpackers) would see something else, that too.

mod audit;
mod central;
mod end;
mod inspect;
mod listing;
mod local;
mod open;
pub mod rules;

pub use audit::{Anomaly, AnomalyKind, Audit};
pub use inspect::{inspect_archive, inspect_members, report_anomalies};
pub use listing::{Listing, Member};

/// Sample archives written byte by byte, with every field at the test's will.
#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;
