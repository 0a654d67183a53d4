//! What disks hold: links, FIFOs, sparse giants, hostile names, changes.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use weighbridge_tests::{artifact, artifacts, root, rules, run, scan, text};

fn sample(name: &str) -> Vec<u8> {
    fs::read(root().join("examples/models").join(name)).unwrap()
}

#[test]
fn links_fifos_and_devices_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let p = dir.path();
    fs::create_dir(p.join("in")).unwrap();
    fs::write(p.join("outside.pkl"), sample("poisoned.pkl")).unwrap();
    symlink("../outside.pkl", p.join("in/link.pkl")).unwrap();
    symlink("/dev/zero", p.join("in/zero.gguf")).unwrap();
    symlink(".", p.join("in/loop")).unwrap();
    assert!(Command::new("mkfifo").arg(p.join("in/fifo.gguf")).status().unwrap().success());
    let (code, report) = scan(&[p.join("in").to_str().unwrap()]);
    assert_eq!((code, artifacts(&report).count()), (Some(0), 0), "{report}");
}

#[test]
fn a_link_or_file_that_was_named_is_scanned() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("latest");
    symlink(root().join("examples/models/poisoned.pkl"), &link).unwrap();
    let (code, report) = scan(&[link.to_str().unwrap()]);
    assert_eq!((code, artifacts(&report).count()), (Some(1), 1));
}

#[test]
fn a_named_file_is_scanned_without_its_neighbours() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.json");
    fs::write(&config, r#"{"model_type": "llama", "architectures": ["LlamaForCausalLM"]}"#).unwrap();
    fs::write(dir.path().join("setup.py"), "import os\nos.system('echo weighbridge-marker')\n").unwrap();
    let (code, report) = scan(&[config.to_str().unwrap()]);
    assert_eq!((code, artifacts(&report).count()), (Some(0), 1));
    let (code, report) = scan(&[dir.path().to_str().unwrap()]);
    assert_eq!((code, artifacts(&report).count()), (Some(1), 2), "part of the folder's model");
}

#[test]
fn hard_links_are_one_file_at_two_paths() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a.pkl"), dir.path().join("b.pkl"));
    fs::write(&a, sample("poisoned.pkl")).unwrap();
    fs::hard_link(&a, &b).unwrap();
    let (_, report) = scan(&[dir.path().to_str().unwrap()]);
    let all: Vec<_> = artifacts(&report).collect();
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].pointer("/also_at/0").and_then(Value::as_str).map(|_| ()), Some(()));
}

#[test]
fn identical_files_are_told() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a.pkl", "b.pkl"] {
        fs::write(dir.path().join(name), sample("poisoned.pkl")).unwrap();
    }
    let (_, report) = scan(&[dir.path().to_str().unwrap()]);
    assert!(text(&report, "/models/0/same_as/0").ends_with("b.pkl"), "{report}");
}

#[test]
fn names_with_terminal_commands_and_other_bytes_are_escaped() {
    let dir = tempfile::tempdir().unwrap();
    for name in [b"\x1b[31mred\n.pkl".as_slice(), b"bad\xff.pkl"] {
        fs::write(dir.path().join(std::ffi::OsStr::from_bytes(name)), sample("poisoned.pkl")).unwrap();
    }
    let shown = run(&["scan", dir.path().to_str().unwrap()]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(!shown.contains('\u{1b}') && shown.contains("\\u{1b}[31mred\\n.pkl"), "{shown}");
    let (_, report) = scan(&[dir.path().to_str().unwrap()]);
    assert!(artifacts(&report).any(|a| text(a, "/path").ends_with("bad\\xff.pkl")));
}

#[test]
fn unreadable_files_are_told_and_the_rest_is_scanned() {
    let dir = tempfile::tempdir().unwrap();
    let locked = dir.path().join("locked");
    fs::create_dir(&locked).unwrap();
    fs::write(dir.path().join("a.pkl"), sample("poisoned.pkl")).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read_dir(&locked).is_ok() {
        println!("skipped: root may read everything");
        return;
    }
    let (code, report) = scan(&[dir.path().to_str().unwrap()]);
    assert_eq!(code, Some(1));
    assert!(text(&report, "/errors/0/path").ends_with("locked"));
}

#[test]
fn a_sparse_giant_is_read_in_bounded_memory_until_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("big.gguf");
    let mut file = File::create(&path).unwrap();
    // Valid header, then 100 GB of nothing: the digest would take a minute.
    file.write_all(b"GGUF\x03\0\0\0").unwrap();
    if file.set_len(100 << 30).is_err() {
        println!("skipped: this file system has no sparse files");
        return;
    }
    let mut child = Command::new(weighbridge_tests::weighbridge())
        .args(["scan", "--format", "json", path.to_str().unwrap()])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_secs(2));
    let memory = worker_memory(child.id());
    let started = Instant::now();
    assert!(Command::new("kill").arg("-INT").arg(child.id().to_string()).status().unwrap().success());
    child.wait().unwrap();
    assert!(started.elapsed() < Duration::from_secs(10), "an interrupt ends the scan soon");
    assert!((1..64 << 20).contains(&memory), "a worker held {memory} bytes");
}

/// Largest anonymous memory among the workers of `pid`, bytes.
fn worker_memory(pid: u32) -> u64 {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let all = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let children: String =
        all.map(|t| fs::read_to_string(t.path().join("children")).unwrap_or_default()).chain([children]).collect();
    children
        .split_whitespace()
        .filter_map(|c| fs::read_to_string(format!("/proc/{c}/status")).ok())
        .filter_map(|s| s.lines().find_map(|l| l.strip_prefix("RssAnon:").map(str::trim).map(str::to_owned)))
        .filter_map(|v| v.strip_suffix(" kB").and_then(|v| v.trim().parse::<u64>().ok()))
        .max()
        .map_or(0, |kb| kb * 1024)
}

#[test]
fn an_unchanged_file_comes_from_the_cache_and_a_changed_one_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let models = dir.path().join("models");
    fs::create_dir(&models).unwrap();
    let model = models.join("a.pkl");
    fs::write(&model, sample("poisoned.pkl")).unwrap();
    fs::write(models.join("note.txt"), "text").unwrap();
    // Files written this very moment are not remembered.
    std::thread::sleep(Duration::from_millis(2100));
    let cache = dir.path().join("cache");
    let with_cache = || scan(&["--cache", cache.to_str().unwrap(), models.to_str().unwrap()]).1;
    let first = with_cache();
    assert_eq!(first.pointer("/summary/files_cached"), Some(&0.into()));
    let second = with_cache();
    assert_eq!(second.pointer("/summary/files_cached"), Some(&2.into()));
    assert_eq!(second.pointer("/summary/bytes_hashed"), Some(&0.into()));
    assert_eq!(first.get("artifacts"), second.get("artifacts"));
    // A file that is named is told of, whatever it is, and not read again if that is known.
    let named = |file: &std::path::Path| scan(&["--cache", cache.to_str().unwrap(), file.to_str().unwrap()]).1;
    let (model_named, note_named) = (named(&model), named(&models.join("note.txt")));
    assert_eq!(model_named.pointer("/summary/bytes_hashed"), Some(&0.into()));
    assert_eq!(model_named.get("artifacts"), second.get("artifacts"));
    assert!(artifact(&note_named, models.join("note.txt").to_str().unwrap()).is_some(), "{note_named}");
    fs::write(&model, b"\x80\x04N.").unwrap();
    let third = with_cache();
    assert_eq!(text(artifact(&third, model.to_str().unwrap()).unwrap(), "/verdict"), "clean");
}

#[test]
fn damage_is_never_clean() {
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in [
        ("empty.safetensors", b"".as_slice()),
        ("zeros.gguf", &[0; 4096]),
        ("lfs.onnx", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"),
        ("login.pt", b"<!DOCTYPE html><html><body>Log in</body></html>"),
        ("random.keras", b"\x01\x02\x03\x04garbage"),
        ("magic.h5", b"\x89HDF\r\n\x1a\n"),
        ("cut.npy", b"\x93NUMPY\x01\x00"),
    ] {
        fs::write(dir.path().join(name), content).unwrap();
    }
    let (_, report) = scan(&[dir.path().to_str().unwrap()]);
    assert_eq!(artifacts(&report).count(), 7);
    for a in artifacts(&report) {
        assert_eq!(text(a, "/verdict"), "unknown", "{}: {:?}", text(a, "/path"), rules(a));
        assert!(!rules(a).is_empty());
    }
}
