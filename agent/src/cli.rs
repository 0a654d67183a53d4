use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use weighbridge_types::Severity;

use crate::commands::conformance::ConformanceOptions;
use crate::commands::daemon::DaemonOptions;
use crate::commands::doctor::DoctorOptions;
use crate::commands::endpoint;
use crate::commands::enroll::EnrollOptions;
use crate::commands::inference;
use crate::commands::pages::PagesOptions;
use crate::commands::policy::{PolicyCommand, RequestOptions};
use crate::commands::sign::SignOptions;
use crate::commands::verify::VerifyOptions;

/// Finds, inspects and governs the AI models on this machine.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Find models, say what they are, and catch the malicious ones
    ///
    /// Exit codes: 0 nothing at or above the threshold, 1 findings, 2 could not do its work.
    Scan(ScanOptions),
    /// List the inference stacks that are installed, and what is known against them
    ///
    /// Nothing is run. Exit codes: 0 nothing at or above the threshold, 1 advisories, 2 could not do its work.
    Inventory(InventoryOptions),
    /// List and explain the advisories
    Advisories(AdvisoriesOptions),
    /// List and explain the rules
    Rules(RulesOptions),
    /// Check who signed a model, and that its files are the signed ones
    ///
    /// Exit codes: 0 trusted, 1 untrusted or unsigned, 2 could not be checked.
    Verify(VerifyOptions),
    /// Sign a model (OpenSSF Model Signing)
    Sign(SignOptions),
    /// Write, check, test, explain and distribute policies
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Watch this machine, decide by policy, act, record
    ///
    /// Runs in the foreground until SIGTERM; a service manager keeps it.
    Daemon(DaemonOptions),
    /// Make this machine known to a console, to which the daemon then reports
    ///
    /// Exit codes: 1 the console refuses, 2 could not be asked.
    #[command(visible_alias = "enrol")]
    Enroll(EnrollOptions),
    /// How the daemon is, what runs, what is being downloaded
    Status(endpoint::StatusOptions),
    /// The models on this machine, as the daemon knows them
    Models(endpoint::ModelsOptions),
    /// Why a file may or may not be used, and who can change that
    ///
    /// Exit codes: 0 allowed, 1 denied, 2 could not be decided.
    Why(endpoint::WhyOptions),
    /// Ask for a file to be approved
    Request(endpoint::RequestOptions),
    /// List, bring back and delete what was put into quarantine
    #[command(subcommand)]
    Quarantine(endpoint::QuarantineCommand),
    /// Check and export the record of decisions and actions
    #[command(subcommand)]
    Audit(endpoint::AuditCommand),
    /// Turn a GGUF file or a safetensors folder into a model that is served as it is
    Import(inference::ImportOptions),
    /// Serve approved models to programs on this machine (OpenAI, Ollama and Open Inference Protocol APIs)
    ///
    /// Each model runs in a confined process of its own. Exit codes: 1 policy refuses a model, 2 could not do its work.
    Serve(inference::ServeOptions),
    /// Talk to a model that is served on this machine
    Chat(inference::ChatOptions),
    /// Measure a model, in the confined process that would serve it, and say what fits this machine
    Bench(inference::BenchOptions),
    /// Say what this system lets us see and stop, and what it does not
    Doctor(DoctorOptions),
    /// The client protocols of the public conformance suites
    #[command(hide = true)]
    Conformance(ConformanceOptions),
    /// The confined half of `scan`; started by it
    #[command(name = "__scan-worker", hide = true)]
    ScanWorker,
    /// The confined half of `import`; started by it
    #[command(name = "__import-worker", hide = true)]
    ImportWorker,
    /// The confined process of one model; started by `serve`
    #[command(name = "__model-worker", hide = true)]
    ModelWorker(inference::LibraryOptions),
    /// The process that answers permission events; started by the daemon
    #[command(name = "__gate", hide = true)]
    Gate,
    /// Compile our YARA rules for a release, to standard output
    #[command(name = "__compile-rules", hide = true)]
    CompileRules,
    /// Write manual pages and shell completions to DIR, for packages
    #[command(name = "__pages", hide = true)]
    Pages(PagesOptions),
}

#[derive(Debug, Args)]
pub struct ScanOptions {
    /// Files and folders to scan
    #[arg(required_unless_present_any = ["all", "stores"])]
    pub paths: Vec<PathBuf>,

    /// Scan every local file system
    #[arg(long)]
    pub all: bool,

    /// Scan the places where inference stacks keep models, for every user
    #[arg(long)]
    pub stores: bool,

    /// How to write the report
    #[arg(long, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
    pub format: Format,

    /// Write the report to FILE instead of standard output
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Exit with 1 for findings of this severity or worse
    #[arg(long, value_name = "SEVERITY", default_value_t = Severity::Medium)]
    pub fail_on: Severity,

    /// Worker processes [default: one per core]
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: Option<u16>,

    /// Look at tensor bytes too; slower
    #[arg(long)]
    pub deep: bool,

    /// Use the YARA rules (*.yar, *.yara) in DIR as well
    #[arg(long, value_name = "DIR")]
    pub rules: Option<PathBuf>,

    /// Take the digests in FILE (docs/schema/catalogue-1.json) as proof of where files came from
    #[arg(long, value_name = "FILE")]
    pub catalogue: Option<PathBuf>,

    /// Match the advisories (OSV documents, *.json) in DIR as well
    #[arg(long, value_name = "DIR")]
    pub advisories: Option<PathBuf>,

    /// Trust the signers listed in FILE (docs/signatures.md)
    #[arg(long, value_name = "FILE")]
    pub trust: Option<PathBuf>,

    /// Decide on every model by the policy repository in DIR; the exit code then is that of the decisions
    #[arg(long, value_name = "DIR")]
    pub policy: Option<PathBuf>,

    /// Decide by the candidate in DIR too and report where it differs; nothing of it is enforced
    #[arg(long, value_name = "DIR", requires = "policy")]
    pub shadow: Option<PathBuf>,

    #[command(flatten, next_help_heading = "Options for --policy")]
    pub request: RequestOptions,

    /// Remember assessments in FILE; unchanged files then cost one stat
    #[arg(long, value_name = "FILE")]
    pub cache: Option<PathBuf>,

    /// Give up on a file that shows no progress for this long
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub timeout: u64,

    /// Do not leave the file systems of the given paths
    #[arg(long)]
    pub one_file_system: bool,

    /// List clean artifacts in the table too
    #[arg(long, short)]
    pub verbose: bool,

    /// No progress bar
    #[arg(long, short)]
    pub quiet: bool,

    /// Scan even if the kernel cannot confine the process that parses
    #[arg(long)]
    pub danger_unconfined: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Table,
    /// Documented in docs/schema/scan-1.json
    Json,
    /// SARIF 2.1.0
    Sarif,
    /// JUnit XML
    Junit,
    /// For issues and wikis
    Markdown,
    /// Bill of materials: CycloneDX 1.7
    Cyclonedx,
    /// Bill of materials: CycloneDX 1.6
    #[value(name = "cyclonedx-1.6")]
    Cyclonedx16,
    /// Bill of materials: SPDX 3.0.1
    Spdx3,
}

#[derive(Debug, Args)]
pub struct InventoryOptions {
    /// Look in these folders and files only
    pub paths: Vec<PathBuf>,

    /// Look at the system that lies in DIR (a container image, a mounted disk)
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,

    /// How to write the report
    #[arg(long, value_enum, default_value_t = ListFormat::Table, value_name = "FORMAT")]
    pub format: ListFormat,

    /// Use the advisories (OSV, *.json) in DIR as well
    #[arg(long, value_name = "DIR")]
    pub advisories: Option<PathBuf>,

    /// Exit with 1 for advisories of this severity or worse
    #[arg(long, value_name = "SEVERITY", default_value_t = Severity::High)]
    pub fail_on: Severity,
}

#[derive(Debug, Args)]
pub struct AdvisoriesOptions {
    #[command(subcommand)]
    pub command: AdvisoriesCommand,
}

#[derive(Debug, Subcommand)]
pub enum AdvisoriesCommand {
    /// List the advisories that hold
    List {
        /// Use the advisories in DIR as well
        #[arg(long, value_name = "DIR")]
        advisories: Option<PathBuf>,
    },
    /// Show one: what, whom, since when, sources
    Explain {
        /// Its identifier or an alias
        id: String,
        /// Use the advisories in DIR as well
        #[arg(long, value_name = "DIR")]
        advisories: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub struct RulesOptions {
    #[command(subcommand)]
    pub command: RulesCommand,
}

#[derive(Debug, Subcommand)]
pub enum RulesCommand {
    /// List all rules
    List {
        /// Write JSON
        #[arg(long, value_enum, default_value_t = ListFormat::Table)]
        format: ListFormat,
    },
    /// Show a rule's page: what, why, false positives, what to do
    Explain {
        /// The rule's identifier, as in reports
        id: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ListFormat {
    /// For people
    Table,
    /// For programs
    Json,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
