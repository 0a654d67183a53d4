//! The notifier against a file system of its own. Needs root.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "tests")]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use weighbridge_platform::fanotify::{Change, Kind, Notifier};

/// A tmpfs that goes with the test.
struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    fn new() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "weighbridge-test"]).arg(dir.path()).status();
        if !mounted.is_ok_and(|s| s.success()) {
            eprintln!("skipped: cannot mount a tmpfs");
            return None;
        }
        Some(Self(dir))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

/// Changes until one satisfies `last`, at most five seconds.
fn until(notifier: &mut Notifier, last: impl Fn(&Change) -> bool) -> Vec<Change> {
    let end = Instant::now() + Duration::from_secs(5);
    let mut all = Vec::new();
    while !all.iter().any(&last) && Instant::now() < end {
        all.extend(notifier.next(Duration::from_millis(200)).unwrap());
    }
    assert!(all.iter().any(&last), "{all:?}");
    all
}

fn kinds(changes: &[Change], path: &Path) -> Vec<Kind> {
    changes.iter().filter(|c| c.path == path).map(|c| c.kind).collect()
}

#[test]
fn tells_of_names_with_newlines_and_bytes_that_are_no_text() {
    let Some(fs) = Tmpfs::new() else { return };
    let sub = fs.path().join(OsStr::from_bytes(b"deep\nd\xc3\x28"));
    fs::create_dir(&sub).unwrap();
    let mut notifier = Notifier::new().unwrap();
    notifier.watch(fs.path()).unwrap();

    let odd = sub.join(OsStr::from_bytes(b"a\nb\xff.gguf"));
    fs::write(&odd, b"GGUF").unwrap();
    let moved = sub.join("moved");
    fs::rename(&odd, &moved).unwrap();
    fs::remove_file(&moved).unwrap();

    let gone = |c: &Change| c.path == moved && c.kind == Kind::Deleted;
    let changes = until(&mut notifier, gone);
    assert_eq!(kinds(&changes, &odd), [Kind::Written, Kind::Deleted]);
    assert_eq!(kinds(&changes, &moved), [Kind::Moved, Kind::Deleted]);
    assert!(changes.iter().all(|c| c.pid == std::process::id() && !c.directory));
}

#[test]
fn tells_where_a_directory_is_now_and_that_it_moved() {
    let Some(fs) = Tmpfs::new() else { return };
    let (old, new) = (fs.path().join("old"), fs.path().join("new"));
    fs::create_dir(&old).unwrap();
    let mut notifier = Notifier::new().unwrap();
    notifier.watch(fs.path()).unwrap();
    fs::rename(&old, &new).unwrap();
    fs::write(new.join("file"), b"x").unwrap();
    let changes = until(&mut notifier, |c| c.path == new.join("file") && c.kind == Kind::Written);
    assert!(changes.contains(&Change { path: new, kind: Kind::Moved, pid: std::process::id(), directory: true }));
}

#[test]
fn an_overflow_is_told_and_what_follows_still_comes() {
    let Some(fs) = Tmpfs::new() else { return };
    let mut notifier = Notifier::new().unwrap();
    notifier.watch(fs.path()).unwrap();
    let most: usize = fs::read_to_string("/proc/sys/fs/fanotify/max_queued_events").unwrap().trim().parse().unwrap();
    if most > 100_000 {
        eprintln!("skipped: the queue of this machine holds {most} events");
        return;
    }
    for i in 0..=most {
        fs::write(fs.path().join(format!("f{i}")), b"x").unwrap();
    }
    let overflow = Change { path: PathBuf::new(), kind: Kind::Overflow, pid: 0, directory: false };
    until(&mut notifier, |c| c.kind == overflow.kind && c.path == overflow.path);
    fs::write(fs.path().join("after"), b"x").unwrap();
    until(&mut notifier, |c| c.path == fs.path().join("after"));
}

#[test]
fn a_directory_removed_before_it_is_read_is_counted_not_invented() {
    let Some(fs) = Tmpfs::new() else { return };
    let dir = fs.path().join("gone");
    fs::create_dir(&dir).unwrap();
    let mut notifier = Notifier::new().unwrap();
    notifier.watch(fs.path()).unwrap();
    fs::write(dir.join("x"), b"x").unwrap();
    fs::remove_file(dir.join("x")).unwrap();
    fs::remove_dir(&dir).unwrap();
    let changes = until(&mut notifier, |c| c.path == dir && c.kind == Kind::Deleted && c.directory);
    assert_eq!(kinds(&changes, &dir.join("x")), []);
    assert!(notifier.unresolved() > 0);
}
