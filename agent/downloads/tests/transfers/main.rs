//! Real clients on loopback, watched from outside.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "helpers of tests are tests")]

mod server;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use weighbridge_downloads::{Download, Monitor, Options, Strength, Update, What, sever};

const MB: u64 = 1 << 20;

fn monitor() -> Monitor {
    let options = Options { threshold_bytes: 2 * MB, report_bytes: 16 * MB, exempt_pids: Vec::new() };
    Monitor::start(options).unwrap()
}

/// Updates until `done`, or those of `seconds`.
fn watch(monitor: &Monitor, seconds: u64, mut done: impl FnMut(&Update) -> bool) -> Vec<Update> {
    let (start, mut seen) = (Instant::now(), Vec::new());
    while start.elapsed() < Duration::from_secs(seconds) {
        for update in monitor.wait(Duration::from_millis(200)) {
            let last = done(&update);
            seen.push(update);
            if last {
                return seen;
            }
        }
    }
    seen
}

/// The last word on the download of `file`, and all updates before.
fn until_ended(monitor: &Monitor, file: &Path) -> (Download, Vec<Update>) {
    let about = |update: &Update| update.download().file.as_deref() == Some(file);
    let mut seen = watch(monitor, 20, |update| about(update) && matches!(update, Update::Ended(_)));
    assert!(seen.last().is_some_and(|u| about(u) && u.download().ended), "no end of {file:?} in {seen:#?}");
    let last = seen.pop().unwrap().download().clone();
    seen.retain(about);
    (last, seen)
}

fn assert_exact(download: &Download, bytes: u64) {
    let off = download.bytes_received.abs_diff(bytes);
    assert!(off <= bytes / 1000, "{} received instead of {bytes}", download.bytes_received);
}

fn missing(program: &str) -> bool {
    let found =
        std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|p| p.join(program).exists()));
    if !found {
        eprintln!("skipped: `{program}` is not installed");
    }
    !found
}

fn start(command: &mut Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().canonicalize().unwrap().join("model.bin");
    (folder, file)
}

#[test]
fn curl_is_seen_while_it_writes() {
    if missing("curl") {
        return;
    }
    let ((_folder, file), server, monitor) = (folder(), server::serve(), monitor());
    let url = format!("http://{server}/{}/{}?token=secret", 96 * MB, 40 * MB);
    let mut curl = start(Command::new("curl").arg("-o").arg(&file).arg(&url));
    let (last, before) = until_ended(&monitor, &file);
    curl.wait().unwrap();
    let first = before.first().unwrap().download();
    assert!(matches!(before.first(), Some(Update::Started(_))));
    assert!(first.bytes_received < 80 * MB && first.model, "told before its end: {first:#?}");
    let fastest = before.iter().map(|update| update.download().rate_bytes_per_s).max().unwrap();
    assert!((20 * MB..80 * MB).contains(&fastest), "{fastest}");
    assert_eq!(first.sockets.len(), 1);
    assert_exact(&last, 96 * MB);
    assert_eq!((last.pid, last.writer), (Some(curl.id()), Some(curl.id())));
    assert_eq!(last.format, Some("safetensors"));
    assert_eq!(last.length_bytes, 96 * MB);
    assert_eq!(last.remote, [server]);
    assert!(last.exe.unwrap().ends_with("curl"));
    assert!(!last.command.iter().any(|argument| argument.contains("secret")));
    let named = last.evidence.iter().find(|e| e.what == What::Command).unwrap();
    assert_eq!((&*named.value, named.strength), (url.split('?').next().unwrap(), Strength::Medium));
}

#[test]
fn a_limited_rate_is_followed() {
    if missing("curl") {
        return;
    }
    let ((_folder, file), server, monitor) = (folder(), server::serve(), monitor());
    let url = format!("http://{server}/{}", 64 * MB);
    let mut curl = start(Command::new("curl").args(["--limit-rate", "20M", "-o"]).arg(&file).arg(url));
    let (last, before) = until_ended(&monitor, &file);
    curl.wait().unwrap();
    assert_exact(&last, 64 * MB);
    let rates: Vec<u64> = before.iter().map(|update| update.download().rate_bytes_per_s).collect();
    let fastest = rates.iter().max().unwrap();
    assert!((5 * MB..80 * MB).contains(fastest), "{rates:?}");
}

#[test]
fn wget_is_seen() {
    if missing("wget") {
        return;
    }
    let ((_folder, file), server, monitor) = (folder(), server::serve(), monitor());
    let url = format!("http://{server}/{}/{}", 64 * MB, 32 * MB);
    let mut wget = start(Command::new("wget").arg("-O").arg(&file).arg(url));
    let (last, _) = until_ended(&monitor, &file);
    wget.wait().unwrap();
    assert_exact(&last, 64 * MB);
    assert_eq!((last.pid, last.format), (Some(wget.id()), Some("safetensors")));
}

#[test]
fn a_pipe_is_followed_to_the_file() {
    if missing("curl") {
        return;
    }
    let ((_folder, file), server, monitor) = (folder(), server::serve(), monitor());
    let line = format!("curl -s http://{server}/{}/{} | cat | cat > {}", 64 * MB, 24 * MB, file.display());
    let mut shell = start(Command::new("sh").args(["-c", &line]));
    let (last, _) = until_ended(&monitor, &file);
    shell.wait().unwrap();
    assert_exact(&last, 64 * MB);
    assert!(last.exe.unwrap().ends_with("curl"));
    assert_ne!(last.pid, last.writer);
    assert_eq!(last.format, Some("safetensors"));
}

/// Four ranges at once, each written at its place.
const RANGES: &str = r#"
import os, sys, threading, urllib.request
url, path, size, reserve = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
fd = os.open(path, os.O_RDWR | os.O_CREAT)
if reserve == "blocks": os.posix_fallocate(fd, 0, size)
else: os.ftruncate(fd, size)
def part(n):
    at, end = size // 4 * n, size // 4 * (n + 1)
    request = urllib.request.Request(url, headers={"Range": "bytes=%d-%d" % (at, end - 1)})
    body = urllib.request.urlopen(request)
    while chunk := body.read(1 << 18):
        os.pwrite(fd, chunk, at)
        at += len(chunk)
threads = [threading.Thread(target=part, args=(n,)) for n in range(4)]
[t.start() for t in threads]
[t.join() for t in threads]
"#;

fn ranges(reserve: &str) {
    if missing("python3") {
        return;
    }
    let ((_folder, file), server, monitor) = (folder(), server::serve(), monitor());
    let (url, size) = (format!("http://{server}/{}/{}", 128 * MB, 10 * MB), (128 * MB).to_string());
    let python = Command::new("python3").args(["-c", RANGES, &url]).arg(&file).args([&size, reserve]).spawn();
    let mut python = python.unwrap();
    let (last, before) = until_ended(&monitor, &file);
    assert!(python.wait().unwrap().success());
    assert_exact(&last, 128 * MB);
    assert_eq!(last.pid, Some(python.id()));
    assert_eq!(last.remote.len(), 1);
    assert!(before.iter().any(|update| update.download().sockets.len() == 4));
    assert_eq!((last.format, last.length_bytes), (Some("safetensors"), 128 * MB));
    let ids: std::collections::BTreeSet<u64> = before.iter().map(|update| update.download().id).collect();
    assert_eq!(ids.len(), 1, "one file, one download");
}

#[test]
fn parallel_ranges_into_a_sparse_file_are_one_download() {
    ranges("holes");
}

#[test]
fn parallel_ranges_into_a_reserved_file_are_one_download() {
    ranges("blocks");
}

#[test]
fn files_over_one_connection_are_told_apart() {
    if missing("curl") {
        return;
    }
    let ((_folder, first), server, monitor) = (folder(), server::serve(), monitor());
    let second = first.with_file_name("second.bin");
    let urls = [48, 72].map(|size| format!("http://{server}/{}/{}", size * MB, 24 * MB));
    let mut curl = start(Command::new("curl").arg(&urls[0]).arg("-o").arg(&first).arg(&urls[1]).arg("-o").arg(&second));
    let (one, _) = until_ended(&monitor, &first);
    let (two, _) = until_ended(&monitor, &second);
    curl.wait().unwrap();
    assert_ne!(one.id, two.id);
    assert_exact(&Download { bytes_received: one.bytes_received + two.bytes_received, ..one.clone() }, 120 * MB);
    // The border is told by what the second file held when it was first seen.
    assert!(one.bytes_received.abs_diff(48 * MB) < MB, "{}", one.bytes_received);
}

#[test]
fn files_at_the_same_time_are_told_apart() {
    if missing("curl") {
        return;
    }
    let ((_folder, first), server, monitor) = (folder(), server::serve(), monitor());
    let second = first.with_file_name("second.bin");
    let urls = [40, 80].map(|size| format!("http://{server}/{}/{}", size * MB, size * MB / 3));
    let both = [urls[0].as_str(), "-o", first.to_str().unwrap(), urls[1].as_str(), "-o", second.to_str().unwrap()];
    let mut curl = start(Command::new("curl").args(["-Z", "--parallel-immediate"]).args(both));
    let seen = watch(&monitor, 15, {
        let mut ended = 0;
        move |update| {
            let ours = update.download().remote.contains(&server) && matches!(update, Update::Ended(_));
            ended += usize::from(ours);
            ended == 2
        }
    });
    curl.wait().unwrap();
    let last = |file: &Path| {
        let of = |update: &&Update| matches!(update, Update::Ended(d) if d.file.as_deref() == Some(file));
        seen.iter().find(of).unwrap_or_else(|| panic!("{seen:#?}")).download()
    };
    assert_exact(last(&first), 40 * MB);
    assert_exact(last(&second), 80 * MB);
}

#[test]
fn another_network_namespace_is_watched() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: entering a network namespace needs root");
        return;
    }
    if missing("curl") || missing("python3") || missing("unshare") || missing("ip") {
        return;
    }
    let ((folder, file), monitor) = (folder(), monitor());
    let mut body = b"GGUF\x03\0\0\0".to_vec();
    body.resize(usize::try_from(64 * MB).unwrap(), 1);
    std::fs::write(folder.path().join("served"), body).unwrap();
    let script = "ip link set lo up; cd \"$1\"; python3 -m http.server -b 127.0.0.1 8000 & server=$!
        until curl -s -o /dev/null -I http://127.0.0.1:8000/; do sleep 0.1; done
        curl --limit-rate 12M -o \"$2\" http://127.0.0.1:8000/served; sleep 3; kill $server";
    let mut shell = start(Command::new("unshare").args(["-n", "sh", "-c", script, "sh"]).arg(folder.path()).arg(&file));
    let (last, _) = until_ended(&monitor, &file);
    shell.wait().unwrap();
    assert_exact(&last, 64 * MB);
    assert_eq!(last.format, Some("gguf"));
    let ours = std::fs::read_link("/proc/self/ns/net").unwrap();
    assert_ne!(ours.to_str(), Some(&*format!("net:[{}]", last.netns)));
    assert!(monitor.coverage().namespaces >= 1);
}

#[test]
fn little_is_not_told() {
    if missing("curl") {
        return;
    }
    let ((_folder, file), server, monitor) = (folder(), server::serve(), monitor());
    let url = format!("http://{server}/{}/{}", MB, MB / 2);
    let mut curl = start(Command::new("curl").arg("-o").arg(&file).arg(url));
    assert!(curl.wait().unwrap().success());
    let seen = watch(&monitor, 2, |_| false);
    let ours =
        |update: &&Update| update.download().pid == Some(curl.id()) || update.download().remote.contains(&server);
    assert_eq!(seen.iter().find(ours), None);
}

#[test]
fn exempt_processes_are_not_told() {
    if missing("curl") {
        return;
    }
    let ((_folder, file), server) = (folder(), server::serve());
    let url = format!("http://{server}/{}/{}", 48 * MB, 16 * MB);
    let mut curl = start(Command::new("curl").arg("-o").arg(&file).arg(url));
    let options = Options { threshold_bytes: 2 * MB, report_bytes: 4 * MB, exempt_pids: vec![curl.id()] };
    let monitor = Monitor::start(options).unwrap();
    assert!(curl.wait().unwrap().success());
    let seen = watch(&monitor, 2, |_| false);
    assert_eq!(seen.iter().find(|update| update.download().remote.contains(&server)), None);
}

#[test]
fn a_process_that_dies_ends_its_download() {
    if missing("curl") {
        return;
    }
    let ((_folder, file), server, monitor) = (folder(), server::serve(), monitor());
    let url = format!("http://{server}/{}/{}", 256 * MB, 16 * MB);
    let mut curl = start(Command::new("curl").arg("-o").arg(&file).arg(url));
    watch(&monitor, 10, |update| update.download().pid == Some(curl.id()));
    curl.kill().unwrap();
    curl.wait().unwrap();
    let killed = Instant::now();
    let (last, _) = until_ended(&monitor, &file);
    assert!(killed.elapsed() < Duration::from_secs(5));
    assert!(last.bytes_received < 200 * MB);
    assert_eq!(last.format, Some("safetensors"), "known although the process is gone");
}

#[test]
fn severing_ends_the_transfer() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: closing connections of others needs root");
        return;
    }
    if missing("curl") {
        return;
    }
    let ((_folder, file), server, monitor) = (folder(), server::serve(), monitor());
    let url = format!("http://{server}/{}/{}", 512 * MB, 16 * MB);
    let mut curl = start(Command::new("curl").arg("-o").arg(&file).arg(url));
    let seen = watch(&monitor, 10, |update| update.download().pid == Some(curl.id()));
    match sever(seen.last().unwrap().download()) {
        Ok(closed) => {
            assert_eq!(closed, 1);
            // CURLE_RECV_ERROR
            assert_eq!(curl.wait().unwrap().code(), Some(56));
        }
        Err(error) => {
            eprintln!("skipped: {error}");
            assert!(matches!(error, weighbridge_downloads::DownloadsError::SeverUnsupported { .. }), "{error}");
            curl.kill().unwrap();
            curl.wait().unwrap();
        }
    }
    let (last, _) = until_ended(&monitor, &file);
    assert!(last.bytes_received < 300 * MB);
    assert_eq!(sever(&last).unwrap(), 0, "nothing is left to close");
}

#[test]
fn the_layout_of_a_hub_is_strong_evidence() {
    if missing("curl") {
        return;
    }
    let ((folder, _), server, monitor) = (folder(), server::serve(), monitor());
    let blobs = folder.path().canonicalize().unwrap().join("hub/models--org--name/blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    let partial = blobs.join("0123abcd.01234567.incomplete");
    let url = format!("http://{server}/{}/{}", 48 * MB, 16 * MB);
    let mut curl = start(Command::new("curl").env("HF_HOME", "/x").arg("-o").arg(&partial).arg(url));
    let (last, _) = until_ended(&monitor, &partial);
    curl.wait().unwrap();
    let strongest = last.evidence.first().unwrap();
    assert_eq!((strongest.what, strongest.strength), (What::Layout, Strength::Strong));
    assert_eq!((strongest.hub, &*strongest.value), (Some("huggingface"), "org/name"));
    assert!(last.evidence.iter().any(|e| e.what == What::Environment && e.value == "HF_HOME=/x"));
    assert!(last.evidence.iter().any(|e| e.what == What::Remote && e.strength == Strength::Weak));
    assert!(serde_json::to_value(&last).unwrap()["evidence"][0]["strength"] == "strong");
}
