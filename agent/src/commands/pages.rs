//! Manual pages and shell completions, from the definition that parses the
//! command line: they cannot say anything else than it does.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory};
use clap_complete::{Shell, generate_to};

use crate::cli::Cli;
use crate::exit::{Failure, Outcome};

/// Shells that packages have a place for.
const SHELLS: &[Shell] = &[Shell::Bash, Shell::Fish, Shell::Zsh];

#[derive(Debug, Args)]
pub struct PagesOptions {
    /// Where to; `man` and `completions` are made in it
    dir: PathBuf,
}

pub fn run(options: &PagesOptions) -> Result<Outcome, Failure> {
    let man = folder(&options.dir, "man")?;
    clap_mangen::generate_to(shown(), &man).map_err(failed(&man))?;
    let completions = folder(&options.dir, "completions")?;
    for shell in SHELLS {
        generate_to(*shell, &mut shown(), "weighbridge", &completions).map_err(failed(&completions))?;
    }
    Ok(Outcome::Yes)
}

/// The command without what is hidden: the generators differ in whether they
/// leave it out.
fn shown() -> Command {
    let all = Cli::command();
    let visible: Vec<Command> = all.get_subcommands().filter(|c| !c.is_hide_set()).cloned().collect();
    let about = all.get_about().cloned().unwrap_or_default();
    Command::new("weighbridge")
        .about(about)
        .version(env!("CARGO_PKG_VERSION"))
        .propagate_version(true)
        .subcommand_required(true)
        .subcommands(visible)
}

fn folder(dir: &Path, name: &str) -> Result<PathBuf, Failure> {
    let path = dir.join(name);
    fs::create_dir_all(&path).map_err(failed(&path))?;
    Ok(path)
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> Failure {
    let path = path.display().to_string();
    move |source| Failure::File { action: "write", path, source }
}
