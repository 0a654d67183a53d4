//! Every call to the operating system that the daemon needs and that no safe
//! crate wraps.
//!
//! Job: fanotify, file identities, pressure and priorities. `unsafe` lives
//! here and nowhere else in the agent; each block names its invariant.
//!
//! Deliberately unknown here: models, policy.

#[cfg(target_os = "linux")]
pub mod descriptors;
#[cfg(target_os = "linux")]
pub mod fanotify;
pub mod file;
pub mod frames;
pub mod heap;
#[cfg(target_os = "linux")]
pub mod mapping;
#[cfg(target_os = "linux")]
pub mod mount;
#[cfg(target_os = "linux")]
pub mod namespace;
pub mod priority;
#[cfg(target_os = "linux")]
pub mod sealed;
