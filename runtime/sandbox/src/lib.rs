//! Confines the calling process so that hostile bytes meet no privilege.
//!
//! Job: take away everything a parser or a model does not need: other users'
//! rights, the network, the file system, most system calls, unbounded memory.
//! A confined process keeps the descriptors it already has.
//!
//! Trust boundary: [`confine`] runs in the process to be confined, before it
//! reads its first hostile byte, while it has one thread. [`narrow`] takes
//! away more once the process has all threads it will have.
//!
//! Deliberately unknown here: what the process is for.
#![cfg_attr(not(test), forbid(unsafe_code))]

#[cfg(target_os = "linux")]
pub mod group;
mod limits;
#[cfg(target_os = "linux")]
mod linux;

pub use limits::Limits;

use serde::{Deserialize, Serialize};

/// What a process is confined for: which system calls are left to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Parsing files handed over as descriptors, with one thread.
    Scan,
    /// Loading a model from sealed memory: threads may be started, nothing
    /// else that is new.
    ModelLoad,
    /// Running the model with the threads there are.
    ModelRun,
}

/// What [`confine`] achieved. A layer the kernel does not offer is named with
/// its reason, so that a report can say so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    /// Unprivileged user: never root.
    pub user: Layer,
    /// Own user, network, IPC and host name namespaces; for models also mounts
    /// and control groups.
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
pub fn confine(profile: Profile, limits: &Limits) -> Confinement {
    #[cfg(target_os = "linux")]
    return linux::confine(profile, limits);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (profile, limits);
        let none = || Layer::Missing("not built for this operating system".to_owned());
        Confinement { user: none(), namespaces: none(), landlock: none(), seccomp: none(), limits: none() }
    }
}

/// Leaves a confined process, with all its threads, only the system calls of
/// `profile` among those it still has.
#[must_use]
pub fn narrow(profile: Profile) -> Layer {
    #[cfg(target_os = "linux")]
    return Layer::of(linux::narrow(profile));
    #[cfg(not(target_os = "linux"))]
    {
        let _ = profile;
        Layer::Missing("not built for this operating system".to_owned())
    }
}

/// Lets the processes that the calling thread starts see no process but their
/// own (`CLONE_NEWPID`, unshare(2)). Needs the rights of root. The thread can
/// start processes and no thread from then on, and its first process must
/// outlive the others; use a thread for one process and let it end.
///
/// A process cannot do this to itself: threads could no longer be started.
#[must_use]
pub fn hide_processes() -> Layer {
    #[cfg(target_os = "linux")]
    return Layer::of(linux::hide_processes());
    #[cfg(not(target_os = "linux"))]
    Layer::Missing("not built for this operating system".to_owned())
}

/// Numbers of the system calls that `profile` allows, some only with certain
/// arguments, and why: for reports, and for the test that they are needed.
#[cfg(target_os = "linux")]
#[must_use]
pub fn calls(profile: Profile) -> Vec<(i64, &'static str)> {
    linux::calls(profile)
}
