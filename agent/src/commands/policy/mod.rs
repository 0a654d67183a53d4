//! `weighbridge policy …`: the policy author's commands.

mod check;
mod explain;
mod init;
mod test;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use weighbridge_policy::{Action, Mode, Problem};

use crate::exit::{Failure, Outcome};

pub use explain::ExplainOptions;
pub use test::TestOptions;

#[derive(Debug, Args)]
pub struct PolicyOptions {
    #[command(subcommand)]
    command: PolicyCommand,
}

#[derive(Debug, Subcommand)]
enum PolicyCommand {
    /// Write a first policy repository: policies, data, tests, a CI workflow
    Init {
        /// An empty folder, or one to be made
        dir: PathBuf,
    },
    /// Hold policies and data against the schema, and look for what cannot be meant
    ///
    /// Exit codes: 0 usable, 2 not; with `--deny-warnings` 1 for warnings.
    Check {
        /// The policy repository
        dir: PathBuf,
        /// Warnings are a failure too
        #[arg(long)]
        deny_warnings: bool,
    },
    /// Run the tests of a policy repository
    ///
    /// Exit codes: 0 all as expected, 1 not, 2 could not be run.
    Test(TestOptions),
    /// Say why a request is allowed or denied
    ///
    /// Exit codes: 0 allowed, 1 denied, 2 could not be decided.
    Explain(ExplainOptions),
    /// Print the schema that policies are held against
    Schema,
}

pub fn run(options: &PolicyOptions) -> Result<Outcome, Failure> {
    match &options.command {
        PolicyCommand::Init { dir } => init::run(dir),
        PolicyCommand::Check { dir, deny_warnings } => check::run(dir, *deny_warnings),
        PolicyCommand::Test(options) => test::run(options),
        PolicyCommand::Explain(options) => explain::run(options),
        PolicyCommand::Schema => init::schema(),
    }
}

/// Who asks for what, on the command line.
#[derive(Debug, Clone, Args)]
pub struct RequestOptions {
    /// What is to be done with the model
    #[arg(long, value_name = "ACTION", value_parser = action, default_value = "store")]
    pub action: Action,

    /// Who: a person [default: this machine]
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,

    /// Groups that the user is in, beyond those in the repository
    #[arg(long, value_name = "NAME", requires = "user")]
    pub group: Vec<String>,

    /// Team of this machine, whose mode counts
    #[arg(long, value_name = "NAME")]
    pub team: Option<String>,

    /// Decide in this mode instead of the team's
    #[arg(long, value_name = "MODE", value_parser = mode)]
    pub mode: Option<Mode>,
}

fn action(text: &str) -> Result<Action, String> {
    let models = |a: &Action| !matches!(a, Action::RouteToProvider | Action::UseGpu);
    let known: Vec<&str> = Action::ALL.iter().filter(|a| models(a)).map(|a| a.name()).collect();
    let found = Action::ALL.into_iter().find(|a| a.name() == text && models(a));
    found.ok_or_else(|| format!("known are {}", known.join(", ")))
}

fn mode(text: &str) -> Result<Mode, String> {
    let all = [Mode::Observe, Mode::Guard, Mode::Lockdown];
    all.into_iter().find(|m| m.name() == text).ok_or_else(|| "known are observe, guard, lockdown".to_owned())
}

/// Prints `problems` with the lines they are about, to standard error.
fn show(problems: &[Problem]) {
    let theme = if anstream::AutoStream::choice(&std::io::stderr()) == anstream::ColorChoice::Never {
        miette::GraphicalTheme::unicode_nocolor()
    } else {
        miette::GraphicalTheme::unicode()
    };
    let handler = miette::GraphicalReportHandler::new_themed(theme).with_links(false);
    for problem in problems {
        let mut text = String::new();
        if handler.render_report(&mut text, problem).is_err() {
            text = problem.to_string();
        }
        anstream::eprintln!("{}", text.trim_end());
    }
}
