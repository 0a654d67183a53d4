//! The detector tables and YARA rules of this release, embedded as text.
//!
//! Data only: what the tables mean is known where they are used.
#![forbid(unsafe_code)]
