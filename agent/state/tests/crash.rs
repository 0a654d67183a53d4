//! `kill -9` at random moments, and a full disk.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "helpers of tests are tests")]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{Tmpfs, artifact, at, key};
use jiff::Timestamp;
use serde_json::json;
use weighbridge_state::audit::Verification;
use weighbridge_state::{OutboxLimits, State, StateError, View};
use weighbridge_types::{Severity, Verdict};

const DIR: &str = "WEIGHBRIDGE_TEST_WRITER";
const KILLS: u32 = 50;

/// Not a test by itself: writes until it is killed, and tells what lasts.
#[test]
#[ignore = "the victim of `killed_at_random_moments…`"]
fn writer() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let state = State::open(Path::new(&dir)).unwrap();
    let mut out = std::io::stdout();
    for n in 0_u64.. {
        let path = PathBuf::from(format!("/m/{}", n % 500));
        let seq = state
            .transaction(Timestamp::now(), |t| {
                t.put_artifact(&path, &key(n), &artifact(&path, n, Verdict::Clean), None)?;
                let entry = t.audit("decision", &json!({"path": path, "padding": "x".repeat(2000)}))?;
                t.set_fact("writer.last", &entry.seq)?;
                t.enqueue(Severity::Info, "decision", &entry.seq)?;
                Ok(entry.seq)
            })
            .unwrap();
        writeln!(out, "lasts {seq}").unwrap();
    }
}

/// The last entry that was acknowledged before the kill.
fn write_and_kill(dir: &Path, after: Duration) -> Option<u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "writer", "--ignored", "--nocapture"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let out = child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut last = None;
        for line in BufReader::new(out).lines() {
            let line = line.unwrap_or_default();
            last = line.split_once("lasts ").and_then(|(_, seq)| seq.parse().ok()).or(last);
        }
        last
    });
    std::thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}

#[test]
fn killed_at_random_moments_it_loses_nothing_it_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = u64::from(std::process::id()) | 1 << 40;
    let (mut acknowledged, mut grew) = (0, 0);
    for kill in 0..KILLS {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        // From before the database is open to hundreds of transactions in.
        let told = write_and_kill(dir.path(), Duration::from_micros(2_000 + random % 120_000));
        grew += u32::from(told.is_some());
        acknowledged = told.unwrap_or(acknowledged).max(acknowledged);
        if !dir.path().join("state.db").exists() {
            continue;
        }
        let state = State::open(dir.path()).unwrap();
        assert_eq!(state.opening().damaged, None, "kill {kill}");
        assert_eq!(state.opening().rolled_back, None, "kill {kill}");
        let verified = match state.verify(1..=u64::MAX, None).unwrap() {
            Verification::Whole(verified) => verified,
            Verification::Broken(broken) => panic!("kill {kill}: {broken}"),
        };
        assert!(verified.last >= acknowledged, "kill {kill}: {} of {acknowledged}", verified.last);
        // All that one transaction wrote is there, or none of it.
        if let Some(last) = state.fact::<u64>("writer.last").unwrap() {
            assert!(last >= acknowledged);
            let entries = state.entries(last - 1, 10).unwrap();
            assert_eq!(entries[0].kind, "decision");
            assert_eq!(state.peek(10_000).unwrap().len() as u64, state.outbox().unwrap().events);
            let newest = state.outbox().unwrap().events;
            let decisions = state.entries(0, 10_000).unwrap().iter().filter(|e| e.kind == "decision").count() as u64;
            assert_eq!(newest, decisions, "kill {kill}");
        }
    }
    eprintln!("{KILLS} kills, {grew} of them after a first transaction; {acknowledged} entries acknowledged");
    assert!(grew > KILLS / 4, "it was killed too early to say anything");
}

#[test]
fn on_a_full_disk_it_stays_readable_and_goes_on_later() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = Tmpfs::new(&dir.path().join("disk"), "size=24m") else { return };
    let home = disk.0.join("state");
    std::fs::write(disk.0.join("ballast"), vec![1; 8 << 20]).unwrap();
    let state = State::open_at(&home, OutboxLimits::default(), at(0)).unwrap();
    let path = |n: u64| PathBuf::from(format!("/m/{n}"));
    let put = |state: &State, n: u64| {
        state.transaction(at(1), |t| {
            t.put_artifact(&path(n), &key(n), &artifact(&path(n), n, Verdict::Clean), None)?;
            t.audit("decision", &json!({"n": n, "padding": "x".repeat(3000)})).map(|_| ())
        })
    };
    let mut written = 0;
    let error = loop {
        match put(&state, written) {
            Ok(()) => written += 1,
            Err(e) => break e,
        }
        assert!(written < 100_000, "the disk never filled");
    };
    assert!(matches!(error, StateError::Full { .. }), "{error:?}");
    assert!(written > 100);
    for _ in 0..5 {
        assert!(put(&state, written).is_err());
    }
    assert_eq!(state.counts().unwrap().files, written);
    assert!(state.artifact(&path(written - 1)).unwrap().is_some());
    assert_eq!(state.artifact(&path(written)).unwrap(), None);
    let whole = |v| matches!(v, Verification::Whole(_));
    assert!(whole(state.verify(1..=u64::MAX, None).unwrap()));
    assert!(whole(View::open(&home).unwrap().verify(1..=u64::MAX, None).unwrap()));

    std::fs::remove_file(disk.0.join("ballast")).unwrap();
    put(&state, written).unwrap();
    assert_eq!(state.counts().unwrap().files, written + 1);
    assert!(whole(state.verify(1..=u64::MAX, None).unwrap()));

    // Full once more, and begun anew while it is.
    let mut written = written + 1;
    while put(&state, written).is_ok() {
        written += 1;
    }
    let rest = std::fs::File::create(disk.0.join("rest")).unwrap();
    while (&rest).write_all(&[1; 4096]).is_ok() {}
    drop(state);
    let reopened = State::open_at(&home, OutboxLimits::default(), at(2));
    eprintln!("opening on a full disk: {:?}", reopened.as_ref().map(|s| s.opening()).map_err(ToString::to_string));
    drop(reopened);
    std::fs::remove_file(disk.0.join("rest")).unwrap();
    drop(rest);
    let state = State::open_at(&home, OutboxLimits::default(), at(3)).unwrap();
    assert_eq!((state.opening().damaged.clone(), state.opening().rolled_back.clone()), (None, None));
    assert_eq!(state.counts().unwrap().files, written);
    assert!(whole(state.verify(1..=u64::MAX, None).unwrap()));
}

/// `cargo test --release -p weighbridge-state --test crash -- --ignored --nocapture million`
#[test]
#[ignore = "writes 1,000,000 rows; prints how fast"]
fn a_million_artifacts() {
    const ROWS: u64 = 1_000_000;
    let dir = tempfile::tempdir().unwrap();
    let state = State::open_at(dir.path(), OutboxLimits::default(), at(0)).unwrap();
    let path = |n: u64| PathBuf::from(format!("/home/user{}/.cache/huggingface/hub/models--{n}/blob", n % 97));
    let rate = |what: &str, n: u64, start: Instant| {
        let each = start.elapsed().as_secs_f64() / n as f64;
        eprintln!("{what}: {:.1} µs each, {:.0}/s", each * 1e6, 1.0 / each);
    };
    let start = Instant::now();
    state
        .transaction(at(1), |t| {
            for n in 0..ROWS {
                let path = path(n);
                t.put_artifact(&path, &key(n), &artifact(&path, n, Verdict::Clean), None)?;
            }
            Ok(())
        })
        .unwrap();
    rate("insert in one transaction", ROWS, start);
    let scattered = || (0..20_000_u64).map(|i| i * 48_271 % ROWS);
    let start = Instant::now();
    for n in scattered() {
        assert!(state.known(&path(n)).unwrap().is_some());
    }
    rate("known(path)", 20_000, start);
    let start = Instant::now();
    for n in scattered() {
        assert!(state.known_file(&key(n)).unwrap().is_some());
    }
    rate("known_file(key)", 20_000, start);
    let (start, mut each) = (Instant::now(), 0);
    state.each_known(&mut |_, _| each += 1).unwrap();
    assert_eq!(each, ROWS);
    rate("each_known", ROWS, start);
    let start = Instant::now();
    for n in scattered() {
        assert!(state.artifact(&path(n)).unwrap().is_some());
    }
    rate("artifact(path)", 20_000, start);
    let start = Instant::now();
    state.transaction(at(2), |t| scattered().try_for_each(|n| t.seen(&path(n)).map(|_| ()))).unwrap();
    rate("seen(path) in one transaction", 20_000, start);
    let start = Instant::now();
    for _ in 0..100 {
        assert_eq!(state.counts().unwrap().files, ROWS);
    }
    rate("counts()", 100, start);
    let start = Instant::now();
    for n in 0..500 {
        state.transaction(at(3), |t| t.audit("decision", &n)).unwrap();
    }
    rate("transaction with one audit entry, durable", 500, start);
    let start = Instant::now();
    state.transaction(at(4), |t| (0..100_000).try_for_each(|n| t.audit("decision", &n).map(|_| ()))).unwrap();
    rate("audit entry in one transaction", 100_000, start);
    let start = Instant::now();
    assert!(matches!(state.verify(1..=u64::MAX, None).unwrap(), Verification::Whole(_)));
    rate("verify", 100_501, start);
    let start = Instant::now();
    let gone = state.transaction(at(5), |t| t.remove_unseen(Path::new("/home/user1"), at(5))).unwrap();
    rate("remove_unseen below one folder", gone, start);
    state.close(at(6)).unwrap();
    let start = Instant::now();
    let state = State::open(dir.path()).unwrap();
    let size = dir.path().join("state.db").metadata().unwrap().len() >> 20;
    eprintln!("opened {size} MiB in {:?}", start.elapsed());
    drop(state);
}
