//! Coverage-guided fuzzing of every parser, by the names in
//! `fuzz/targets.txt`, `fuzz/provenance.txt`, `fuzz/policy.txt`,
//! `fuzz/kernel.txt` and `fuzz/inference.txt`.

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

/// A fuzzed program, which runs the parser that a variable names.
struct Program {
    name: &'static str,
    variable: &'static str,
    /// The parsers it knows, a line each.
    list: &'static str,
}

const PROGRAMS: &[Program] = &[
    Program { name: "inspect", variable: "WEIGHBRIDGE_FUZZ_FORMAT", list: "fuzz/targets.txt" },
    Program { name: "provenance", variable: "WEIGHBRIDGE_FUZZ_PARSER", list: "fuzz/provenance.txt" },
    Program { name: "policy", variable: "WEIGHBRIDGE_FUZZ_FILE", list: "fuzz/policy.txt" },
    Program { name: "kernel", variable: "WEIGHBRIDGE_FUZZ_KERNEL", list: "fuzz/kernel.txt" },
    Program { name: "inference", variable: "WEIGHBRIDGE_FUZZ_INFERENCE", list: "fuzz/inference.txt" },
];

pub fn run(options: &Options) -> Result {
    if !have("cargo", &["fuzz", "--version"]) {
        install("cargo-fuzz")?;
    }
    let mut all = Vec::new();
    for program in PROGRAMS {
        all.extend(listed(program)?.into_iter().map(|target| (program, target)));
    }
    if let Some(unknown) = options.targets.iter().find(|t| !all.iter().any(|(_, target)| target.name == **t)) {
        let names: Vec<&str> = all.iter().map(|(_, target)| target.name.as_str()).collect();
        return Err(format!("there is no fuzz target `{unknown}`; these are listed: {}", names.join(", ")));
    }
    let mut failed = Vec::new();
    let wanted = |target: &Target| options.targets.is_empty() || options.targets.contains(&target.name);
    for (program, target) in all.iter().filter(|(_, target)| wanted(target)) {
        println!("fuzzing {} for {} s", target.name, options.seconds);
        if !fuzz(program, target, options.seconds)? {
            failed.push(target.name.as_str());
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("crashes in {}; see fuzz/artifacts", failed.join(", "))) }
}

/// A parser, and a file of the repository to begin with.
struct Target {
    name: String,
    seed: Option<String>,
}

/// The targets in a program's list.
fn listed(program: &Program) -> Result<Vec<Target>> {
    let text =
        std::fs::read_to_string(root().join(program.list)).map_err(|e| format!("cannot read {}: {e}", program.list))?;
    let lines = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
    let target = |line: &str| {
        let (name, seed) =
            line.split_once(' ').map_or((line, None), |(name, seed)| (name, Some(seed.trim().to_owned())));
        Target { name: name.to_owned(), seed }
    };
    Ok(lines.map(target).collect())
}

/// Runs one target; false if it crashed.
fn fuzz(program: &Program, target: &Target, seconds: u64) -> Result<bool> {
    let corpus = root().join("fuzz/corpus").join(&target.name);
    std::fs::create_dir_all(&corpus).map_err(|e| format!("cannot make `{}`: {e}", corpus.display()))?;
    if let Some(seed) = &target.seed {
        std::fs::copy(root().join(seed), corpus.join("seed")).map_err(|e| format!("cannot copy `{seed}`: {e}"))?;
    }
    let status = Command::new("cargo")
        .args(["fuzz", "run", "--fuzz-dir", "fuzz", program.name])
        .arg(&corpus)
        .arg("--")
        .arg(format!("-max_total_time={seconds}"))
        .args(["-rss_limit_mb=2048", "-timeout=20", "-max_len=65536", "-print_final_stats=0"])
        .arg(format!("-artifact_prefix={}/", root().join("fuzz/artifacts").display()))
        // The pinned toolchain is a stable one; fuzzing needs unstable flags.
        .env("RUSTC_BOOTSTRAP", "1")
        .env(program.variable, &target.name)
        .current_dir(root())
        .status()
        .map_err(|e| format!("cannot run cargo fuzz: {e}"))?;
    Ok(status.success())
}
