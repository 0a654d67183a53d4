//! The detector tables and YARA rules of this release, embedded as text.
//!
//! Data only: what the tables mean is known where they are used.
#![forbid(unsafe_code)]

/// Our YARA rules: file name and text.
pub const YARA: &[(&str, &str)] = &[
    ("executables.yar", include_str!("yara/executables.yar")),
    ("incidents.yar", include_str!("yara/incidents.yar")),
    ("miners.yar", include_str!("yara/miners.yar")),
    ("shells.yar", include_str!("yara/shells.yar")),
];

/// Where inference stacks keep models (`stacks.txt`).
pub const STACKS: &str = include_str!("stacks.txt");

/// The text of every table and rule here, for digests over all that decides.
pub fn tables() -> impl Iterator<Item = &'static str> {
    YARA.iter().map(|(_, text)| *text)
}

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
