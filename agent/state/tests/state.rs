//! What goes into the state comes out again.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "helpers of tests are tests")]

mod common;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use common::{artifact, at, digest, key};
use serde_json::json;
use weighbridge_state::audit::Verification;
use weighbridge_state::{Filter, NewRequest, OutboxLimits, RequestState, State, StateError, VerdictCount, View};
use weighbridge_types::{Decision, Effect, Mode, Model, ModelKind, Severity, Verdict};

fn open(dir: &Path) -> State {
    State::open_at(dir, OutboxLimits::default(), at(0)).unwrap()
}

fn denial() -> Decision {
    Decision {
        effect: Effect::Deny,
        enforced: true,
        mode: Mode::Guard,
        policies: vec!["deny-pickles".to_owned()],
        monitored: Vec::new(),
        obligations: Vec::new(),
        exceptions: Vec::new(),
        errors: Vec::new(),
    }
}

#[test]
fn artifacts_come_back_by_path_digest_and_inode() {
    let dir = tempfile::tempdir().unwrap();
    let state = open(&dir.path().join("state"));
    assert_eq!(dir.path().join("state").metadata().unwrap().permissions().mode() & 0o777, 0o700);
    assert!(state.opening().created);
    let paths: Vec<PathBuf> = [&b"/m/a\nb"[..], b"/m/\xff\xfe", b"/m/c", b"/mm/d"]
        .into_iter()
        .map(|b| PathBuf::from(OsString::from_vec(b.to_vec())))
        .collect();
    state
        .transaction(at(1), |t| {
            for (path, n) in paths.iter().zip(0..) {
                let verdict = if n == 1 { Verdict::Malicious } else { Verdict::Clean };
                let decision = (n == 1).then(denial);
                t.put_artifact(path, &key(n), &artifact(path, n, verdict), decision.as_ref())?;
            }
            assert_eq!(t.known(&paths[0])?.map(|k| k.key), Some(key(0)), "a change sees its own writes");
            Ok(())
        })
        .unwrap();
    let stored = state.artifact(&paths[1]).unwrap().unwrap();
    assert_eq!((stored.path.as_path(), stored.key, stored.first_seen), (paths[1].as_path(), key(1), at(1)));
    assert_eq!(stored.artifact, artifact(&paths[1], 1, Verdict::Malicious));
    assert_eq!(stored.decision, Some(denial()));
    assert_eq!(state.by_digest(&digest(2)).unwrap()[0].path, paths[2]);
    assert_eq!(state.by_inode(key(3).dev, 3).unwrap()[0].path, paths[3]);
    let known = state.known_file(&key(1)).unwrap().unwrap();
    assert_eq!((known.sha256, known.verdict, known.refused), (Some(digest(1)), Verdict::Malicious, true));
    let changed = weighbridge_platform::file::FileKey { ctime_ns: 7, ..key(1) };
    assert_eq!(state.known_file(&changed).unwrap(), None);

    let mut each = std::collections::BTreeMap::new();
    state.each_known(&mut |path, known| assert!(each.insert(path, known.key.ino).is_none())).unwrap();
    assert_eq!(each, paths.iter().cloned().zip(0..).collect());

    let counts = state.counts().unwrap();
    assert_eq!((counts.files, counts.refused, counts.bytes), (4, 1, 4006));
    assert_eq!(counts.by_verdict[1], VerdictCount { verdict: Verdict::Malicious, files: 1, bytes: 1001 });
    assert_eq!(state.artifacts(Filter::Verdict(Verdict::Malicious), None, 10).unwrap().len(), 1);
    assert_eq!(state.artifacts(Filter::Refused, None, 10).unwrap().len(), 1);
    let mut walked = Vec::new();
    while let Some(next) = state.artifacts(Filter::All, walked.last().map(PathBuf::as_path), 1).unwrap().pop() {
        walked.push(next.path);
    }
    let mut sorted = paths.clone();
    sorted.sort_by_key(|p| p.as_os_str().to_owned());
    assert_eq!(walked, sorted);

    // Cleared of suspicion: counts follow, the first sight stays.
    state
        .transaction(at(2), |t| t.put_artifact(&paths[1], &key(1), &artifact(&paths[1], 1, Verdict::Clean), None))
        .unwrap();
    assert_eq!(state.counts().unwrap().by_verdict, [VerdictCount { verdict: Verdict::Clean, files: 4, bytes: 4006 }]);
    let stored = state.artifact(&paths[1]).unwrap().unwrap();
    assert_eq!((stored.first_seen, stored.last_seen), (at(1), at(2)));

    // A sweep of /m that met only one of its three; /mm/d is not below it.
    let gone = state
        .transaction(at(10), |t| {
            assert!(t.seen(&paths[2])?);
            assert!(!t.seen(Path::new("/nowhere"))?);
            t.remove_unseen(Path::new("/m"), at(10))
        })
        .unwrap();
    assert_eq!((gone, state.counts().unwrap().files), (2, 2));
    assert!(state.transaction(at(11), |t| t.remove(&paths[3])).unwrap());
    assert_eq!(state.counts().unwrap().files, 1);
    let gone = state.transaction(at(20), |t| t.remove_unseen(Path::new("/"), at(20))).unwrap();
    assert_eq!((gone, state.counts().unwrap().bytes), (1, 0));
}

#[test]
fn a_transaction_that_fails_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let state = open(dir.path());
    let path = Path::new("/m/a");
    let failed = state.transaction(at(1), |t| {
        t.put_artifact(path, &key(1), &artifact(path, 1, Verdict::Clean), None)?;
        t.audit("decision", &json!({}))?;
        t.enqueue(Severity::High, "decision", &json!({}))?;
        t.audit("Not A Kind", &json!({}))
    });
    assert!(matches!(failed, Err(StateError::Kind { .. })));
    let too_long = "x".repeat(weighbridge_state::audit::BODY_BYTES_MAX);
    assert!(matches!(state.transaction(at(1), |t| t.audit("k", &too_long)), Err(StateError::TooLong { .. })));
    assert_eq!(state.artifact(path).unwrap(), None);
    assert_eq!(state.outbox().unwrap().events, 0);
    assert_eq!(state.head().unwrap().unwrap().seq, 1);
}

#[test]
fn models_are_replaced_root_by_root() {
    let dir = tempfile::tempdir().unwrap();
    let state = open(dir.path());
    let model = |name: &str| Model {
        name: name.to_owned(),
        kind: ModelKind::File,
        format: "gguf".to_owned(),
        path: format!("/m/{name}"),
        files: Vec::new(),
        size_bytes: 1,
        metadata: Default::default(),
        verdict: Verdict::Clean,
        missing: Vec::new(),
        same_as: Vec::new(),
        signature: None,
        origin: Vec::new(),
        lineage: None,
        advisories: Vec::new(),
    };
    state
        .transaction(at(1), |t| {
            t.replace_models(Path::new("/m"), &[model("a"), model("b")])?;
            t.replace_models(Path::new("/n"), &[model("c")])
        })
        .unwrap();
    state.transaction(at(2), |t| t.replace_models(Path::new("/m"), &[model("d")])).unwrap();
    let all = state.models(None, 10).unwrap();
    let mut names: Vec<&str> = all.iter().map(|m| m.model.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["c", "d"]);
    assert_eq!(state.models(Some(all[0].id), 10).unwrap(), all[1..]);
}

#[test]
fn the_queue_drops_the_oldest_of_the_least_and_counts_it() {
    let dir = tempfile::tempdir().unwrap();
    let limits = OutboxLimits { events: 4, bytes: 10_000 };
    let state = State::open_at(dir.path(), limits, at(0)).unwrap();
    let put = |severity, n: i32| state.transaction(at(i64::from(n)), |t| t.enqueue(severity, "event", &n)).unwrap();
    let bodies = || state.peek(100).unwrap().into_iter().map(|e| e.body).collect::<Vec<_>>();
    put(Severity::Critical, 1);
    put(Severity::Low, 2);
    put(Severity::Info, 3);
    put(Severity::Info, 4);
    assert_eq!(put(Severity::High, 5).dropped, 1);
    assert_eq!(bodies(), ["1", "2", "4", "5"], "the older of the two least went");
    put(Severity::High, 6);
    put(Severity::High, 7);
    assert_eq!(bodies(), ["1", "5", "6", "7"]);
    let queued = put(Severity::Info, 8);
    assert_eq!((queued.dropped, bodies().len()), (1, 4), "the least of all is the new one itself");
    let status = state.outbox().unwrap();
    assert_eq!(status.dropped, [(Severity::Info, 3), (Severity::Low, 1)]);
    assert_eq!((status.events, status.oldest), (4, Some(at(1))));

    let big = "x".repeat(9_000);
    assert_eq!(state.transaction(at(9), |t| t.enqueue(Severity::Critical, "event", &big)).unwrap().dropped, 1);
    let second = state.transaction(at(9), |t| t.enqueue(Severity::Critical, "event", &big)).unwrap();
    assert!(second.dropped >= 1 && state.outbox().unwrap().bytes <= 10_000);

    let last = state.peek(100).unwrap().last().unwrap().id;
    state.transaction(at(10), |t| t.acknowledge(last)).unwrap();
    assert_eq!((state.outbox().unwrap().events, state.outbox().unwrap().bytes), (0, 0));
    state.close(at(11)).unwrap();
    let state = State::open_at(dir.path(), limits, at(12)).unwrap();
    let next = state.transaction(at(12), |t| t.enqueue(Severity::Info, "event", &1)).unwrap();
    assert!(next.id > last, "numbers are not used twice");
    assert!(!state.opening().unclean);
}

#[test]
fn requests_are_filed_once_answered_once_and_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let state = open(dir.path());
    let new = |n: u64| NewRequest {
        uid: 1000,
        user: "ada".to_owned(),
        sha256: Some(digest(n)),
        path: PathBuf::from("/home/ada/m"),
        reason: "for the benchmark".to_owned(),
    };
    let first = state.transaction(at(1), |t| t.request(&new(1))).unwrap();
    assert_eq!(state.transaction(at(2), |t| t.request(&new(1))).unwrap(), first);
    let settled =
        state.transaction(at(3), |t| t.settle(first, RequestState::Refused, "bob", Some("no licence"))).unwrap();
    assert_eq!((settled.asked.clone(), settled.settled, settled.by.as_deref()), (new(1), Some(at(3)), Some("bob")));
    let again = state.transaction(at(4), |t| t.settle(first, RequestState::Approved, "eve", None));
    assert!(matches!(again, Err(StateError::Settled { state: "refused", .. })));
    assert!(matches!(
        state.transaction(at(4), |t| t.settle(99, RequestState::Approved, "eve", None)),
        Err(StateError::NoRequest { id: 99 })
    ));
    assert_ne!(state.transaction(at(5), |t| t.request(&new(1))).unwrap(), first);
    for n in 2..=100 {
        state.transaction(at(6), |t| t.request(&new(n))).unwrap();
    }
    let over = state.transaction(at(7), |t| t.request(&new(101)));
    assert!(matches!(over, Err(StateError::TooManyRequests { uid: 1000, max: 100 })));
    assert_eq!(state.requests(Some(RequestState::Open), None, 1000).unwrap().len(), 100);
    assert_eq!(state.requests(None, Some(first), 1000).unwrap().len(), 100);
}

#[test]
fn facts_are_kept_and_ours_are_not_theirs() {
    let dir = tempfile::tempdir().unwrap();
    let state = open(dir.path());
    state.transaction(at(1), |t| t.set_fact("sweep.last", &json!({"files": 3}))).unwrap();
    assert_eq!(state.fact::<serde_json::Value>("sweep.last").unwrap().unwrap()["files"], 3);
    assert_eq!(state.fact::<String>("never.set").unwrap(), None);
    assert!(state.fact::<u64>("sweep.last").is_err());
    assert!(state.transaction(at(1), |t| t.set_fact("state.audit-chain", &0)).is_err());
    assert!(state.transaction(at(1), |t| t.clear_fact("sweep.last")).unwrap());
    assert_eq!(state.fact::<serde_json::Value>("sweep.last").unwrap(), None);
}

#[test]
fn one_process_writes_and_others_read() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(View::open(dir.path()), Err(StateError::Absent { .. })));
    let state = open(dir.path());
    assert!(matches!(State::open(dir.path()), Err(StateError::InUse { .. })));
    let view = View::open(dir.path()).unwrap();
    state.transaction(at(1), |t| t.set_fact("a", &1)).unwrap();
    assert_eq!(view.fact::<u64>("a").unwrap(), Some(1));
    drop(state);
    let state = open(dir.path());
    assert!(state.opening().unclean && !state.opening().created, "it was dropped, not closed");
}

#[test]
fn threads_share_it() {
    let dir = tempfile::tempdir().unwrap();
    let state = open(dir.path());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let state = &state;
            scope.spawn(move || {
                for n in 0..100 {
                    state.transaction(at(n), |t| t.audit("decision", &json!([thread, n]))).unwrap();
                    state.head().unwrap();
                }
            });
        }
    });
    match state.verify(1..=u64::MAX, None).unwrap() {
        Verification::Whole(verified) => assert_eq!(verified.last, 401),
        Verification::Broken(broken) => panic!("{broken}"),
    }
}

#[test]
fn a_later_schema_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).close(at(1)).unwrap();
    let path = dir.path().join("state.db");
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 7).unwrap();
    assert!(matches!(State::open(dir.path()), Err(StateError::Newer { found: 7, known: 2, .. })));
    assert!(matches!(View::open(dir.path()), Err(StateError::Newer { .. })));
    assert!(
        path.exists()
            && std::fs::read_dir(dir.path()).unwrap().all(|e| !e
                .unwrap()
                .path()
                .display()
                .to_string()
                .contains("damaged"))
    );
}

#[test]
fn a_damaged_database_is_moved_aside_and_told() {
    type Damage = fn(&Path);
    let cases: [(&str, Damage); 3] = [
        ("not a database", |path| std::fs::write(path, b"this is no database at all, and long enough").unwrap()),
        ("pages of noise", |path| {
            let mut bytes = std::fs::read(path).unwrap();
            let len = bytes.len();
            bytes[4096..len.min(40_960)].fill(0x5a);
            std::fs::write(path, bytes).unwrap();
        }),
        ("cut off", |path| {
            let file = std::fs::File::options().write(true).open(path).unwrap();
            file.set_len(file.metadata().unwrap().len() / 8192 * 4096).unwrap();
        }),
    ];
    for (what, damage) in cases {
        let dir = tempfile::tempdir().unwrap();
        let state = open(dir.path());
        state
            .transaction(at(1), |t| {
                for n in 0..200 {
                    let path = PathBuf::from(format!("/m/{n}"));
                    t.put_artifact(&path, &key(n), &artifact(&path, n, Verdict::Clean), None)?;
                }
                t.audit("decision", &json!({}))
            })
            .unwrap();
        let key = state.public_key();
        let head = state.seal(at(2)).unwrap().unwrap();
        state.close(at(2)).unwrap();
        let path = dir.path().join("state.db");
        damage(&path);
        let damaged = std::fs::read(&path).unwrap();

        let state = open(dir.path());
        let told = state.opening().damaged.clone().unwrap_or_else(|| panic!("{what}: not told"));
        assert_eq!(told.moved_to.file_name().unwrap().to_str().unwrap(), "state.db.damaged-20260202T024000Z");
        assert_eq!(std::fs::read(&told.moved_to).unwrap(), damaged, "{what}: something was lost");
        assert_eq!(state.public_key(), key);
        assert_eq!(state.counts().unwrap().files, 0);
        let first = &state.entries(0, 10).unwrap()[0];
        assert_eq!(first.kind, "audit.started");
        let body: serde_json::Value = serde_json::from_str(&first.body).unwrap();
        assert!(body["predecessor"].as_str().unwrap().contains(&head.hash.to_string()), "{what}: {body}");
        assert!(body["damaged"]["reason"].is_string());
        let other = state.verify(1..=u64::MAX, Some(&head)).unwrap();
        assert!(format!("{other:?}").contains("OtherChain"), "{other:?}");
    }
}

#[test]
fn a_state_elsewhere_is_not_entered_through_a_link() {
    let dir = tempfile::tempdir().unwrap();
    let real = dir.path().join("real");
    std::fs::create_dir(&real).unwrap();
    std::os::unix::fs::symlink(&real, dir.path().join("link")).unwrap();
    assert!(matches!(State::open(&dir.path().join("link")), Err(StateError::File { .. })));
    std::os::unix::fs::symlink(dir.path().join("victim"), real.join("state.db")).unwrap();
    assert!(matches!(State::open(&real), Err(StateError::File { .. })));
    assert!(!dir.path().join("victim").exists());
}

/// What is to be reported: path, whether something is there, digest known.
fn waiting(state: &State) -> Vec<(PathBuf, bool, Option<u8>)> {
    let all = state.unreported(100).unwrap();
    all.into_iter().map(|u| (u.path, u.now.is_some(), u.reported.map(|d| d[0]))).collect()
}

#[test]
fn a_console_hears_of_each_change_once_and_of_none_it_needs_not() {
    let dir = tempfile::tempdir().unwrap();
    let state = open(&dir.path().join("state"));
    let (a, b) = (Path::new("/m/a"), Path::new("/m/b"));
    let put = |path: &Path, n: u64, verdict| {
        state.transaction(at(1), |t| t.put_artifact(path, &key(n), &artifact(path, n, verdict), None)).unwrap();
    };
    put(a, 1, Verdict::Clean);
    put(b, 2, Verdict::Clean);
    assert_eq!(waiting(&state), [(a.into(), true, None), (b.into(), true, None)]);
    // The console hears of both; meanwhile one of them changes.
    let told = state.unreported(100).unwrap();
    put(b, 3, Verdict::Malicious);
    let tell = |told: &[weighbridge_state::Unreported], digest: Option<u8>| {
        state.transaction(at(2), |t| told.iter().try_for_each(|u| t.reported(u, digest.map(|d| [d; 32])))).unwrap();
    };
    tell(&told, Some(7));
    assert_eq!(waiting(&state), [(b.into(), true, Some(7))]);
    tell(&state.unreported(100).unwrap(), Some(8));
    assert_eq!(waiting(&state), []);
    // Seen again, unchanged: nothing to tell. Gone: told once.
    put(a, 1, Verdict::Clean);
    state.transaction(at(3), |t| t.seen(a)).unwrap();
    assert_eq!(waiting(&state), []);
    state.transaction(at(4), |t| t.remove(a)).unwrap();
    assert_eq!(waiting(&state), [(a.into(), false, Some(7))]);
    tell(&state.unreported(100).unwrap(), None);
    assert_eq!(waiting(&state), []);
    // Came and went between two reports: nobody hears. Went while it was being told: it does.
    put(a, 4, Verdict::Clean);
    state.transaction(at(5), |t| t.remove(a)).unwrap();
    assert_eq!(waiting(&state), []);
    put(a, 5, Verdict::Clean);
    let told = state.unreported(100).unwrap();
    state.transaction(at(6), |t| t.remove(a)).unwrap();
    tell(&told, Some(9));
    assert_eq!(waiting(&state), [(a.into(), false, Some(9))]);
    // Another console, or one that lost what it knew.
    state.transaction(at(7), |t| t.report_anew()).unwrap();
    assert_eq!(waiting(&state), [(b.into(), true, None)]);
}
