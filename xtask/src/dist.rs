//! The packages that people install: one binary, and what belongs to it.
//! `agent/Cargo.toml` says which file goes where.

use std::fs;
use std::path::{Path, PathBuf};

use crate::run::{self, Result};
use crate::test::tool;
use crate::{licences, onnxruntime};

/// What makes the packages: package and program, version, what it makes.
const DEB: (&str, &str, &str) = ("cargo-deb", "3.8.0", ".deb");
const RPM: (&str, &str, &str) = ("cargo-generate-rpm", "0.21.1", ".rpm");

/// Of the starter policy, what a machine has no use for: its repository's CI.
const NOT_PACKAGED: &[&str] = &[".github", "tests"];

pub fn run() -> Result {
    // First what may be missing, then what takes time.
    let (deb, rpm) = (maker(DEB)?, maker(RPM)?);
    let binary = run::weighbridge("release")?;
    stage(&binary)?;
    let dist = run::target().join("dist");
    fresh(&dist)?;
    let epoch = epoch()?;
    let when = [("SOURCE_DATE_EPOCH", epoch.as_str())];
    let to = format!("{}/", dist.display());
    run::run_with(&deb, &["--no-build", "--no-strip", "--package", "weighbridge", "--output", &to], &when)?;
    run::run_with(&rpm, &["--package", "agent", "--auto-req", "builtin", "--output", &to], &when)?;
    tell(&dist)
}

fn maker((program, version, kind): (&str, &str, &str)) -> Result<String> {
    tool(program, version, program).map_err(|e| {
        format!(
            "`{program}` {version}, which makes the {kind}, is not there and cannot be installed: {e}; \
             it comes from the package registry once, so try again with a network"
        )
    })
}

/// Puts what is generated where the lists in `agent/Cargo.toml` look for it.
fn stage(binary: &Path) -> Result {
    let folder = run::target().join("release/package");
    fresh(&folder)?;
    let (binary, shown) = (binary.display().to_string(), folder.display().to_string());
    run::run(&binary, &["__pages", &shown])?;
    compress(&files(&folder.join("man"))?)?;
    let policy = folder.join("policy");
    run::run(&binary, &["policy", "init", &policy.display().to_string()])?;
    for name in NOT_PACKAGED {
        let path = policy.join(name);
        fs::remove_dir_all(&path).map_err(|e| format!("cannot remove `{}`: {e}", path.display()))?;
    }
    let ours = run::root().join("agent/packaging/policy");
    for file in ["README.md", "fleet/teams.yaml"] {
        copy(&ours.join(file), &policy.join(file))?;
    }
    run::run(&binary, &["policy", "check", &policy.display().to_string()])?;
    let third = folder.join("third-party.txt");
    fs::write(&third, licences::of("weighbridge")?).map_err(|e| format!("cannot write `{}`: {e}", third.display()))?;
    compress(&[third])?;
    library(&folder.join("onnxruntime"))
}

/// ONNX Runtime, with the notices that belong to it.
fn library(to: &Path) -> Result {
    let library = onnxruntime::library()?;
    fresh(to)?;
    let from = library.parent().unwrap_or(Path::new("."));
    for name in ["libonnxruntime.so", "LICENSE", "ThirdPartyNotices.txt"] {
        copy(&from.join(name), &to.join(name))?;
    }
    compress(&[to.join("LICENSE"), to.join("ThirdPartyNotices.txt")])
}

/// The time that files in the packages bear: that of the last commit, so that
/// the same commit makes the same packages.
fn epoch() -> Result<String> {
    if let Ok(epoch) = std::env::var("SOURCE_DATE_EPOCH") {
        return Ok(epoch);
    }
    let time = run::output("git", &["log", "-1", "--format=%ct"]);
    let time = time.map_err(|e| format!("{e}; outside of a clone, set SOURCE_DATE_EPOCH (seconds since 1970)"))?;
    Ok(time.trim().to_owned())
}

/// Shows what was made, and writes the digests beside it.
fn tell(dist: &Path) -> Result {
    let mut sums = String::new();
    for path in files(dist)? {
        let bytes = fs::read(&path).map_err(|e| format!("cannot read `{}`: {e}", path.display()))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let digest: String =
            <sha2::Sha256 as sha2::Digest>::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        sums.push_str(&format!("{digest}  {name}\n"));
        println!("{} ({:.1} MB)", path.display(), bytes.len() as f64 / 1e6);
    }
    let path = dist.join("SHA256SUMS");
    fs::write(&path, sums).map_err(|e| format!("cannot write `{}`: {e}", path.display()))
}

/// The files in `folder`, in order.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(|e| format!("cannot list `{}`: {e}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|e| e.path()).filter(|p| p.is_file()).collect();
    files.sort();
    Ok(files)
}

/// Each becomes `path.gz`; without name and time, so that it is the same every
/// time.
fn compress(paths: &[PathBuf]) -> Result {
    let shown: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    let mut arguments = vec!["-9", "-n", "-f"];
    arguments.extend(shown.iter().map(String::as_str));
    run::run("gzip", &arguments)
}

fn copy(from: &Path, to: &Path) -> Result {
    fs::copy(from, to).map(drop).map_err(|e| format!("cannot copy `{}` to `{}`: {e}", from.display(), to.display()))
}

/// An empty folder.
fn fresh(folder: &Path) -> Result {
    let failed = |e: std::io::Error| format!("cannot make `{}` anew: {e}", folder.display());
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(failed)?;
    }
    fs::create_dir_all(folder).map_err(failed)
}
