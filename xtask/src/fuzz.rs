//! Coverage-guided fuzzing of every parser, by the names in
//! `fuzz/targets.txt`.

use std::process::Command;

use clap::Args;

use crate::run::{Result, have, root};
use crate::test::install;

#[derive(Debug, Args)]
pub struct Options {
    /// Targets; all of them if none is named
    targets: Vec<String>,

    /// Time per target
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    seconds: u64,
}

pub fn run(options: &Options) -> Result {
    if !have("cargo", &["fuzz", "--version"]) {
        install("cargo-fuzz")?;
    }
    let listed = std::fs::read_to_string(root().join("fuzz/targets.txt"))
        .map_err(|e| format!("cannot read fuzz/targets.txt: {e}"))?;
    let all: Vec<String> =
        listed.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')).map(str::to_owned).collect();
    if let Some(unknown) = options.targets.iter().find(|t| !all.contains(t)) {
        return Err(format!("there is no fuzz target `{unknown}`; fuzz/targets.txt lists {}", all.join(", ")));
    }
    let chosen = if options.targets.is_empty() { &all } else { &options.targets };
    let mut failed = Vec::new();
    for target in chosen {
        println!("fuzzing {target} for {} s", options.seconds);
        if !fuzz(target, options.seconds)? {
            failed.push(target.as_str());
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("crashes in {}; see fuzz/artifacts", failed.join(", "))) }
}

/// Runs one target; false if it crashed.
fn fuzz(target: &str, seconds: u64) -> Result<bool> {
    let corpus = root().join("fuzz/corpus").join(target);
    std::fs::create_dir_all(&corpus).map_err(|e| format!("cannot make `{}`: {e}", corpus.display()))?;
    let status = Command::new("cargo")
        .args(["fuzz", "run", "--fuzz-dir", "fuzz", "inspect"])
        .arg(&corpus)
        .arg("--")
        .arg(format!("-max_total_time={seconds}"))
        .args(["-rss_limit_mb=2048", "-timeout=20", "-max_len=65536", "-print_final_stats=0"])
        .arg(format!("-artifact_prefix={}/", root().join("fuzz/artifacts").display()))
        // The pinned toolchain is a stable one; fuzzing needs unstable flags.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("WEIGHBRIDGE_FUZZ_FORMAT", target)
        .current_dir(root())
        .status()
        .map_err(|e| format!("cannot run cargo fuzz: {e}"))?;
    Ok(status.success())
}
