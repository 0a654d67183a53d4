use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::sync_channel;

use rustix::event::EventfdFlags;
use weighbridge_platform::fanotify::{Group, Scope};

use super::*;
use crate::reports;

#[test]
fn reads_the_file_system_user() {
    let status = b"Name:\tUid:\\n\nUmask:\t0022\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\n";
    assert_eq!(file_system_uid(status), Some(4));
    assert_eq!(file_system_uid(b"Name:\tx\n"), None);
    assert_eq!(file_system_uid(b"Uid:\t1\t2"), None);
    assert_eq!(file_system_uid(b"Uid:\t1\t2\t3\t-4"), None);
    assert_eq!(file_system_uid(b"Uid:\xff\xff"), None);
}

/// A tmpfs that goes with the test.
struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    fn new() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let done = Command::new("mount").args(["-t", "tmpfs", "none"]).arg(dir.path()).output();
        if !done.is_ok_and(|o| o.status.success()) {
            eprintln!("skipped: cannot mount a tmpfs");
            return None;
        }
        Some(Self(dir))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

/// An engine in this process whose look at files hangs while `stuck` is set.
struct Rig {
    watch: Arc<Watch>,
    counters: Arc<Counters>,
    stuck: Arc<AtomicBool>,
    commands: std::sync::mpsc::SyncSender<Command_>,
    bell: Arc<OwnedFd>,
    reports: Receiver<(Report, Vec<OwnedFd>)>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

type Command_ = crate::message::Command;

impl Rig {
    fn new(dir: &Path, deadline: Duration, misses_max: usize) -> Self {
        let counters = Arc::new(Counters::default());
        let watch = Arc::new(Watch::new(Group::gate().unwrap(), deadline, misses_max, Arc::clone(&counters)));
        let (out, reports) = reports::queue(&counters);
        let (commands, inbox) = sync_channel(16);
        let bell = Arc::new(rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).unwrap());
        let stuck = Arc::new(AtomicBool::new(false));
        let hang = Arc::clone(&stuck);
        let look = move |file: &File| {
            while hang.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(1));
            }
            look(file)
        };
        let engine = Engine {
            watch: Arc::clone(&watch),
            reports: out.clone(),
            counters: Arc::clone(&counters),
            commands: inbox,
            bell: Arc::clone(&bell),
            proc: OwnedFd::from(File::open("/proc").unwrap()),
            look,
            rules: Rules::new(Unknown::Pending, &[]),
        };
        let name = std::ffi::CString::new(dir.to_str().unwrap()).unwrap();
        let minder = Arc::clone(&watch);
        let threads =
            vec![std::thread::spawn(move || minder.mind(&out)), std::thread::spawn(move || engine.run().unwrap())];
        watch.group().mark(&name, Scope::FileSystem, Mask::OPEN_PERM).unwrap();
        Self { watch, counters, stuck, commands, bell, reports, threads }
    }

    fn send(&self, command: Command_) {
        self.commands.send(command).unwrap();
        self.ring();
    }

    fn ring(&self) {
        rustix::io::write(&self.bell, &1_u64.to_ne_bytes()).unwrap();
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.stuck.store(false, Ordering::SeqCst);
        self.watch.stop();
        self.ring();
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
    }
}

fn cat(path: &Path) -> Child {
    Command::new("cat").arg(path).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn opens(path: &Path) -> bool {
    cat(path).wait().unwrap().success()
}

#[test]
fn a_stuck_reader_keeps_nobody_beyond_the_deadline_and_recovers() {
    let Some(dir) = Tmpfs::new() else { return };
    let model = dir.0.path().join("model.gguf");
    std::fs::write(&model, b"GGUF").unwrap();
    let rig = Rig::new(dir.0.path(), Duration::from_millis(100), 1_000);
    assert!(!opens(&model));
    assert_eq!(rig.counters.late.load(Ordering::Relaxed), 0);

    rig.stuck.store(true, Ordering::SeqCst);
    let start = Instant::now();
    // The first holds the reader up, the rest are never read by it.
    let openers: Vec<Child> = (0..5).map(|_| cat(&model)).collect();
    for mut opener in openers {
        assert!(opener.wait().unwrap().success());
    }
    assert!(opens(&model));
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    assert!(rig.counters.late.load(Ordering::Relaxed) >= 6);

    rig.stuck.store(false, Ordering::SeqCst);
    let end = Instant::now() + Duration::from_secs(5);
    while opens(&model) {
        assert!(Instant::now() < end, "it did not recover");
    }
    assert!(!rig.watch.is_broken());
}

#[test]
fn too_many_misses_take_the_marks_back_and_say_so() {
    let Some(dir) = Tmpfs::new() else { return };
    let model = dir.0.path().join("model.gguf");
    std::fs::write(&model, b"GGUF").unwrap();
    let rig = Rig::new(dir.0.path(), Duration::from_millis(20), 5);
    rig.stuck.store(true, Ordering::SeqCst);
    assert!(opens(&model));
    let said = rig.reports.recv_timeout(Duration::from_secs(5)).unwrap();
    assert!(matches!(said.0, Report::Broken { misses: 5 }), "{:?}", said.0);
    rig.stuck.store(false, Ordering::SeqCst);
    assert!(opens(&model), "nothing is guarded any more");
    rig.send(Command_::Health { id: 1 });
    let end = Instant::now() + Duration::from_secs(5);
    loop {
        let (report, _) = rig.reports.recv_timeout(end.saturating_duration_since(Instant::now())).unwrap();
        if let Report::Health { health, .. } = report {
            assert!(health.broken && health.misses == 5, "{health:?}");
            break;
        }
    }
}

#[test]
fn a_file_that_becomes_a_model_while_it_is_looked_at_is_not_ignored() {
    let Some(dir) = Tmpfs::new() else { return };
    let path = dir.0.path().join("file");
    std::fs::write(&path, b"text").unwrap();
    let rig = Rig::new(dir.0.path(), Duration::from_secs(5), 1_000);
    // The first look is over and the mark not yet set: as if at that moment.
    let engine = Engine {
        watch: Arc::clone(&rig.watch),
        reports: reports::queue(&rig.counters).0,
        counters: Arc::clone(&rig.counters),
        commands: sync_channel(1).1,
        bell: Arc::clone(&rig.bell),
        proc: OwnedFd::from(File::open("/proc").unwrap()),
        look: |file: &File| {
            let seen = look(file)?;
            Ok(Look { kind: Kind::Candidate, ..seen })
        },
        rules: Rules::new(Unknown::Allow, &[]),
    };
    engine.ignore(&File::open(&path).unwrap());
    assert_eq!(rig.counters.ignored.load(Ordering::Relaxed), 0);
    let answered = rig.counters.answered.load(Ordering::Relaxed);
    assert!(opens(&path));
    assert!(rig.counters.answered.load(Ordering::Relaxed) > answered, "it is asked about");
}

#[test]
fn a_large_file_is_asked_about_and_nobody_waits_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let kind_of = |length: usize, head: &[u8]| {
        let path = dir.path().join("f");
        let mut content = vec![b'x'; length];
        content.iter_mut().zip(head).for_each(|(to, from)| *to = *from);
        std::fs::write(&path, content).unwrap();
        look(&File::open(path).unwrap()).unwrap().kind
    };
    assert_eq!(kind_of((1 << 20) - 1, b""), Kind::Other);
    assert_eq!(kind_of(1 << 20, b""), Kind::Large);
    assert_eq!(kind_of(1 << 20, b"\x7fELF"), Kind::Large);
    assert_eq!(kind_of(1 << 20, b"GGUF"), Kind::Candidate);
    assert_eq!(kind_of(0, b""), Kind::Nothing);
}
