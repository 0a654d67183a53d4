use std::path::PathBuf;

use clap::Args;

use crate::exit::{Failure, Outcome};

#[derive(Debug, Args)]
pub struct DaemonOptions {
    /// The configuration; the one that is installed shows every key, as examples/demo.toml does
    #[arg(long, value_name = "FILE", default_value = "/etc/weighbridge/weighbridge.toml")]
    config: PathBuf,

    /// Only say whether the configuration can be used
    #[arg(long)]
    check: bool,
}

pub fn run(options: &DaemonOptions) -> Result<Outcome, Failure> {
    let config = weighbridge_daemon::Config::load(&options.config)?;
    if !options.check {
        let program = std::env::current_exe().map_err(|source| Failure::File {
            action: "find",
            path: "weighbridge".to_owned(),
            source,
        })?;
        weighbridge_daemon::run(config, &program)?;
    }
    Ok(Outcome::Yes)
}

/// The gate process; standard input is its socket to the daemon.
#[cfg(target_os = "linux")]
pub fn gate() -> Result<Outcome, Failure> {
    use std::os::fd::AsFd;
    let socket = std::io::stdin().as_fd().try_clone_to_owned()?;
    weighbridge_gate::run(socket.into())?;
    Ok(Outcome::Yes)
}

/// There is no gate here.
#[cfg(not(target_os = "linux"))]
pub fn gate() -> Result<Outcome, Failure> {
    Err(Failure::Usage("this system has no permission events".to_owned()))
}
