//! Confines the calling process so that hostile bytes meet no privilege.
//!
//! Job: take away everything a parser does not need: other users' rights,
//! the network, the file system, most system calls, unbounded memory.
//! A confined process keeps the descriptors it already has.
//!
//! Trust boundary: [`confine`] runs in the process to be confined, before it
//! reads its first hostile byte, while it has one thread.
//!
//! Deliberately unknown here: what the process is for.
#![cfg_attr(not(test), forbid(unsafe_code))]

mod limits;
#[cfg(target_os = "linux")]
mod linux;

pub use limits::Limits;

use serde::{Deserialize, Serialize};

/// What [`confine`] achieved. A layer the kernel does not offer is named with
/// its reason, so that a report can say so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    /// Unprivileged user: never root.
    pub user: Layer,
    /// Own user, network and IPC namespaces.
    pub namespaces: Layer,
    /// No path can be opened (Landlock).
    pub landlock: Layer,
    /// Only listed system calls (seccomp).
    pub seccomp: Layer,
    /// Memory, file size, process and descriptor limits.
    pub limits: Layer,
}

impl Confinement {
    /// Layers that are not in force, with the reason.
    pub fn missing(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("user", &self.user),
            ("namespaces", &self.namespaces),
            ("landlock", &self.landlock),
            ("seccomp", &self.seccomp),
            ("limits", &self.limits),
        ]
        .into_iter()
        .filter_map(|(name, layer)| match layer {
            Layer::Active => None,
            Layer::Missing(reason) => Some((name, reason.as_str())),
        })
    }
}

/// One layer of confinement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Layer {
    /// In force.
    Active,
    /// Not in force, and why.
    Missing(String),
}

impl Layer {
    #[cfg(target_os = "linux")]
    fn of<E: std::fmt::Display>(result: Result<(), E>) -> Self {
        match result {
            Ok(()) => Self::Active,
            Err(e) => Self::Missing(e.to_string()),
        }
    }
}

/// Confines the calling process for good. Call it with one thread running.
///
/// Never fails as a whole: what could not be had is in the result, and the
/// caller decides. Without seccomp *and* Landlock a caller should refuse.
#[must_use]
pub fn confine(limits: &Limits) -> Confinement {
    #[cfg(target_os = "linux")]
    return linux::confine(limits);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = limits;
        let none = || Layer::Missing("not built for this operating system".to_owned());
        Confinement { user: none(), namespaces: none(), landlock: none(), seccomp: none(), limits: none() }
    }
}
