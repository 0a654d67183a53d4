//! Which inference stacks run on this machine, which models they hold, who can
//! reach them, and what uses its GPUs.
//!
//! Job: bounded passes over `/proc`, over the network tables in it, over sysfs
//! and NVML. Stacks are recognised by a table (`rules/processes.txt`).
//!
//! Trust boundary: names, command lines, tables of other processes and answers
//! of local servers are hostile. Every read has a limit; files are only looked
//! at as first and last bytes, through handles that cannot block; file systems
//! that another program answers for (FUSE, network) are never touched.
//!
//! Deliberately unknown here: policy, what to do about what was seen.
#![forbid(unsafe_code)]

pub mod gpu;
#[cfg(target_os = "linux")]
pub mod processes;
