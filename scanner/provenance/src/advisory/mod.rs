//! Advisories (OSV format) against models and installed programs.
//!
//! [`osv`] reads documents, [`Catalogue`] indexes those that hold now,
//! [`version`] compares versions. A program whose version is unknown or cannot
//! be compared is neither affected nor safe: it is told as undecided.

mod catalogue;
mod cvss;
mod matching;
pub mod osv;
mod repository;
#[cfg(test)]
mod tests;
pub mod version;

pub use catalogue::{Catalogue, CatalogueError, normalised};
pub use cvss::{base_score, severity};
pub use matching::{Installed, Judgement, ModelFacts};
pub use osv::{Advisory, AdvisoryError};
