//! Running other programs, and where things lie.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What every chore returns: nothing, or what went wrong.
pub type Result<T = ()> = std::result::Result<T, String>;

/// The repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// Where cargo builds.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Runs `program` in the repository, shows its output, and fails if it does.
pub fn run(program: &str, arguments: &[&str]) -> Result {
    run_with(program, arguments, &[])
}

/// The same with further variables in its environment.
pub fn run_with(program: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Result {
    eprintln!("+ {program} {}", arguments.join(" "));
    let status = Command::new(program)
        .args(arguments)
        .envs(variables.iter().copied())
        .current_dir(root())
        .status()
        .map_err(|e| format!("cannot run `{program}`: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{program} {}` failed ({status})", arguments.join(" "))) }
}

/// What `program` writes to its standard output, if it succeeds.
pub fn output(program: &str, arguments: &[&str]) -> Result<String> {
    let done = Command::new(program)
        .args(arguments)
        .current_dir(root())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| format!("cannot run `{program}`: {e}"))?;
    if !done.status.success() {
        return Err(format!("`{program} {}` failed ({})", arguments.join(" "), done.status));
    }
    String::from_utf8(done.stdout).map_err(|_| format!("`{program}` wrote no text"))
}

/// Whether `program` runs at all.
pub fn have(program: &str, arguments: &[&str]) -> bool {
    Command::new(program)
        .args(arguments)
        .current_dir(root())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|s| s.success())
}

/// Builds the `weighbridge` binary in `profile` and returns its path. All of
/// the workspace at once: alone, a package is built with other features of the
/// crates it shares, and everything is compiled again.
pub fn weighbridge(profile: &str) -> Result<PathBuf> {
    run("cargo", &["build", "--quiet", "--profile", profile, "--workspace", "--bins"])?;
    Ok(target().join(if profile == "dev" { "debug" } else { profile }).join("weighbridge"))
}
