use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use weighbridge_distribution::keys::{self, KeyFolder, KeyType, NewKeys, Role, Rotation, Validity};
use weighbridge_types::Shown;

use crate::exit::{Failure, Outcome};

#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Make the keys of a fleet and its first root; nothing is overwritten
    Init(InitOptions),
    /// Replace a key, and sign a new root with the keys before and after
    Rotate(RotateOptions),
}

#[derive(Debug, Args)]
pub struct InitOptions {
    /// Where to put them
    pub keys: PathBuf,

    /// Keys of the role root
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub root_keys: u32,

    /// How many of them must sign a new root
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub root_threshold: u32,

    #[command(flatten)]
    pub made: MadeOptions,
}

#[derive(Debug, Args)]
pub struct RotateOptions {
    /// The folder with the root keys and the chain of roots
    pub keys: PathBuf,

    /// Whose key to replace
    #[arg(long, value_enum, value_name = "ROLE")]
    pub role: RoleName,

    /// The key to retire, by the id in its file's name [default: the role's oldest]
    #[arg(long, value_name = "ID")]
    pub retire: Option<String>,

    #[command(flatten)]
    pub made: MadeOptions,
}

/// What new keys and roots are like.
#[derive(Debug, Args)]
pub struct MadeOptions {
    /// Kind of new keys
    #[arg(long, value_enum, value_name = "TYPE", default_value_t = KeyKind::Ed25519)]
    pub key_type: KeyKind,

    /// Days for which signatures of a role hold, as ROLE=DAYS; may be repeated
    /// [default: root=365 targets=90 snapshot=7 timestamp=1, or what the root says]
    #[arg(long, value_name = "ROLE=DAYS", value_parser = role_days)]
    pub expires_days: Vec<(Role, u32)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum KeyKind {
    /// RFC 8032
    Ed25519,
    /// NIST P-256
    EcdsaP256,
}

impl From<KeyKind> for KeyType {
    fn from(kind: KeyKind) -> Self {
        match kind {
            KeyKind::Ed25519 => Self::Ed25519,
            KeyKind::EcdsaP256 => Self::EcdsaP256,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RoleName {
    /// Says whose keys count
    Root,
    /// Signs bundles
    Targets,
    /// Signs which bundle is current
    Snapshot,
    /// Signs that this is now
    Timestamp,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Root => Self::Root,
            RoleName::Targets => Self::Targets,
            RoleName::Snapshot => Self::Snapshot,
            RoleName::Timestamp => Self::Timestamp,
        }
    }
}

fn role_days(text: &str) -> Result<(Role, u32), String> {
    let (role, days) = text.split_once('=').ok_or("expected ROLE=DAYS, such as targets=90")?;
    let role = RoleName::from_str(role, false).map_err(|_| "roles are root, targets, snapshot and timestamp")?;
    Ok((role.into(), days.parse().map_err(|_| "days are a whole number")?))
}

pub fn run(command: &KeysCommand) -> Result<Outcome, Failure> {
    match command {
        KeysCommand::Init(options) => init(options),
        KeysCommand::Rotate(options) => rotate(options),
    }
}

fn init(options: &InitOptions) -> Result<Outcome, Failure> {
    let mut validity = Validity::default();
    for (role, days) in &options.made.expires_days {
        validity.set(*role, *days)?;
    }
    let new = NewKeys {
        root_keys: options.root_keys,
        root_threshold: options.root_threshold,
        key_type: options.made.key_type.into(),
        validity,
    };
    let made = keys::init(&options.keys, &new, jiff::Timestamp::now())?;
    let mut out = anstream::stdout().lock();
    for (role, path) in &made.keys {
        writeln!(out, "{:<10} {}", role.name(), Shown(&path.display().to_string()))?;
    }
    writeln!(out, "first root {}, expires {}", Shown(&made.root.display().to_string()), made.expires)?;
    writeln!(out, "take the root keys off this machine; endpoints need the first root (docs/distribution.md)")?;
    Ok(Outcome::Yes)
}

fn rotate(options: &RotateOptions) -> Result<Outcome, Failure> {
    let rotation = Rotation {
        retire: options.retire.clone(),
        key_type: options.made.key_type.into(),
        days: options.made.expires_days.clone(),
    };
    let folder = KeyFolder::open(&options.keys)?;
    let rotated = keys::rotate(&folder, options.role.into(), &rotation, jiff::Timestamp::now())?;
    let mut out = anstream::stdout().lock();
    writeln!(out, "new key    {}", Shown(&rotated.key.display().to_string()))?;
    match &rotated.retired {
        Some(path) => writeln!(out, "retired    {}", Shown(&path.display().to_string()))?,
        None => writeln!(out, "retired    {} (not in this folder)", rotated.retired_id)?,
    }
    let root = rotated.root.display().to_string();
    writeln!(out, "root {:<5} {}, expires {}", rotated.version, Shown(&root), rotated.expires)?;
    writeln!(out, "it takes effect when the bundle is published, or renewed if the targets key is the same")?;
    Ok(Outcome::Yes)
}
