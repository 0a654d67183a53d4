//! The lists of system calls against what a worker really calls, as strace(1)
//! sees it: nothing needed is missing, nothing listed is there for no reason.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;

use common::{collect, generate, imported, library, options, parts, submit};
use weighbridge_runtime::{Settings, Supervisor, WorkerCommand};
use weighbridge_sandbox::{Profile, calls};

/// `prctl(PR_SET_NAME)`, `sched_getaffinity`, `openat` of what is not there
/// anyway: libraries ask, are refused, and go on.
const HARMLESS: [&str; 4] = ["prctl", "sched_getaffinity", "openat", "fcntl"];
/// Listed for what this run does not do: aborting, panicking, signals, a large
/// block that grows, the end of a thread, a system without vDSO.
const RARE: [&str; 19] = [
    "brk",
    "clock_gettime",
    "close",
    "exit",
    "getpid",
    "gettid",
    "madvise",
    "mremap",
    "munmap",
    "read",
    "restart_syscall",
    "rt_sigaction",
    "rt_sigreturn",
    "sched_yield",
    "tgkill",
    "write",
    "writev",
    "exit_group",
    "sendto",
];

/// A call: stage, number, name, whether it was refused.
type Call = (usize, i64, String, bool);

fn parse(trace: &str) -> Vec<Call> {
    let mut stage = 0;
    let mut seen = Vec::new();
    for line in trace.lines() {
        let Some((_, rest)) = line.split_once('[') else { continue };
        let Some((number, rest)) = rest.split_once(']') else { continue };
        let Ok(number) = number.trim().parse() else { continue };
        let name: String =
            rest.trim().trim_start_matches("<... ").chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        seen.push((stage, number, name, rest.contains("EPERM")));
        // The filter that answers ENOSYS, the one for loading, the one for running.
        if rest.contains("SECCOMP_SET_MODE_FILTER") && rest.contains("= 0") {
            stage += 1;
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lists_are_what_a_worker_needs() {
    let Some(library) = library() else { return };
    if std::process::Command::new("strace").arg("-V").output().is_err() {
        eprintln!("skipped: there is no strace");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (script, trace) = (folder.path().join("worker.sh"), folder.path().join("trace"));
    let worker = env!("CARGO_BIN_EXE_model-worker");
    std::fs::write(&script, format!("#!/bin/sh\nexec strace -f -n -o {} {worker} \"$@\"\n", trace.display())).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let worker = WorkerCommand { program: script, arguments: vec![library.into()] };
    let supervisor = Supervisor::new(Settings { threads: 2, ..Settings::new(worker) });
    let model = imported();
    let served = supervisor.load(common::approved("m", &model.sources), parts(&model.files), options()).unwrap();
    assert!(collect(submit(&served, generate("hello", 50))).await.1.is_ok());
    assert!(collect(submit(&served, generate(&"long prompt ".repeat(15), 20))).await.1.is_ok());
    supervisor.unload("m");

    let seen = parse(&std::fs::read_to_string(&trace).unwrap());
    for (profile, stages) in [(Profile::ModelLoad, 2..=2), (Profile::ModelRun, 3..=3)] {
        let listed: BTreeSet<i64> = calls(profile).into_iter().map(|(number, _)| number).collect();
        let used = seen.iter().filter(|call| stages.contains(&call.0));
        let missing: BTreeSet<&String> = used
            .filter(|c| c.3 || !listed.contains(&c.1))
            .map(|c| &c.2)
            .filter(|n| !HARMLESS.contains(&n.as_str()))
            .collect();
        assert!(missing.is_empty(), "{profile:?} refuses {missing:?}");
    }
    let used: BTreeSet<i64> = seen.iter().filter(|call| call.0 >= 2).map(|call| call.1).collect();
    assert!(used.len() > 15, "{used:?}");
    let rare: BTreeSet<&str> = RARE.into();
    let idle: Vec<_> = calls(Profile::ModelLoad).into_iter().filter(|(number, _)| !used.contains(number)).collect();
    let unexplained: Vec<_> = idle.iter().filter(|(number, _)| !rare.contains(name(*number).as_str())).collect();
    assert!(unexplained.is_empty(), "listed and never called: {unexplained:?}");
}

/// Names of the calls that may be missing from a trace.
fn name(number: i64) -> String {
    let known = [
        (0, "read"),
        (1, "write"),
        (44, "sendto"),
        (231, "exit_group"),
        (3, "close"),
        (11, "munmap"),
        (12, "brk"),
        (13, "rt_sigaction"),
        (15, "rt_sigreturn"),
        (20, "writev"),
        (24, "sched_yield"),
        (25, "mremap"),
        (28, "madvise"),
        (39, "getpid"),
        (60, "exit"),
        (186, "gettid"),
        (219, "restart_syscall"),
        (228, "clock_gettime"),
        (234, "tgkill"),
    ];
    known.iter().find(|(n, _)| *n == number).map_or_else(|| number.to_string(), |(_, name)| (*name).to_owned())
}
