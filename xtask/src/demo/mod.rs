//! The main job, on this machine: find the planted samples among everything
//! that is really here, and nothing else.

mod serve;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use serde_json::Value;

use crate::run::{Result, root, target, weighbridge};

#[derive(Debug, Args)]
pub struct Options {
    /// Only the planted samples, not this machine's packages and home
    #[arg(long)]
    quick: bool,
}

/// Samples planted among the real files: (from the repository, planted as).
const PLANTED: &[(&str, &str)] = &[
    ("examples/models/poisoned.pkl", "downloads/sentiment.pkl"),
    ("tests/corpus/malicious/torch-zip/hand-made-p2.pt", "checkpoints/last.pt"),
    ("tests/corpus/malicious/keras-lambda/hostile-code.keras", "models/classifier.keras"),
    ("tests/corpus/malicious/gguf-template/array-of-templates.gguf", "models/assistant.gguf"),
    ("tests/corpus/malicious/onnx-external/absolute.onnx", "models/detector.onnx"),
    ("tests/corpus/malicious/seven-zip/named-pt.pt", "downloads/weights.pt"),
];

pub fn run(options: &Options) -> Result {
    let program = weighbridge("dev")?;
    let planted = plant()?;
    let mut roots = vec![planted.clone()];
    if !options.quick {
        roots.extend(site_packages());
        roots.extend(std::env::var_os("HOME").map(PathBuf::from));
    }
    for root in &roots {
        println!("scanning {}", root.display());
    }
    let report = target().join("demo/report.json");
    let show = |arguments: &[&str]| -> Result {
        let status = Command::new(&program)
            .arg("scan")
            .args(&roots)
            .args(arguments)
            .current_dir(root())
            .status()
            .map_err(|e| format!("cannot run weighbridge: {e}"))?;
        if status.code() == Some(1) { Ok(()) } else { Err(format!("expected findings (exit code 1), got {status}")) }
    };
    let path = report.display().to_string();
    show(&["--format", "json", "--output", &path])?;
    let report: Value = std::fs::read(&report)
        .map_err(|e| e.to_string())
        .and_then(|bytes| serde_json::from_slice(&bytes).map_err(|e| e.to_string()))
        .map_err(|e| format!("cannot read the report: {e}"))?;
    // The same scan for people, of the planted folder alone.
    let status = Command::new(&program).arg("scan").arg(&planted).status().map_err(|e| e.to_string())?;
    if status.code() != Some(1) {
        return Err(format!("expected findings (exit code 1), got {status}"));
    }
    verify(&report, &planted)?;
    serve::run(&program)
}

/// Puts samples under innocent names into a folder of their own.
fn plant() -> Result<PathBuf> {
    let folder = target().join("demo/planted");
    let _ = std::fs::remove_dir_all(&folder);
    for (from, to) in PLANTED {
        let to = folder.join(to);
        let parent = to.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(parent)
            .and_then(|()| std::fs::copy(root().join(from), &to))
            .map_err(|e| format!("cannot plant `{}`: {e}", to.display()))?;
    }
    Ok(folder)
}

/// Where this machine's Python keeps its packages.
fn site_packages() -> Vec<PathBuf> {
    let script = "import site, sys; print('\\n'.join(site.getsitepackages() + [site.getusersitepackages()]))";
    let output = Command::new("python3").args(["-c", script]).output();
    let text = output.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default();
    text.lines().map(PathBuf::from).filter(|p| p.is_dir()).collect()
}

/// Objections must name the planted files and nothing else.
fn verify(report: &Value, planted: &Path) -> Result {
    let expected: BTreeSet<String> = PLANTED.iter().map(|(_, to)| planted.join(to).display().to_string()).collect();
    let objected: BTreeSet<String> = report
        .pointer("/artifacts")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter(|a| matches!(a.pointer("/verdict").and_then(Value::as_str), Some("malicious" | "suspicious")))
        .filter_map(|a| a.pointer("/path").and_then(Value::as_str).map(str::to_owned))
        // This very repository holds the samples too.
        .filter(|path| !Path::new(path).starts_with(root()) || Path::new(path).starts_with(planted))
        .collect();
    let seen = report.pointer("/summary/files_seen").and_then(Value::as_u64).unwrap_or(0);
    if objected == expected {
        println!("{} planted samples found among {seen} files, and nothing else objected to", expected.len());
        return Ok(());
    }
    for missed in expected.difference(&objected) {
        eprintln!("missed: {missed}");
    }
    for alarm in objected.difference(&expected) {
        eprintln!("false alarm: {alarm}");
    }
    Err("the findings are not exactly the planted samples".to_owned())
}
