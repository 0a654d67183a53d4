//! Who signed a model, where it came from, what it derives from, and what is
//! known against it.
//!
//! Job: [`signature`] verifies and makes OpenSSF Model Signing bundles,
//! [`origin`] collects claims about where files came from, [`lineage`] tells
//! what they likely derive from, [`advisory`]
//! matches what is known against models and programs, [`inventory`] finds the
//! inference stacks that are installed.
//!
//! Trust boundary: bundles, manifests, cache records and metadata are hostile;
//! keys, roots and advisories come from whoever configures trust. Nothing here
//! speaks to the network, starts a program or writes a file.
//!
//! Deliberately unknown here: policy. Whether an unsigned model may run is
//! decided elsewhere.
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unwrap_used,
        clippy::expect_used,
        reason = "a test may stop where it fails"
    )
)]

pub mod advisory;
pub mod inventory;
pub mod json;
pub mod lineage;
pub mod origin;
pub mod parsers;
pub mod purl;
pub mod signature;
