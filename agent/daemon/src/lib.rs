//! The daemon: watches an endpoint, decides, acts, records, explains.
//!
//! Job: [`run`] wires sensors (files, processes, GPUs, downloads), the gate,
//! the policy, the record and the control socket together, and keeps them
//! alive. [`ask`] is the other side of the socket.
//!
//! Trust boundary: paths, names, command lines and questions come from users
//! of the machine and are hostile. Content of files is parsed in confined
//! workers only. Who may ask what goes by the peer of the socket.
//!
//! Deliberately unknown here: formats, Cedar, kernel interfaces; each has its
//! crate.
#![forbid(unsafe_code)]

mod actions;
mod config;
mod console;
mod control;
mod core;
mod error;
mod events;
mod guard;
mod judgement;
mod manager;
mod notices;
mod policies;
mod reach;
mod record;
mod scans;
mod sensors;
mod service;
mod users;
mod watch;
mod why;
mod wire;

pub use config::Config;
pub use console::FOLDER as CONSOLE_FOLDER;
pub use error::DaemonError;
pub use service::run;
pub use wire::{Answer, Question, RawPath, ask};
