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
