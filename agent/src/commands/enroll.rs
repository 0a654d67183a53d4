//! `weighbridge enroll`: this machine comes to know its console.

use std::io::Read;
use std::path::PathBuf;

use clap::Args;
use sha2::{Digest, Sha256};
use weighbridge_console_wire::Machine;
use weighbridge_daemon::CONSOLE_FOLDER;
use weighbridge_reporting::{Address, ReportError, Step};
use weighbridge_types::Shown;

use crate::exit::{Failure, Outcome};

/// Longest token read, bytes.
const TOKEN_BYTES_MAX: u64 = 4096;
/// Longest file of the system read, bytes.
const FILE_BYTES_MAX: u64 = 64 << 10;

#[derive(Debug, Args)]
pub struct EnrollOptions {
    /// Where the console is: https://HOST:PORT
    #[arg(long, value_name = "URL")]
    console: Address,

    /// The token that an administrator gave you; `-` reads it from standard input
    token: String,

    /// The daemon's configuration
    #[arg(long, value_name = "FILE", default_value = "/etc/weighbridge/weighbridge.toml")]
    config: PathBuf,
}

pub fn run(options: &EnrollOptions) -> Result<Outcome, Failure> {
    let config = weighbridge_daemon::Config::load(&options.config)?;
    let mut token = options.token.clone();
    if token == "-" {
        token.clear();
        std::io::stdin().take(TOKEN_BYTES_MAX).read_to_string(&mut token)?;
    }
    let folder = config.state.join(CONSOLE_FOLDER);
    let mut told = false;
    loop {
        match weighbridge_reporting::enrol(&folder, &options.console, token.trim(), machine()) {
            Ok(Step::Done(identity)) => {
                println!(
                    "weighbridge: this machine is known to {} as {}; the daemon reports to it",
                    identity.address(),
                    Shown(identity.endpoint())
                );
                return Ok(Outcome::Yes);
            }
            Ok(Step::Waiting(after)) => {
                if !std::mem::replace(&mut told, true) {
                    println!(
                        "weighbridge: the console knows this machine already; an administrator has to let it in anew. \
                         Waiting; after Ctrl-C, the same command goes on."
                    );
                }
                std::thread::sleep(after);
            }
            Err(ReportError::Refused { status: 403, detail, .. }) => {
                eprintln!("weighbridge: {}", Shown(&detail));
                return Ok(Outcome::No);
            }
            Err(error) => return Err(Failure::Usage(error.to_string())),
        }
    }
}

/// This machine, for people who look at the console.
fn machine() -> Machine {
    let system = rustix::system::uname();
    let host = system.nodename().to_string_lossy().into_owned();
    // Of the system's own number nobody needs to know more than whether it is the same.
    let id = read("/etc/machine-id").unwrap_or_else(|| host.clone());
    let digest = Sha256::digest(format!("weighbridge machine {}", id.trim()));
    let release = read("/etc/os-release").unwrap_or_default();
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    Machine {
        host,
        machine_id: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        system: std::env::consts::OS.to_owned(),
        system_version: name.unwrap_or_default().trim_matches('"').chars().take(64).collect(),
        architecture: std::env::consts::ARCH.to_owned(),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

fn read(path: &str) -> Option<String> {
    let mut text = String::new();
    std::fs::File::open(path).ok()?.take(FILE_BYTES_MAX).read_to_string(&mut text).ok()?;
    Some(text)
}
