//! The real binary on real files, as its users run it.

mod cli;
mod corpus;
mod disk;
mod readme;
mod reports;
mod stores;
mod workers;
