//! Who downloads which model from where, while it still grows.
//!
//! Job: count the bytes that each TCP socket of the machine received
//! (sock_diag(7), no packet is read), join the busy ones with the process
//! that holds them, with the file that this process or its pipe writes, with
//! the first bytes of that file and with traces of a model hub.
//!
//! Trust boundary: names, command lines, environments and first bytes belong
//! to whoever downloads and may lie. They are bounded, compared with fixed
//! patterns and never parsed further; hub traces are evidence with a
//! strength, never a fact. Files are opened only if regular, never blocking.
//!
//! Deliberately unknown here: policy, whether a download is allowed, DNS, TLS.
//!
//! Not seen: QUIC and other UDP, NFS and FUSE inside the kernel, namespaces
//! without a process, sockets that die below the threshold, and the process
//! of a socket that came and went between two looks.
#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
mod diag;
mod download;
mod error;
mod evidence;
#[cfg(target_os = "linux")]
mod monitor;
#[cfg(target_os = "linux")]
mod procfs;
#[cfg(target_os = "linux")]
mod sever;
mod sniff;
#[cfg(target_os = "linux")]
mod watch;

pub use download::{Download, Evidence, FileId, Socket, Strength, Update, What};
pub use error::DownloadsError;
#[cfg(target_os = "linux")]
pub use monitor::{Coverage, Monitor, Options};
#[cfg(target_os = "linux")]
pub use sever::sever;
pub use sniff::{Format, Sniffed, sniff};
