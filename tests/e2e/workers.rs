//! A worker that dies or hangs costs one finding.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use weighbridge_tests::{artifact, artifacts, root, rules, text, weighbridge};

/// Scans `folder` with one worker, and sends `signal` to it while it digests
/// the sparse file in there.
fn scan_with_signal(folder: &Path, signal: &str, arguments: &[&str]) -> Output {
    let child = Command::new(weighbridge())
        .args(["scan", "--format", "json", "--jobs", "1"])
        .args(arguments)
        .arg(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    let tasks = fs::read_dir(format!("/proc/{}/task", child.id())).unwrap().flatten();
    let workers: String = tasks.map(|t| fs::read_to_string(t.path().join("children")).unwrap_or_default()).collect();
    for worker in workers.split_whitespace() {
        Command::new("kill").args([signal, worker]).status().unwrap();
    }
    child.wait_with_output().unwrap()
}

fn folder_with_a_slow_file() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    // Long enough to be caught in the act on any machine.
    File::create(dir.path().join("slow.gguf")).unwrap().set_len(20 << 30).unwrap();
    fs::copy(root().join("examples/models/poisoned.pkl"), dir.path().join("zz.pkl")).unwrap();
    dir
}

fn assert_one_failure(output: &Output, folder: &Path, reason: &str) {
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let slow = artifact(&report, folder.join("slow.gguf").to_str().unwrap()).unwrap();
    assert_eq!(text(slow, "/verdict"), "unknown");
    assert_eq!(rules(slow), ["inspection-failed"]);
    assert!(text(slow, "/findings/0/detail").contains(reason), "{slow}");
    let other = artifact(&report, folder.join("zz.pkl").to_str().unwrap()).unwrap();
    assert_eq!(text(other, "/verdict"), "malicious", "the rest is scanned by a new worker");
    assert_eq!(artifacts(&report).count(), 2);
}

#[test]
fn a_worker_that_is_killed_costs_one_finding() {
    let dir = folder_with_a_slow_file();
    let output = scan_with_signal(dir.path(), "-KILL", &[]);
    assert_one_failure(&output, dir.path(), "died");
}

#[test]
fn a_worker_that_hangs_costs_one_finding() {
    let dir = folder_with_a_slow_file();
    let output = scan_with_signal(dir.path(), "-STOP", &["--timeout", "2"]);
    assert_one_failure(&output, dir.path(), "no sign of life");
}
