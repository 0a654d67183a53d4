use std::fmt;

use serde::{Deserialize, Serialize};

/// What the inspection as a whole says of an artifact.
///
/// The order is the order of precedence: a malicious file that is also
/// truncated is malicious, and an unread part is never outvoted by a clean
/// one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Every check ran and none objected.
    Clean,
    /// Some check could not run: damaged, encrypted, over a limit, unreadable.
    Unknown,
    /// Something is there that no ordinary model needs.
    Suspicious,
    /// Loading it attacks the machine or its user.
    Malicious,
}

impl Verdict {
    /// The lower-case name used in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Unknown => "unknown",
            Self::Suspicious => "suspicious",
            Self::Malicious => "malicious",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
