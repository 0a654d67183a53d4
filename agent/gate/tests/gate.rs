//! The gate process against real openers, on a tmpfs or ext4 image of each
//! test's own. Needs root.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use weighbridge_gate::{Gate, Notice, Question, Start, Unknown, Verdict};
use weighbridge_platform::file::FileKey;

const PROGRAM: &str = env!("CARGO_BIN_EXE_gate-bench");
const EPERM: i32 = 1;
const EBUSY: i32 = 16;
const DENY: Verdict = Verdict::Deny { errno: EPERM };
const GGUF: &[u8] = b"GGUF\x03\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// A file system that goes with the test.
struct Volume(tempfile::TempDir);

impl Volume {
    fn mounted(args: &[&OsStr]) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let done = Command::new("mount").args(args).arg(dir.path()).output();
        if !done.is_ok_and(|o| o.status.success()) {
            eprintln!("skipped: cannot mount a file system");
            return None;
        }
        Some(Self(dir))
    }

    fn tmpfs() -> Option<Self> {
        Self::mounted(&["-t", "tmpfs", "none"].map(OsStr::new))
    }

    fn ext4(image: &tempfile::NamedTempFile) -> Option<Self> {
        image.as_file().set_len(64 << 20).unwrap();
        let made = Command::new("mkfs.ext4").args(["-q", "-F"]).arg(image.path()).output();
        if !made.is_ok_and(|o| o.status.success()) {
            eprintln!("skipped: no mkfs.ext4");
            return None;
        }
        Self::mounted(&[OsStr::new("-o"), OsStr::new("loop"), image.path().as_os_str()])
    }

    fn file(&self, name: impl AsRef<OsStr>, content: &[u8]) -> PathBuf {
        let path = self.0.path().join(name.as_ref());
        fs::write(&path, content).unwrap();
        path
    }

    fn start(&self) -> Start {
        Start::new(vec![self.0.path().to_owned()])
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

fn spawn(start: Start) -> (Gate, Receiver<Notice>) {
    let gate = Gate::spawn(Path::new(PROGRAM), &["__gate".into()], start).unwrap();
    assert_eq!((gate.ready().marks, gate.ready().errors.as_slice()), (1, &[][..]));
    let notices = gate.notices().unwrap();
    (gate, notices)
}

fn key(path: &Path) -> FileKey {
    FileKey::from(&fs::metadata(path).unwrap())
}

fn opener<P: AsRef<OsStr>>(paths: &[P]) -> Child {
    Command::new(PROGRAM).arg("__open").args(paths).stdout(Stdio::piped()).spawn().unwrap()
}

fn results(child: Child) -> Vec<i32> {
    let out = child.wait_with_output().unwrap();
    String::from_utf8(out.stdout).unwrap().lines().map(|l| l.parse().unwrap()).collect()
}

/// Error numbers, in order, of another process that opens these.
fn open<P: AsRef<OsStr>>(paths: &[P]) -> Vec<i32> {
    results(opener(paths))
}

fn question(notices: &Receiver<Notice>) -> Question {
    let end = Instant::now() + Duration::from_secs(5);
    loop {
        match notices.recv_timeout(end.saturating_duration_since(Instant::now())).unwrap() {
            Notice::Asked(question) => return question,
            Notice::Denied(_) => {}
            Notice::Broken { .. } => panic!("the gate broke"),
        }
    }
}

fn signal(gate: &Gate, signal: &str) {
    let done = Command::new("kill").arg(signal).arg(gate.pid().to_string()).status().unwrap();
    assert!(done.success());
}

fn ended(child: &mut Child, within: Duration) -> bool {
    let end = Instant::now() + within;
    while Instant::now() < end {
        if child.try_wait().unwrap().is_some() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

#[test]
fn a_denied_model_does_not_open_and_everything_else_does() {
    let Some(volume) = Volume::tmpfs() else { return };
    let (model, other, text) =
        (volume.file("model.gguf", GGUF), volume.file("other.gguf", GGUF), volume.file("notes.txt", b"hello"));
    let (gate, notices) = spawn(volume.start());
    gate.set(key(&model), None, DENY, None).unwrap();
    gate.health().unwrap();
    assert_eq!(open(&[&model, &other, &text, &model]), [EPERM, 0, 0, EPERM]);
    // By another name and another mount it is the same file.
    let link = volume.0.path().join("link");
    fs::hard_link(&model, &link).unwrap();
    let renamed = key(&model);
    gate.set(renamed, None, DENY, None).unwrap();
    gate.health().unwrap();
    assert_eq!(open(&[&link]), [EPERM]);
    // This process is exempt.
    File::open(&model).unwrap();
    let Notice::Denied(refusal) = notices.recv_timeout(Duration::from_secs(5)).unwrap() else { panic!() };
    assert_eq!((refusal.path.as_path(), refusal.errno, refusal.uid), (model.as_path(), EPERM, Some(0)));
    gate.forget(renamed).unwrap();
    gate.health().unwrap();
    assert_eq!(open(&[&model]), [0]);
    let health = gate.health().unwrap();
    assert_eq!((health.denied, health.late, health.fd_errors), (3, 0, 0));
}

#[test]
fn a_verdict_for_one_user_leaves_others_alone() {
    let Some(volume) = Volume::tmpfs() else { return };
    fs::set_permissions(volume.0.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let model = volume.file("model.gguf", GGUF);
    let (gate, _notices) = spawn(volume.start());
    gate.set(key(&model), Some(65_534), DENY, None).unwrap();
    gate.health().unwrap();
    let as_nobody = |path: &Path| {
        use std::os::unix::process::CommandExt;
        Command::new("cat").arg(path).uid(65_534).gid(65_534).output().unwrap().status.success()
    };
    assert!(!as_nobody(&model));
    assert_eq!(open(&[&model]), [0]);
    gate.clear().unwrap();
    gate.health().unwrap();
    assert!(as_nobody(&model));
}

#[test]
fn an_unknown_model_is_pending_in_lockdown_until_it_is_judged() {
    let Some(volume) = Volume::tmpfs() else { return };
    let model = volume.file("model.gguf", GGUF);
    let large = volume.file("plain", &vec![b'x'; 1 << 20]);
    let (gate, notices) = spawn(Start { unknown: Unknown::Pending, ..volume.start() });
    let busy = if gate.ready().pre_content { EBUSY } else { EPERM };
    // Nobody waits for a file that is merely large.
    assert_eq!(open(&[&model, &model, &large]), [busy, busy, 0]);
    let asked = question(&notices);
    assert_eq!(
        (asked.key, asked.path.as_path(), asked.allowed, asked.uid),
        (key(&model), model.as_path(), false, Some(0))
    );
    let mut head = [0; 4];
    asked.file.read_exact_at(&mut head, 0).unwrap();
    assert_eq!(&head, b"GGUF");
    assert_eq!(question(&notices).key, key(&large), "the second open of the first is not asked about");
    assert_eq!(gate.health().unwrap().asked, 2);
    gate.set(asked.key, None, Verdict::Allow, None).unwrap();
    gate.health().unwrap();
    let another = volume.file("another.gguf", GGUF);
    assert_eq!(open(&[&model, &another]), [0, busy]);
    gate.unknown(Unknown::Allow).unwrap();
    gate.health().unwrap();
    assert_eq!(open(&[&another]), [0]);
}

#[test]
fn files_of_an_approved_writer_open_while_they_are_not_judged() {
    let Some(volume) = Volume::tmpfs() else { return };
    let model = volume.file("checkpoint.pt", b"PK\x03\x04");
    let (gate, _notices) = spawn(Start { unknown: Unknown::Pending, ..volume.start() });
    let other = volume.file("other.pt", b"PK\x03\x04");
    let program = fs::metadata(PROGRAM).unwrap();
    gate.writers(&[(program.dev(), program.ino())]).unwrap();
    gate.health().unwrap();
    let cat = |path: &Path| Command::new("cat").arg(path).stderr(Stdio::null()).status().unwrap().success();
    assert!(!cat(&model), "nobody wrote it yet");
    // The opener is the approved program.
    assert_eq!(open(&[&model]), [0]);
    assert!(cat(&model) && !cat(&other));
    OpenOptions::new().append(true).open(&model).unwrap().write_all(b"more").unwrap();
    assert!(cat(&model), "whatever its changes");
    gate.set(key(&model), None, DENY, None).unwrap();
    gate.writers(&[]).unwrap();
    gate.health().unwrap();
    assert_eq!(open(&[&model]), [EPERM], "a refusal stands");
    assert_ne!(open(&[&other]), [0], "approved no more");
}

#[test]
fn the_kernel_asks_once_about_other_files_until_they_are_written() {
    let Some(volume) = Volume::tmpfs() else { return };
    let text = volume.file("notes.txt", b"hello");
    let (gate, notices) = spawn(Start { unknown: Unknown::Pending, ..volume.start() });
    assert_eq!(open(&[&text]), [0]);
    let before = gate.health().unwrap();
    assert_eq!((before.ignored, before.asked), (1, 0));
    assert_eq!(open(&vec![&text; 100]), vec![0; 100]);
    assert_eq!(gate.health().unwrap().answered, before.answered);
    // It becomes a model.
    fs::write(&text, GGUF).unwrap();
    assert_ne!(open(&[&text]), [0]);
    assert_eq!(question(&notices).key, key(&text));
}

#[test]
fn a_killed_gate_lets_openers_through() {
    let Some(volume) = Volume::tmpfs() else { return };
    let model = volume.file("model.gguf", GGUF);
    let (gate, _notices) = spawn(volume.start());
    gate.set(key(&model), None, DENY, None).unwrap();
    gate.health().unwrap();
    assert_eq!(open(&[&model]), [EPERM]);
    signal(&gate, "-KILL");
    assert_eq!(open(&[&model]), [0]);
    let end = Instant::now() + Duration::from_secs(5);
    while gate.is_alive() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(!gate.is_alive());
    assert!(gate.health().is_err());
}

#[test]
fn a_stopped_gate_holds_only_models_up_and_ends_well_either_way() {
    let Some(volume) = Volume::tmpfs() else { return };
    let (model, text) = (volume.file("model.gguf", GGUF), volume.file("notes.txt", b"hello"));
    let (gate, _notices) = spawn(volume.start());
    assert_eq!(open(&[&text]), [0]);
    gate.health().unwrap();
    signal(&gate, "-STOP");
    let mut held = opener(&[&model]);
    assert!(!ended(&mut held, Duration::from_millis(300)), "it waits");
    assert_eq!(open(&[&text]), [0], "an ignored file does not");
    assert!(gate.is_alive() && gate.health().is_err(), "it runs but does not answer");
    signal(&gate, "-CONT");
    assert!(ended(&mut held, Duration::from_secs(5)));
    assert_eq!(results(held), [0]);
    signal(&gate, "-STOP");
    let mut held = opener(&[&model]);
    assert!(!ended(&mut held, Duration::from_millis(100)));
    drop(gate);
    assert!(ended(&mut held, Duration::from_secs(5)));
    assert_eq!(results(held), [0]);
}

#[test]
fn when_the_daemon_dies_the_gate_ends_and_files_open() {
    let Some(volume) = Volume::tmpfs() else { return };
    let model = volume.file("model.gguf", GGUF);
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let mut child = Command::new(PROGRAM)
        .arg("__gate")
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let start = serde_json::json!({ "Start": { "version": 1, "start": Start { unknown: Unknown::Pending, ..volume.start() } } });
    let body = serde_json::to_vec(&start).unwrap();
    (&ours).write_all(&u32::try_from(body.len()).unwrap().to_le_bytes()).unwrap();
    (&ours).write_all(&body).unwrap();
    let end = Instant::now() + Duration::from_secs(5);
    while open(&[&model]) == [0] {
        assert!(Instant::now() < end, "it never guarded");
    }
    drop(ours);
    assert!(ended(&mut child, Duration::from_secs(5)));
    assert_eq!(open(&[&model]), [0]);
}

#[test]
fn a_flood_is_answered_in_full_with_few_descriptors_and_a_daemon_that_does_not_listen() {
    let Some(volume) = Volume::tmpfs() else { return };
    let files: Vec<PathBuf> = (0..2_500).map(|i| volume.file(format!("{i}.gguf"), GGUF)).collect();
    let (gate, notices) = spawn(volume.start());
    gate.set(key(&files[7]), None, DENY, None).unwrap();
    gate.health().unwrap();
    let openers: Vec<Child> = (0..4).map(|_| opener(&files)).collect();
    let mut most = 0;
    let mut denied = 0;
    for child in openers {
        most = most.max(gate.health().unwrap().open_fds);
        let results = results(child);
        assert_eq!(results.len(), files.len());
        denied += results.iter().filter(|r| **r != 0).count();
        assert_eq!(results[7], EPERM);
    }
    assert_eq!(denied, 4, "nobody else is refused");
    let health = gate.health().unwrap();
    // Others on the machine may look around here too.
    assert!(health.answered >= 10_000, "{health:?}");
    assert_eq!((health.fd_errors, health.broken), (0, false));
    assert!(most < 1_024, "{most} descriptors");
    assert!(gate.dropped() + health.dropped > 0, "the daemon missed some");
    let mut open = gate.health().unwrap().open_fds;
    drop(notices);
    let end = Instant::now() + Duration::from_secs(5);
    while open > 16 && Instant::now() < end {
        open = gate.health().unwrap().open_fds;
    }
    assert!(open <= 16, "{open} descriptors are left open");
}

#[test]
fn a_model_rewritten_through_a_shared_mapping_is_asked_about_again() {
    let image = tempfile::NamedTempFile::new().unwrap();
    let Some(volume) = Volume::ext4(&image) else { return };
    let model = volume.file("model.gguf", &GGUF.repeat(400));
    let (gate, notices) = spawn(Start { unknown: Unknown::Pending, ..volume.start() });
    gate.set(key(&model), None, Verdict::Allow, None).unwrap();
    gate.health().unwrap();
    assert_eq!(open(&[&model, &model]), [0, 0]);
    assert_eq!(gate.health().unwrap().ignored, 0);
    let script =
        "import mmap,sys\nf=open(sys.argv[1],'r+b')\nm=mmap.mmap(f.fileno(),0)\nm[100:104]=b'evil'\nm.flush()\n";
    let done = Command::new("python3").args(["-c", script]).arg(&model).status();
    if !done.is_ok_and(|s| s.success()) {
        eprintln!("skipped: no python3");
        return;
    }
    assert_ne!(open(&[&model]), [0]);
    assert_eq!(question(&notices).key, key(&model));
}

#[test]
fn names_with_newlines_and_odd_files_do_no_harm() {
    let Some(volume) = Volume::tmpfs() else { return };
    let odd = volume.file(OsStr::from_bytes(b"a\nb\xff\x1b.gguf"), GGUF);
    let (pipe, empty) = (volume.0.path().join("pipe"), volume.file("empty", b""));
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let (gate, notices) = spawn(volume.start());
    let mut reader = opener(&[&pipe]);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(open(&[&odd, &empty]), [0, 0], "a pipe that waits for its writer holds nobody up");
    assert_eq!(question(&notices).path, odd);
    drop(OpenOptions::new().write(true).open(&pipe).unwrap());
    assert!(ended(&mut reader, Duration::from_secs(5)));
    assert_eq!(gate.health().unwrap().late, 0);
}

#[test]
fn two_gates_see_each_other_and_either_refuses() {
    let Some(volume) = Volume::tmpfs() else { return };
    let (one, two) = (volume.file("1.gguf", GGUF), volume.file("2.gguf", GGUF));
    let (first, _first_notices) = spawn(volume.start());
    let (second, _second_notices) = spawn(volume.start());
    let other = format!("gate-bench ({})", first.pid());
    assert!(second.ready().others.contains(&other), "{:?}", second.ready());
    first.set(key(&one), None, DENY, None).unwrap();
    second.set(key(&two), None, DENY, None).unwrap();
    first.health().unwrap();
    second.health().unwrap();
    assert_eq!(open(&[&one, &two]), [EPERM, EPERM]);
    drop(first);
    assert_eq!(open(&[&one, &two]), [0, EPERM]);
}

#[test]
fn exempt_processes_are_not_asked_about() {
    let Some(volume) = Volume::tmpfs() else { return };
    let model = volume.file("model.gguf", GGUF);
    let (gate, _notices) = spawn(volume.start());
    gate.set(key(&model), None, DENY, None).unwrap();
    let script = "read go; cat \"$0\" >/dev/null; echo child $?; exec 3<\"$0\" && echo self 0";
    let mut shell = Command::new("sh")
        .args(["-c", script])
        .arg(&model)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    gate.exempt(&[shell.id()]).unwrap();
    gate.health().unwrap();
    shell.stdin.take().unwrap().write_all(b"go\n").unwrap();
    let out = shell.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&out.stdout), "child 1\nself 0\n", "a child is not its parent");
}

#[test]
fn what_cannot_be_guarded_is_said() {
    let Some(volume) = Volume::tmpfs() else { return };
    let marks = vec!["/proc".into(), "/sys".into(), "/no/such".into(), volume.0.path().to_owned()];
    let gate = Gate::spawn(Path::new(PROGRAM), &["__gate".into()], Start::new(marks)).unwrap();
    let failed: Vec<_> = gate.ready().errors.iter().map(|e| e.path.to_str().unwrap()).collect();
    assert_eq!((gate.ready().marks, failed), (1, vec!["/proc", "/sys", "/no/such"]));
    assert!(Gate::spawn(Path::new("/bin/true"), &[], volume.start()).is_err());
}
