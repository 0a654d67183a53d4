//! A worker spoken to without a supervisor: what it refuses.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::{Named, imported, library};
use weighbridge_inference_wire::{
    FRAME_BYTES_MAX, Failure, FailureKind, FromWorker, Open, Part, PartRole, ToWorker, VERSION,
};
use weighbridge_platform::{frames, sealed};

struct Worker {
    child: Child,
    socket: UnixStream,
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }
}

fn start(environment: &[(&str, &str)]) -> Option<Worker> {
    let library = library()?;
    let (socket, theirs) = UnixStream::pair().unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_model-worker"))
        .arg(library)
        .env_clear()
        .envs(environment.iter().copied())
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    Some(Worker { child, socket })
}

const QUIET: &[(&str, &str)] = &[(weighbridge_worker::TELEMETRY_OFF, "1")];

fn open(parts: Vec<Part>) -> Open {
    let name = "raw".to_owned();
    Open { version: VERSION, name, parts, to_come: 0, threads: 1, cache_bytes: 1 << 20, context_length: None }
}

fn memory((role, name, bytes): &Named) -> (Part, File) {
    let mut file = sealed::create("test").unwrap();
    file.write_all(bytes).unwrap();
    (Part { role: *role, name: name.clone(), size_bytes: bytes.len() as u64 }, file)
}

impl Worker {
    /// Sends a model and returns what comes of it.
    fn open(&self, open: Open, files: &[File]) -> Result<(), Failure> {
        let handles: Vec<_> = files.iter().map(AsFd::as_fd).collect();
        frames::send(&self.socket, &ToWorker::Open(open), &handles, FRAME_BYTES_MAX).unwrap();
        self.answer()
    }

    fn answer(&self) -> Result<(), Failure> {
        loop {
            match frames::receive::<FromWorker>(&self.socket, FRAME_BYTES_MAX).unwrap().expect("an answer").0 {
                FromWorker::Ready(_) => return Ok(()),
                FromWorker::Refused(failure) => return Err(failure),
                FromWorker::Loading(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn ended(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

#[test]
fn a_sealed_model_is_taken_and_the_end_of_the_socket_is_the_end() {
    let Some(mut worker) = start(QUIET) else { return };
    let (parts, files): (Vec<_>, Vec<_>) = imported().files.iter().map(memory).unzip();
    files.iter().for_each(|file| sealed::seal(file).unwrap());
    worker.open(open(parts), &files).unwrap();
    worker.socket.shutdown(std::net::Shutdown::Both).unwrap();
    assert_eq!(worker.ended(), Some(0));
}

#[test]
fn weights_may_follow_and_must_be_sealed_too() {
    for sealed in [true, false] {
        let Some(worker) = start(QUIET) else { return };
        let mut named = imported().files.clone();
        named.sort_by_key(|(role, ..)| matches!(role, PartRole::Graph | PartRole::Data));
        let (parts, files): (Vec<_>, Vec<_>) = named.iter().map(memory).unzip();
        let here = parts.iter().filter(|p| !matches!(p.role, PartRole::Graph | PartRole::Data)).count();
        files.iter().take(here).for_each(|file| sealed::seal(file).unwrap());
        let (now, later) = files.split_at(here);
        let open = Open { to_come: later.len(), ..open(parts) };
        let now: Vec<_> = now.iter().map(AsFd::as_fd).collect();
        frames::send(&worker.socket, &ToWorker::Open(open), &now, FRAME_BYTES_MAX).unwrap();
        if sealed {
            later.iter().for_each(|file| sealed::seal(file).unwrap());
        }
        let later: Vec<_> = later.iter().map(AsFd::as_fd).collect();
        frames::send(&worker.socket, &ToWorker::Rest, &later, FRAME_BYTES_MAX).unwrap();
        match worker.answer() {
            Ok(()) => assert!(sealed),
            Err(failure) => assert!(!sealed && failure.message.contains("not sealed"), "{failure:?}"),
        }
    }
}

#[test]
fn memory_that_could_change_is_refused() {
    let Some(mut worker) = start(QUIET) else { return };
    let (parts, files): (Vec<_>, Vec<_>) = imported().files.iter().map(memory).unzip();
    // All but the last.
    files.iter().rev().skip(1).for_each(|file| sealed::seal(file).unwrap());
    let failure = worker.open(open(parts.clone()), &files).unwrap_err();
    let expected = format!("the part `{}` cannot be used: the memory is not sealed", parts.last().unwrap().name);
    assert!(failure.message.starts_with(&expected), "{failure:?}");
    assert_eq!((failure.kind, worker.ended()), (FailureKind::Internal, Some(2)));
}

#[test]
fn memory_of_another_length_is_refused() {
    for change in [-1_i64, 1, 1 << 40] {
        let Some(worker) = start(QUIET) else { return };
        let (mut parts, files): (Vec<_>, Vec<_>) = imported().files.iter().map(memory).unzip();
        files.iter().for_each(|file| sealed::seal(file).unwrap());
        parts[0].size_bytes = parts[0].size_bytes.checked_add_signed(change).unwrap();
        let failure = worker.open(open(parts), &files).unwrap_err();
        assert!(failure.message.contains("bytes, not"), "{failure:?}");
    }
}

#[test]
fn files_on_disk_and_missing_descriptors_are_refused() {
    let Some(worker) = start(QUIET) else { return };
    let mut disk = tempfile::tempfile().unwrap();
    disk.write_all(b"graph").unwrap();
    let part = Part { role: PartRole::Graph, name: "model.onnx".to_owned(), size_bytes: 5 };
    let failure = worker.open(open(vec![part.clone()]), &[disk]).unwrap_err();
    assert!(failure.message.contains("not sealed"), "{failure:?}");
    let Some(worker) = start(QUIET) else { return };
    let failure = worker.open(open(vec![part]), &[]).unwrap_err();
    assert!(failure.message.contains("1 parts, 0 descriptors and 0 to come"), "{failure:?}");
}

#[test]
fn other_versions_and_first_messages_are_refused() {
    let Some(worker) = start(QUIET) else { return };
    let failure = worker.open(Open { version: VERSION + 1, ..open(Vec::new()) }, &[]).unwrap_err();
    assert!(failure.message.contains(&format!("this worker speaks {VERSION}")), "{failure:?}");
    let Some(worker) = start(QUIET) else { return };
    frames::send(&worker.socket, &ToWorker::Stats, &[], FRAME_BYTES_MAX).unwrap();
    assert!(worker.answer().unwrap_err().message.contains("names no model"));
}

#[test]
fn telemetry_must_be_off_before_the_library_is_loaded() {
    let Some(worker) = start(&[]) else { return };
    let failure = worker.answer().unwrap_err();
    assert!(failure.message.contains("`ORT_DISABLE_TELEMETRY` is not 1"), "{failure:?}");
}

#[test]
fn what_is_no_message_ends_the_worker() {
    let Some(mut worker) = start(QUIET) else { return };
    let (parts, files): (Vec<_>, Vec<_>) = imported().files.iter().map(memory).unzip();
    files.iter().for_each(|file| sealed::seal(file).unwrap());
    worker.open(open(parts), &files).unwrap();
    (&worker.socket).write_all(&[5, 0, 0, 0, b'n', b'o', b'p', b'e', b'!']).unwrap();
    assert_eq!(worker.ended(), Some(2));
}
