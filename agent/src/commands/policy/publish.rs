use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use weighbridge_distribution::keys::KeyFolder;
use weighbridge_types::Shown;

use crate::exit::{Failure, Outcome};
use crate::report::size;

#[derive(Debug, Args)]
pub struct PublishOptions {
    /// The folder whose files are the bundle
    pub bundle: PathBuf,

    /// The folder with the keys of targets, snapshot and timestamp
    #[arg(long, value_name = "DIR")]
    pub keys: PathBuf,

    /// The repository; made if need be
    #[arg(long, value_name = "DIR")]
    pub repository: PathBuf,
}

#[derive(Debug, Args)]
pub struct RenewOptions {
    /// The folder with the keys of snapshot and timestamp
    #[arg(long, value_name = "DIR")]
    pub keys: PathBuf,

    /// The repository
    #[arg(long, value_name = "DIR")]
    pub repository: PathBuf,
}

pub fn publish(options: &PublishOptions) -> Result<Outcome, Failure> {
    let keys = KeyFolder::open(&options.keys)?;
    let done = weighbridge_distribution::publish(&options.bundle, keys, &options.repository, Timestamp::now())?;
    let repository = options.repository.display().to_string();
    let mut out = anstream::stdout().lock();
    let files = if done.files == 1 { "1 file".to_owned() } else { format!("{} files", done.files) };
    writeln!(out, "published bundle {} ({files}, {}): {}", done.version, size(done.bytes), Shown(&repository))?;
    writeln!(out, "renew or publish before {}", done.expires)?;
    writeln!(out, "publish again before {}; the root expires {}", done.targets_expires, done.root_expires)?;
    Ok(Outcome::Yes)
}

pub fn renew(options: &RenewOptions) -> Result<Outcome, Failure> {
    let keys = KeyFolder::open(&options.keys)?;
    let done = weighbridge_distribution::renew(keys, &options.repository, Timestamp::now())?;
    let repository = options.repository.display().to_string();
    let mut out = anstream::stdout().lock();
    writeln!(out, "renewed bundle {}: {}", done.version, Shown(&repository))?;
    writeln!(out, "renew again before {}; publish again before {}", done.expires, done.targets_expires)?;
    Ok(Outcome::Yes)
}
