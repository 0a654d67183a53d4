//! The real binary on real files, as its users run it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "helpers of tests are tests")]

mod bills;
mod cli;
mod corpus;
mod daemon;
mod disk;
mod distribution;
mod downloads;
mod faults;
mod fleet;
mod inference;
mod inventory;
mod keyless;
mod llama_cpp;
mod machine;
mod origin;
mod packages;
mod policy;
mod readme;
mod reports;
mod signatures;
mod stores;
mod talk;
mod workers;
