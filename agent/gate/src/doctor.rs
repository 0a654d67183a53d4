//! What this kernel can guard, tried out rather than looked up.
//!
//! Everything happens on file systems that are mounted nowhere and that no
//! other process can reach, so nobody waits for the probe, and nothing of the
//! machine is marked.

mod probe;

use std::path::Path;

use serde::Serialize;
use weighbridge_platform::fanotify::{Listeners, listeners};

/// Whether the gate covers one way to a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "state", content = "reason")]
pub enum Coverage {
    /// Tried: it holds.
    Covered,
    /// Tried: it is a way around the gate.
    Open(String),
    /// Could not be tried.
    Unknown(String),
}

/// One thing tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Stable name.
    pub name: &'static str,
    /// In words.
    pub title: &'static str,
    /// How it went.
    pub coverage: Coverage,
}

/// What the gate can do on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Capabilities {
    /// Everything tried, always the same names in the same order.
    pub checks: Vec<Check>,
    /// Programs that answer permission events now, our own gate included.
    pub listeners: Listeners,
}

impl Capabilities {
    /// How the check `name` went.
    #[must_use]
    pub fn coverage(&self, name: &str) -> Option<&Coverage> {
        self.checks.iter().find(|c| c.name == name).map(|c| &c.coverage)
    }
}

/// Tries out what the gate covers. `dir` is a directory to write a small
/// temporary file to, on a file system that matters; it is not marked.
///
/// Takes well below a second; needs root, else nearly all is
/// [`Coverage::Unknown`].
#[must_use]
pub fn probe(dir: &Path) -> Capabilities {
    Capabilities { checks: probe::all(dir), listeners: listeners(std::time::Duration::from_secs(2)) }
}
