//! `weighbridge policy`: one file per command.

mod fetch;
mod keys;
mod publish;

use clap::Subcommand;

use crate::exit::{Failure, Outcome};

#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Make and rotate the keys that policies are signed with
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Sign the files of a bundle and put them into a repository (TUF)
    Publish(publish::PublishOptions),
    /// Keep a repository fresh: a new snapshot and timestamp, the same bundle
    Renew(publish::RenewOptions),
    /// Verify and install the bundle of a repository
    ///
    /// Exit codes: 0 the newest bundle is in force, 1 refused, 2 could not do its work. The
    /// bundle that was in force stays unless a new one was verified whole.
    Fetch(fetch::FetchOptions),
}

pub fn run(command: &PolicyCommand) -> Result<Outcome, Failure> {
    match command {
        PolicyCommand::Keys(command) => keys::run(command),
        PolicyCommand::Publish(options) => publish::publish(options),
        PolicyCommand::Renew(options) => publish::renew(options),
        PolicyCommand::Fetch(options) => fetch::run(options),
    }
}
