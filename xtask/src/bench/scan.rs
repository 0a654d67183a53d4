use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use sha2::Digest;

use super::files;
use super::measure::{Measured, best, program};
use crate::run::{Result, target, weighbridge};
use crate::venv;

/// Peers, as measured in `docs/benchmarks.md`.
const PEERS: &[&str] = &["modelaudit==0.2.54", "modelscan==0.8.8", "picklescan==1.0.5"];

#[derive(Debug, Args)]
pub struct Options {
    /// Only ourselves and the physical limits
    #[arg(long)]
    no_peers: bool,

    /// Install modelaudit with all it can use (TensorFlow, PyTorch, ONNX, h5py: 6 GB)
    #[arg(long)]
    peer_extras: bool,

    /// Longest run of one peer on one tree
    #[arg(long, value_name = "SECONDS", default_value_t = 1200)]
    peer_limit: u64,

    /// Runs of ours; the best counts
    #[arg(long, default_value_t = 3)]
    runs: u32,
}

pub fn run(options: &Options) -> Result {
    let ours = weighbridge("release")?;
    let data = target().join("bench");
    println!("making the files (6 GB, once)");
    files::make(&data)?;
    let mixed = data.join("mixed");
    println!("\n{:58} {:>10} {:>10} {:>9}  ratio", "", "seconds", "memory", "GB/s");
    for name in ["model.safetensors", "model.gguf"] {
        big_file(options, &ours, &mixed.join(name))?;
    }
    several(options, &ours, &mixed)?;
    let pickles = mixed.join("pickles");
    let tree = scan(options, &ours, &mixed, "mixed tree, 4.7 GB")?;
    let small = scan(options, &ours, &pickles, "200 pickles")?;
    many_files(options, &ours, &data.join("small"))?;
    if options.no_peers {
        return Ok(());
    }
    let limit = Duration::from_secs(options.peer_limit);
    // Each on its own: their dependencies exclude each other.
    let peer = |package: &&str| -> Result<PathBuf> {
        let (name, version) = package.split_once("==").ok_or("a peer without a version")?;
        if options.peer_extras && name == "modelaudit" {
            let all = format!("{name}[all]=={version}");
            return Ok(venv::with("modelaudit-all", &[&all])?.join(name));
        }
        Ok(venv::with(name, &[package])?.join(name))
    };
    let [modelaudit, modelscan, picklescan] = PEERS else { return Err("three peers are expected".to_owned()) };
    let (modelaudit, modelscan, picklescan) = (peer(modelaudit)?, peer(modelscan)?, peer(picklescan)?);
    let text = |p: &Path| p.display().to_string();
    compare("picklescan, 200 pickles", &picklescan, &["--path", &text(&pickles)], limit, small)?;
    compare("modelaudit, 200 pickles", &modelaudit, &["scan", &text(&pickles)], limit, small)?;
    compare("modelscan, mixed tree", &modelscan, &["-p", &text(&mixed)], limit, tree)?;
    compare("modelaudit, mixed tree", &modelaudit, &["scan", &text(&mixed)], limit, tree)
}

pub fn row(what: &str, measured: Measured, bytes: u64, ratio: &str) {
    let seconds = measured.wall.as_secs_f64();
    let rate = if bytes > 0 { format!("{:.2}", bytes as f64 / seconds / 1e9) } else { String::new() };
    println!("{what:58} {seconds:10.3} {:>7} MB {rate:>9}  {ratio}", measured.memory / 1_000_000);
}

fn ours_on(options: &Options, ours: &Path, path: &Path, extra: &[&str]) -> Result<Measured> {
    let shown = path.display().to_string();
    let mut arguments = vec!["scan", shown.as_str(), "--format", "json"];
    arguments.extend(extra);
    let once = || -> Result<Measured> {
        let measured =
            program(ours, &arguments, Duration::from_secs(600))?.ok_or("our own scan took over 10 minutes")?;
        match measured.code {
            Some(0) => Ok(measured),
            code => Err(format!("scan of `{shown}` ended with {code:?}; it must find nothing")),
        }
    };
    best(options.runs, once, |m| m.wall)
}

/// One big file against a bare SHA-256 loop on one core.
fn big_file(options: &Options, ours: &Path, file: &Path) -> Result {
    let bytes = std::fs::metadata(file).map_err(|e| e.to_string())?.len();
    let bare = best(options.runs, || bare_digest(file), |m| m.wall)?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    row(&format!("sha2 loop, one core, {name}"), bare, bytes, "");
    let measured = ours_on(options, ours, file, &["--jobs", "1"])?;
    let ratio = bare.wall.as_secs_f64() / measured.wall.as_secs_f64();
    row(&format!("weighbridge scan {name}"), measured, bytes, &format!("{ratio:.3} of the loop's speed (goal 0.95)"));
    Ok(())
}

pub fn bare_digest(file: &Path) -> Result<Measured> {
    let started = Instant::now();
    let mut handle = File::open(file).map_err(|e| e.to_string())?;
    let mut hasher = sha2::Sha256::new();
    let mut buffer = vec![0; 512 * 1024];
    loop {
        let n = handle.read(&mut buffer).map_err(|e| e.to_string())?;
        match buffer.get(..n) {
            Some(part) if n > 0 => hasher.update(part),
            _ => break,
        }
    }
    std::hint::black_box(hasher.finalize());
    Ok(Measured { wall: started.elapsed(), memory: 0, code: Some(0) })
}

/// Two big files with one worker and with two.
fn several(options: &Options, ours: &Path, mixed: &Path) -> Result {
    let files = [mixed.join("model.safetensors"), mixed.join("model.gguf")].map(|f| f.display().to_string());
    let with = |jobs: &str| -> Result<Measured> {
        let arguments = ["scan", &files[0], &files[1], "--format", "json", "--jobs", jobs];
        best(
            options.runs,
            || program(ours, &arguments, Duration::from_secs(600))?.ok_or_else(|| "too slow".to_owned()),
            |m| m.wall,
        )
    };
    let (one, two) = (with("1")?, with("2")?);
    row("two big files, 1 worker", one, 4_000_000_000, "");
    let ratio = one.wall.as_secs_f64() / two.wall.as_secs_f64();
    row("two big files, 2 workers", two, 4_000_000_000, &format!("{ratio:.2} × one worker"));
    Ok(())
}

fn scan(options: &Options, ours: &Path, tree: &Path, what: &str) -> Result<Measured> {
    let measured = ours_on(options, ours, tree, &[])?;
    row(&format!("weighbridge scan, {what}"), measured, 0, "");
    Ok(measured)
}

/// 200,000 small files against listing them and reading their first bytes.
fn many_files(options: &Options, ours: &Path, folder: &Path) -> Result {
    let bare = best(options.runs, || list_and_open(folder), |m| m.wall)?;
    row("find -type f, then the first 4 KiB of each", bare, 0, "");
    let measured = ours_on(options, ours, folder, &[])?;
    let ratio = measured.wall.as_secs_f64() / bare.wall.as_secs_f64();
    row("weighbridge scan, 200,000 small files", measured, 0, &format!("{ratio:.2} × that (goal at most 1.5)"));
    Ok(())
}

fn list_and_open(folder: &Path) -> Result<Measured> {
    let started = Instant::now();
    let output =
        std::process::Command::new("find").arg(folder).args(["-type", "f"]).output().map_err(|e| e.to_string())?;
    let mut head = [0; 4096];
    for path in String::from_utf8_lossy(&output.stdout).lines() {
        let n = File::open(path).and_then(|mut f| f.read(&mut head)).map_err(|e| e.to_string())?;
        std::hint::black_box(head.get(..n));
    }
    Ok(Measured { wall: started.elapsed(), memory: 0, code: Some(0) })
}

fn compare(what: &str, peer: &Path, arguments: &[&str], limit: Duration, ours: Measured) -> Result {
    match program(peer, arguments, limit)? {
        Some(measured) => {
            let ratio = measured.wall.as_secs_f64() / ours.wall.as_secs_f64();
            // Another code than 0 here: it could not look at everything.
            let code = measured.code.map_or_else(|| "none".to_owned(), |c| c.to_string());
            row(what, measured, 0, &format!("ours is {ratio:.1} × as fast; its exit code {code}"));
        }
        None => println!("{what:58} more than {} s", limit.as_secs()),
    }
    Ok(())
}
