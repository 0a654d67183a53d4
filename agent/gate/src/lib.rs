//! The gate.
#![forbid(unsafe_code)]
