//! Workers that die, hang, or are taken back: callers hear why, the model comes
//! back, others never notice.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::time::{Duration, Instant};

use common::{collect, generate, imported, serve, submit, supervisor, until};
use futures::StreamExt;
use rustix::process::{Pid, Signal, kill_process};
use weighbridge_gateway::{ModelState, Work};
use weighbridge_inference_wire::{Event, FailureKind, Generate};
use weighbridge_runtime::Handle;

fn signal(model: &Handle, signal: Signal) {
    let id = i32::try_from(model.process_id().unwrap()).unwrap();
    kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
}

/// Takes long enough to be interrupted.
fn long(prompt: &str) -> Generate {
    Generate { choices: 100, ..generate(prompt, 240) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_worker_is_started_again_and_others_go_on() {
    let Some(supervisor) = supervisor() else { return };
    let files = imported();
    let (victim, other) = (serve(&supervisor, &files, "victim"), serve(&supervisor, &files, "other"));
    let undisturbed = collect(submit(&other, generate("calm", 200))).await.0;
    let first = victim.process_id().unwrap();

    let mut broken = submit(&victim, long("hello"));
    assert!(matches!(broken.next().await, Some(Event::Text { .. })));
    let streams: Vec<_> = (0..20).map(|_| tokio::spawn(collect(submit(&other, generate("calm", 200))))).collect();
    signal(&victim, Signal::KILL);
    let failure = collect(broken).await.1.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Gone);
    assert!(failure.message.contains("the worker of `victim` is gone: it ended by itself (signal: 9"), "{failure:?}");
    assert!(matches!(victim.state(), ModelState::Restarting(_)));
    let refusal = victim.submit(Work::Generate(Box::new(generate("hello", 5)))).err().unwrap();
    assert!(refusal.retry_after.is_some() && refusal.failure.message.contains("started again"), "{refusal:?}");

    until("it is back", || victim.state() == ModelState::Ready).await;
    assert!(collect(submit(&victim, generate("hello", 5))).await.1.is_ok());
    assert_ne!(victim.process_id().unwrap(), first);
    for stream in streams {
        let (texts, end) = stream.await.unwrap();
        assert!(end.is_ok() && texts == undisturbed);
    }
    assert_eq!((victim.starts(), other.starts()), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_worker_is_noticed_idle_or_busy() {
    let Some(supervisor) = supervisor() else { return };
    let model = serve(&supervisor, &imported(), "small");
    for busy in [true, false] {
        let events = busy.then(|| submit(&model, long("hello")));
        signal(&model, Signal::STOP);
        let begun = Instant::now();
        until("it is noticed", || matches!(model.state(), ModelState::Restarting(_))).await;
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        if let Some(events) = events {
            let failure = collect(events).await.1.unwrap_err();
            assert!(failure.message.contains("no sign of life for"), "{failure:?}");
        }
        until("it is back", || model.state() == ModelState::Ready).await;
    }
    assert!(collect(submit(&model, generate("hello", 5))).await.1.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn pauses_between_starts_grow() {
    let Some(supervisor) = supervisor() else { return };
    let model = serve(&supervisor, &imported(), "small");
    let mut pauses = Vec::new();
    for _ in 0..3 {
        let starts = model.starts();
        let begun = Instant::now();
        signal(&model, Signal::KILL);
        until("it is started again", || model.starts() > starts).await;
        pauses.push(begun.elapsed());
        until("it is back", || model.state() == ModelState::Ready).await;
    }
    assert!(pauses[0] >= Duration::from_secs(1) && pauses[1] >= Duration::from_secs(2), "{pauses:?}");
    assert!(pauses[2] >= Duration::from_secs(4) && pauses[2] < Duration::from_secs(8), "{pauses:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_model_ends_at_once_and_stays_away() {
    let Some(supervisor) = supervisor() else { return };
    let files = imported();
    let (model, other) = (serve(&supervisor, &files, "small"), serve(&supervisor, &files, "other"));
    let mut events = submit(&model, long("hello"));
    assert!(matches!(events.next().await, Some(Event::Text { .. })));
    let (id, begun) = (model.process_id().unwrap(), Instant::now());
    let reading = tokio::spawn(collect(events));
    assert!(supervisor.revoke_model("small", "the licence ended"));
    let failure = reading.await.unwrap().1.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert!(failure.message.contains("`small` was revoked: the licence ended"), "{failure:?}");
    until("the process is gone", || !std::path::Path::new(&format!("/proc/{id}")).exists()).await;
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    let refusal = model.submit(Work::Generate(Box::new(generate("hello", 5)))).err().unwrap();
    assert!(refusal.failure.message.contains("revoked") && refusal.retry_after.is_none());
    assert!(matches!(model.state(), ModelState::Revoked(_)));
    assert!(collect(submit(&other, generate("hello", 5))).await.1.is_ok());
    // By the digest of what it was made of.
    assert_eq!(supervisor.revoke(&files.sources[0], "tampered with"), ["other"]);
    assert!(other.submit(Work::Generate(Box::new(generate("hello", 5)))).is_err());
    // The name is free again.
    drop(serve(&supervisor, &files, "small"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_that_ends_stops_the_model() {
    use weighbridge_policy::{Assessment, Context, Principal, Repository, approve};
    let Some(supervisor) = supervisor() else { return };
    let files = imported();
    let folder = tempfile::tempdir().unwrap();
    let ends = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(4);
    let policy = format!(
        "@id(\"may\") @owner(\"a@b\") @rationale(\"r\") @severity(\"low\") @expires(\"{ends}\") \
         permit(principal, action, resource);"
    );
    std::fs::create_dir(folder.path().join("policies")).unwrap();
    std::fs::write(folder.path().join("policies/a.cedar"), policy).unwrap();
    let set = Repository::load(folder.path()).into_set().unwrap_or_else(|p| panic!("{p:?}"));
    let assessment = Assessment { sha256: Some(files.sources[0]), ..Assessment::default() };
    let all = files.sources.iter().map(|d| (d.to_string(), Assessment { sha256: Some(*d), ..assessment.clone() }));
    let principal = Principal::User("tester".to_owned());
    let approved = approve("small", &all.collect(), &principal, &Context::at(jiff::Timestamp::now()), &set).unwrap();
    assert_eq!(approved.expires(), Some(ends));
    let model = supervisor.load(approved.clone(), common::parts(&files.files), common::options()).unwrap();
    assert!(collect(submit(&model, generate("hello", 5))).await.1.is_ok());
    until("it is stopped", || matches!(model.state(), ModelState::Revoked(_))).await;
    let late = supervisor.load(approved, common::parts(&files.files), common::options());
    assert!(late.err().unwrap().to_string().contains("ended at"));
}

#[test]
fn workers_end_with_their_supervisor() {
    let Some(supervisor) = supervisor() else { return };
    let model = serve(&supervisor, &imported(), "small");
    let path = format!("/proc/{}", model.process_id().unwrap());
    drop(model);
    drop(supervisor);
    let begun = Instant::now();
    while std::path::Path::new(&path).exists() {
        assert!(begun.elapsed() < Duration::from_secs(5), "the worker lives on");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn workers_are_nobody_confined_and_first_to_go() {
    let Some(supervisor) = supervisor() else { return };
    let model = serve(&supervisor, &imported(), "small");
    let id = model.process_id().unwrap();
    let read = |name: &str| std::fs::read_to_string(format!("/proc/{id}/{name}")).unwrap();
    let status = read("status");
    let line = |name: &str| status.lines().find_map(|l| l.strip_prefix(name)).unwrap().trim().to_owned();
    assert_eq!(line("Seccomp:"), "2");
    assert_eq!((line("NoNewPrivs:").as_str(), line("CapEff:").as_str()), ("1", "0000000000000000"));
    assert_eq!(read("oom_score_adj").trim(), "500");
    assert!(!line("Uid:").split_whitespace().any(|uid| uid == "0"), "{}", line("Uid:"));
    let limits = read("limits");
    for limit in ["Max core file size", "Max file size"] {
        let line = limits.lines().find(|l| l.starts_with(limit)).unwrap();
        assert_eq!(line.split_whitespace().filter(|word| *word == "0").count(), 2, "{line}");
    }
    for limit in ["Max data size", "Max address space", "Max processes"] {
        let line = limits.lines().find(|l| l.starts_with(limit)).unwrap();
        assert!(!line.contains("unlimited"), "{line}");
    }
    let link = |id: &str, name: &str| std::fs::read_link(format!("/proc/{id}/ns/{name}")).ok();
    if rustix::process::geteuid().is_root() {
        for space in ["user", "net", "mnt", "ipc", "uts", "cgroup", "pid"] {
            assert_ne!(link(&id.to_string(), space), link("self", space), "{space}");
        }
        let missing: Vec<_> = model.unconfined().into_iter().filter(|(l, _)| l != "control group").collect();
        assert!(missing.is_empty(), "{missing:?}");
        let descriptors = std::fs::read_dir(format!("/proc/{id}/fd")).unwrap().filter_map(Result::ok);
        let open: Vec<_> = descriptors.filter_map(|e| std::fs::read_link(e.path()).ok()).collect();
        let strange = |l: &std::path::PathBuf| {
            let text = l.to_string_lossy().into_owned();
            !["socket:", "pipe:", "/dev/null", "anon_inode:"].iter().any(|known| text.starts_with(known))
        };
        assert!(!open.iter().any(strange), "{open:?}");
    }
}
