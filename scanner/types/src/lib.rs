//! The vocabulary every other crate speaks: digests, severities, verdicts,
//! rules, findings, artifacts, models, what is known of their provenance, and
//! the scan report that holds them all.
//!
//! Trust boundary: values of these types may carry text that an attacker
//! chose (paths, member names, evidence). They are data; [`Shown`] escapes
//! them for people.
//!
//! Deliberately unknown here: files, formats, policy, networks. This crate
//! does no I/O.
#![forbid(unsafe_code)]

mod artifact;
mod decision;
mod digest;
mod finding;
mod model;
mod provenance;
mod report;
mod rule;
mod severity;
mod shown;
mod verdict;

pub use artifact::{Artifact, Link, LinkKind, Metadata};
pub use decision::{Decision, Effect, Mode, Obligation, ObligationKind};
pub use digest::{Sha256, Sha256ParseError};
pub use finding::Finding;
pub use model::{Model, ModelKind};
pub use provenance::{
    AdvisoryMatch, AdvisoryMatchKind, Claim, Coverage, Lineage, Signature, Signer, SigningMethod, Strength,
};
pub use report::{Report, SCHEMA, ScanError, Summary, Tool};
pub use rule::Rule;
pub use severity::{Severity, SeverityParseError};
pub use shown::{Shown, is_hidden};
pub use verdict::Verdict;
