//! Downloads.
#![forbid(unsafe_code)]
