//! `weighbridge policy`: one file per command.

mod bundle;
mod check;
mod explain;
mod fetch;
mod init;
mod keys;
mod plan;
mod problems;
mod publish;
mod request;
mod test;

use std::path::PathBuf;

use clap::Subcommand;

use crate::exit::{Failure, Outcome};

pub use request::{RequestOptions, action};

#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Write a first policy repository: policies, data, tests, a CI workflow
    Init {
        /// An empty folder, or one to be made
        dir: PathBuf,
    },
    /// Hold policies and data against the schema, and look for what cannot be meant
    ///
    /// Exit codes: 0 usable, 2 not; with `--deny-warnings` 1 for warnings.
    Check(check::CheckOptions),
    /// Run the tests of a policy repository
    ///
    /// Exit codes: 0 all as expected, 1 not, 2 could not be run.
    Test(test::TestOptions),
    /// Say why a request is allowed or denied
    ///
    /// Exit codes: 0 allowed, 1 denied, 2 could not be decided.
    Explain(explain::ExplainOptions),
    /// Show what a change would do: decide an inventory by old and new policies
    Plan(plan::PlanOptions),
    /// Print the schema that policies are held against
    Schema,
    /// Check, test and copy what endpoints need, with a list of digests
    Bundle(bundle::BundleOptions),
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
        PolicyCommand::Init { dir } => init::run(dir),
        PolicyCommand::Check(options) => check::run(options),
        PolicyCommand::Test(options) => test::run(options),
        PolicyCommand::Explain(options) => explain::run(options),
        PolicyCommand::Plan(options) => plan::run(options),
        PolicyCommand::Schema => init::schema(),
        PolicyCommand::Bundle(options) => bundle::run(options),
        PolicyCommand::Keys(command) => keys::run(command),
        PolicyCommand::Publish(options) => publish::publish(options),
        PolicyCommand::Renew(options) => publish::renew(options),
        PolicyCommand::Fetch(options) => fetch::run(options),
    }
}
