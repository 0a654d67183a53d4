//! What the daemon and the gate say to each other.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use weighbridge_platform::file::FileKey;

/// Version of this protocol. Both sides come from one package; a mismatch is
/// an upgrade half done.
pub(crate) const VERSION: u32 = 1;
/// Most file systems marked.
pub(crate) const MARKS_MAX: usize = 256;
/// Most processes that are never asked about.
pub(crate) const EXEMPT_MAX: usize = 1_024;

/// Most programs approved as writers.
pub(crate) const WRITERS_MAX: usize = 256;

/// `EBUSY`, the same on every Linux.
pub(crate) const EBUSY: i32 = 16;

/// What to guard and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// A path on each file system to guard.
    #[serde(with = "crate::path::list")]
    pub marks: Vec<PathBuf>,
    /// Longest that an opener may wait, milliseconds; then it goes on.
    pub deadline_ms: u32,
    /// Deadlines missed within a minute, in units of `deadline_ms`, until all
    /// marks are taken back.
    pub misses_max: u32,
    /// What to answer about models nobody has judged yet.
    pub unknown: Unknown,
    /// Processes that are never asked about, by pid. The gate itself and the
    /// process that spawns it are among them anyway.
    pub exempt: Vec<u32>,
}

impl Start {
    /// Guards the file systems of `marks` with the defaults: 50 ms, 20
    /// misses, unknown models allowed.
    #[must_use]
    pub fn new(marks: Vec<PathBuf>) -> Self {
        Self { marks, deadline_ms: 50, misses_max: 20, unknown: Unknown::Allow, exempt: Vec::new() }
    }
}

/// What to answer about a possible model that nobody has judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unknown {
    /// Let it through (observe, guard).
    Allow,
    /// "Verification pending": `EBUSY` where the kernel can say so, else
    /// `EPERM` (lockdown).
    Pending,
}

/// The answer about one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// May be opened.
    Allow,
    /// May not; fails with `errno` where the kernel can say so, else `EPERM`.
    Deny {
        /// Such as 1, `EPERM`. Linux 6.14 takes `EPERM`, `EIO`, `EBUSY`,
        /// `ETXTBSY`, `EAGAIN`, `ENOSPC` and `EDQUOT`.
        errno: i32,
    },
}

/// Daemon to gate.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Command {
    Start { version: u32, start: Start },
    Set { key: FileKey, uid: Option<u32>, verdict: Verdict, for_ms: Option<u64> },
    Forget { key: FileKey },
    Clear,
    Writers(Vec<(u64, u64)>),
    Unknown(Unknown),
    Exempt(Vec<u32>),
    Health { id: u64 },
}

/// Gate to daemon.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Report {
    Ready(Ready),
    Failed { reason: String },
    Asked { refusal: Refusal, allowed: bool },
    Denied(Refusal),
    Broken { misses: u64 },
    Health { id: u64, health: Health },
}

/// What the gate guards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// File systems marked.
    pub marks: u32,
    /// Whether refusals can say `EBUSY` (pre-content class).
    pub pre_content: bool,
    /// File systems that could not be marked, and why.
    pub errors: Vec<MarkError>,
    /// Protections of its own that the gate could not have, and why.
    pub missing: Vec<String>,
    /// Other programs that answer permission events; two that each open files
    /// before they answer can lock each other up.
    pub others: Vec<String>,
}

/// A file system that could not be marked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkError {
    /// The path that named it.
    #[serde(with = "crate::path")]
    pub path: PathBuf,
    /// Why.
    pub reason: String,
}

/// An open that was refused, or asked about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The file.
    pub key: FileKey,
    /// Who opens it; 0 for a process this namespace does not see.
    pub pid: u32,
    /// For whom (file system user of the process); none if it was gone.
    pub uid: Option<u32>,
    /// Where, as the kernel shows it now: for display only. Detached for
    /// opens through an overlay.
    #[serde(with = "crate::path")]
    pub path: PathBuf,
    /// What the opener got: 0 where it was let through.
    pub errno: i32,
}

/// Figures since the start, but where said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Health {
    /// Questions answered.
    pub answered: u64,
    /// Of these, refused.
    pub denied: u64,
    /// Of these, answered by the deadline and not by the table.
    pub late: u64,
    /// Files that are no models, about which the kernel asks no more.
    pub ignored: u64,
    /// Files sent to the daemon.
    pub asked: u64,
    /// Reports dropped because the daemon did not keep up.
    pub dropped: u64,
    /// Openers that the kernel refused for want of a descriptor.
    pub fd_errors: u64,
    /// Reports that wait for the daemon, now.
    pub reports_queued: u64,
    /// Bytes of events that wait in the kernel, now.
    pub queue_bytes: u64,
    /// Open descriptors, now.
    pub open_fds: u64,
    /// Verdicts held, now.
    pub verdicts: u64,
    /// Deadlines missed, in units of the deadline.
    pub misses: u64,
    /// All marks were taken back after too many missed deadlines.
    pub broken: bool,
}
