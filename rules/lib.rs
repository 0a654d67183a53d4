//! The detector tables and YARA rules of this release, embedded as text.
//!
//! Data only: what the tables mean is known where they are used.
#![forbid(unsafe_code)]

/// Names that pickles import.
pub mod pickle {
    /// Names needed to rebuild data, by module and name.
    pub const ALLOW: &str = include_str!("pickle/allow.txt");
    /// Names that give away control, by module and name, in sections that say
    /// why.
    pub const DENY: &str = include_str!("pickle/deny.txt");
    /// Top-level modules of the standard library.
    pub const STDLIB: &str = include_str!("pickle/stdlib.txt");
    /// Names that stored code cannot use without attention.
    pub const WORDS: &str = include_str!("pickle/words.txt");
}
