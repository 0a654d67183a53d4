//! The process sensor against real processes.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests fail as tests do")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use weighbridge_runtimes::processes::{
    Evidence, How, Options, ProcessError, Runtime, Sensor, Snapshot, UNKNOWN, Watched, snapshot,
};

/// A child and whatever it started, ended with the test.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        let group = format!("-{}", self.0.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.0.wait();
    }
}

fn start(command: &mut Command) -> Group {
    Group(command.process_group(0).stdin(Stdio::null()).spawn().unwrap())
}

fn options() -> Options {
    Options { budget: Duration::from_secs(60), ..Options::default() }
}

fn program(dir: &Path, name: &str) -> PathBuf {
    let path = dir.join(name);
    fs::copy("/bin/sleep", &path).unwrap();
    path
}

fn gguf(dir: &Path) -> PathBuf {
    let path = dir.join("tiny model.gguf");
    let mut content = b"GGUF\x03\0\0\0".to_vec();
    content.resize(4096, 0);
    fs::write(&path, content).unwrap();
    path
}

fn safetensors(path: &Path) {
    let header = br#"{"a":{"dtype":"F32","shape":[524288],"data_offsets":[0,2097152]}}"#;
    let mut content = u64::try_from(header.len()).unwrap().to_le_bytes().to_vec();
    content.extend(header);
    content.resize(8 + header.len() + (2 << 20), 0);
    fs::write(path, content).unwrap();
}

/// Looks until `found` says so: children need a moment to become what they
/// will be.
fn until<T>(sensor: &mut Sensor, found: impl Fn(&Snapshot) -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        let snapshot = sensor.snapshot().unwrap();
        if let Some(found) = found(&snapshot) {
            return found;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "not seen: {:#?}", snapshot.runtimes);
        thread::sleep(Duration::from_millis(50));
    }
}

fn of(snapshot: &Snapshot, pid: u32) -> Option<Runtime> {
    snapshot.runtimes.iter().find(|r| r.pid == pid).cloned()
}

fn missing(program: &str) -> bool {
    let there = Command::new("sh").args(["-c", &format!("command -v {program}")]).stdout(Stdio::null()).status();
    let missing = !there.is_ok_and(|s| s.success());
    if missing {
        println!("skipped: there is no {program}");
    }
    missing
}

#[test]
fn a_server_that_holds_a_gguf_is_told_with_its_model() {
    if missing("bash") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (server, model) = (program(dir.path(), "llama-server"), gguf(dir.path()));
    let script = r#"exec 3<"$2"; exec -a "my server" "$1" 600"#;
    let child = start(Command::new("bash").args(["-c", script, "x"]).args([&server, &model]));
    let pid = child.0.id();
    let seen = until(&mut Sensor::new(options()), |s| of(s, pid).filter(|r| r.stack == "llamacpp"));
    assert_eq!(seen.evidence, Evidence::Program);
    assert_eq!(seen.exe.as_deref(), Some(server.as_path()));
    assert_eq!(seen.command, "my server 600");
    assert_eq!(seen.uid, fs::metadata(dir.path()).unwrap().uid());
    let now_s = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert!(now_s.abs_diff(seen.started_s) < 120, "{} {now_s}", seen.started_s);
    let [loaded] = &seen.loaded[..] else { panic!("{:?}", seen.loaded) };
    let meta = fs::metadata(&model).unwrap();
    assert_eq!((loaded.dev, loaded.ino, loaded.size_bytes), (Some(meta.dev()), Some(meta.ino()), Some(4096)));
    assert_eq!((loaded.path.as_path(), loaded.how, loaded.deleted), (model.as_path(), How::Descriptor, false));
    assert_eq!(loaded.format.as_deref(), Some("gguf"));
    // The same without a memory of earlier looks.
    assert_eq!(of(&snapshot(&options()).unwrap(), pid).map(|r| r.stack), Some("llamacpp".to_owned()));
}

#[test]
fn a_deleted_model_can_still_be_opened() {
    if missing("bash") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("weights.dat");
    safetensors(&path);
    let content = fs::read(&path).unwrap();
    let child = start(Command::new("bash").args(["-c", r#"exec 5<"$1"; rm "$1"; exec sleep 600"#, "x"]).arg(&path));
    let pid = child.0.id();
    let seen = until(&mut Sensor::new(options()), |s| of(s, pid).filter(|r| r.loaded.iter().any(|l| l.deleted)));
    assert_eq!((seen.stack.as_str(), seen.evidence), (UNKNOWN, Evidence::Model));
    let loaded = &seen.loaded[0];
    assert_eq!(loaded.path, path);
    assert_eq!(loaded.format.as_deref(), Some("safetensors"));
    let open_at = loaded.open_at.clone().unwrap();
    assert_eq!(open_at, Path::new("/proc").join(pid.to_string()).join("fd/5"));
    assert!(fs::read(open_at).unwrap() == content, "the deleted file's own bytes");
}

#[test]
fn maps_and_ports_of_a_script_are_seen_and_told_apart() {
    if missing("python3") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("no-extension");
    safetensors(&path);
    let script = r"
import ctypes, os, socket, sys, time
f = os.open(sys.argv[1], os.O_RDONLY)
# The module mmap would keep a descriptor.
c = ctypes.CDLL(None)
c.mmap.restype = ctypes.c_void_p
c.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + 3 * [ctypes.c_int] + [ctypes.c_long]
assert c.mmap(None, os.fstat(f).st_size, 1, 2, f, 0) not in (None, ctypes.c_void_p(-1).value)
os.close(f)
held = []
for host, family in (('0.0.0.0', socket.AF_INET), ('127.0.0.1', socket.AF_INET), ('::1', socket.AF_INET6)):
    try:
        s = socket.socket(family)
        s.bind((host, 0))
        s.listen()
        held.append(s)
        print(host, s.getsockname()[1])
    except OSError as e:
        print('-', 0)
client = socket.create_connection(held[1].getsockname())
sys.stdout.flush()
time.sleep(600)
";
    let mut child = start(Command::new("python3").args(["-c", script]).arg(&path).stdout(Stdio::piped()));
    let pid = child.0.id();
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    let mut expected = Vec::new();
    for _ in 0..3 {
        let line = lines.next().unwrap().unwrap();
        let (host, port) = line.split_once(' ').unwrap();
        if host != "-" {
            expected.push((host.to_owned(), port.parse::<u16>().unwrap(), host == "0.0.0.0"));
        }
    }
    // Python may have started itself again (shims).
    let seen = until(&mut Sensor::new(options()), |s| {
        let here = |r: &&Runtime| r.pid == pid || r.ancestors.contains(&pid);
        s.runtimes.iter().find(|r| here(r) && r.listens.len() == expected.len()).cloned()
    });
    let mut listens: Vec<_> = seen.listens.iter().map(|l| (l.address.to_string(), l.port, l.exposed)).collect();
    listens.sort();
    expected.sort();
    assert_eq!(listens, expected);
    let netns = fs::read_link("/proc/self/ns/net").unwrap().display().to_string();
    assert!(seen.listens.iter().all(|l| netns == format!("net:[{}]", l.netns)));
    assert_eq!(seen.stack, UNKNOWN);
    let [loaded] = &seen.loaded[..] else { panic!("{:?}", seen.loaded) };
    assert_eq!((loaded.how, loaded.path.as_path()), (How::Map, path.as_path()));
    assert_eq!(loaded.ino, Some(fs::metadata(&path).unwrap().ino()));
}

#[test]
fn a_child_of_ollama_belongs_to_it() {
    if missing("bash") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let ollama = dir.path().join("ollama");
    let bash = Command::new("sh").args(["-c", "readlink -f $(command -v bash)"]).output().unwrap().stdout;
    fs::copy(String::from_utf8(bash).unwrap().trim(), &ollama).unwrap();
    let server = program(dir.path(), "llama-server");
    let script = r#""$1" 600 & wait"#;
    let child = start(Command::new(&ollama).args(["-c", script, "x"]).arg(&server));
    let pid = child.0.id();
    let seen = until(&mut Sensor::new(options()), |s| {
        s.runtimes.iter().find(|r| r.stack == "llamacpp" && r.ancestors.first() == Some(&pid)).cloned()
    });
    let parent = seen.parent.unwrap();
    assert_eq!((parent.stack.as_str(), parent.pid), ("ollama", Some(pid)));
}

#[test]
fn a_model_named_on_the_command_line_is_told_even_when_not_held() {
    if missing("bash") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (server, model) = (dir.path().join("llama-server"), gguf(dir.path()));
    fs::copy("/bin/sh", &server).unwrap();
    // A shell takes what follows its script for parameters.
    let arguments = ["-c", "sleep 600; true", "x", "--model", "tiny model.gguf", "-hf", "org/name"];
    let child = start(Command::new(&server).args(arguments).current_dir(dir.path()));
    let pid = child.0.id();
    let seen = until(&mut Sensor::new(options()), |s| of(s, pid).filter(|r| r.loaded.len() == 2));
    let named = seen.loaded.iter().find(|l| l.path == Path::new("org/name")).unwrap();
    assert_eq!((named.how, named.ino), (How::CommandLine, None));
    let file = seen.loaded.iter().find(|l| l.path == model).unwrap();
    assert_eq!((file.how, file.format.as_deref()), (How::CommandLine, Some("gguf")));
    assert_eq!(file.ino, Some(fs::metadata(&model).unwrap().ino()));
}

#[test]
fn a_process_of_another_user_is_told_with_its_user() {
    if !rustix::process::geteuid().is_root() || missing("setpriv") {
        println!("skipped: only root can become another user");
        return;
    }
    let dir = tempfile::Builder::new().prefix("wb-other").tempdir_in("/tmp").unwrap();
    fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let server = program(dir.path(), "llama-server");
    let child = start(Command::new("setpriv").args(["--reuid=65534", "--clear-groups"]).arg(&server).arg("600"));
    let pid = child.0.id();
    let seen = until(&mut Sensor::new(options()), |s| of(s, pid).filter(|r| r.stack == "llamacpp" && r.uid == 65_534));
    assert_eq!(seen.user.as_deref(), Some("nobody"));
}

#[test]
fn a_hostile_command_line_is_bounded_and_escaped() {
    let dir = tempfile::tempdir().unwrap();
    let server = dir.path().join("llama-server");
    fs::copy("/bin/sh", &server).unwrap();
    let long = "A\n\u{1b}[2J".repeat(20_000);
    let child = start(Command::new(&server).args(["-c", "sleep 600; true", "x\nfake: line", "--model", &long]));
    let pid = child.0.id();
    let seen = until(&mut Sensor::new(options()), |s| of(s, pid).filter(|r| r.stack == "llamacpp"));
    assert!(seen.command.contains(r"x\nfake: line"), "{}", seen.command);
    assert!(!seen.command.contains(char::is_control) && seen.command.len() < 5000);
    assert!(seen.loaded.is_empty(), "a name of 100 KB names nothing");
}

#[test]
fn a_model_opened_later_is_seen_and_one_closed_is_forgotten() {
    if missing("bash") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let model = gguf(dir.path());
    let script = r#"read a <&9; exec 3<"$1"; read a <&9; exec 3<&-; read a <&9"#;
    let pipe = dir.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut command = Command::new("bash");
    command.arg("-c").arg(format!(r#"exec 9<>"$2"; {script}"#)).arg("x").arg(&model).arg(&pipe);
    let child = start(&mut command);
    let pid = child.0.id();
    let mut sensor = Sensor::new(options());
    let mut tell = fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
    sensor.snapshot().unwrap();
    thread::sleep(Duration::from_millis(300));
    assert_eq!(of(&sensor.snapshot().unwrap(), pid), None, "nothing is held yet");
    tell.write_all(b"\n").unwrap();
    until(&mut sensor, |s| of(s, pid));
    tell.write_all(b"\n").unwrap();
    until(&mut sensor, |s| of(s, pid).is_none().then_some(()));
}

#[test]
fn whoever_only_writes_a_model_does_not_run_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("w.gguf");
    let child = start(Command::new("sleep").arg("600").stdout(fs::File::create(&path).unwrap()));
    thread::sleep(Duration::from_millis(200));
    assert_eq!(of(&snapshot(&options()).unwrap(), child.0.id()), None);
}

#[test]
fn fifos_and_devices_under_the_name_of_a_model_do_not_block() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("m.gguf");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let held = fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
    let child = start(Command::new("sleep").arg("600").stdout(held));
    let start = Instant::now();
    assert_eq!(of(&snapshot(&options()).unwrap(), child.0.id()), None);
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn processes_that_vanish_while_looked_at_are_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let server = program(dir.path(), "llama-server");
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let churn = {
        let stop = std::sync::Arc::clone(&stop);
        thread::spawn(move || {
            let mut started = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                Command::new(&server).arg("0").status().unwrap();
                started += 1;
            }
            started
        })
    };
    let mut sensor = Sensor::new(options());
    for _ in 0..200 {
        sensor.snapshot().unwrap();
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(churn.join().unwrap() > 10);
}

#[test]
fn a_stack_on_loopback_is_asked_and_cloud_models_are_flagged() {
    let dir = tempfile::tempdir().unwrap();
    let ollama = dir.path().join("ollama");
    if missing("python3") {
        return;
    }
    let real = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output().unwrap().stdout;
    let real = String::from_utf8(real).unwrap();
    // A script called `ollama` that an interpreter runs is known by that name.
    let script = r#"
import http.server, sys
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def log_message(self, *a): pass
    def do_GET(self):
        body = {'/api/ps': b'{"models":[{"name":"tiny:1b","size":7}]}',
                '/api/tags': b'{"models":[{"name":"tiny:1b"},{"name":"big:cloud","remote_host":"https://x"}]}'}[self.path]
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
s = http.server.ThreadingHTTPServer(('127.0.0.1', 0), H)
s.serve_forever()
"#;
    fs::write(&ollama, script).unwrap();
    let child = start(Command::new(real.trim()).arg(&ollama).arg("serve"));
    let pid = child.0.id();
    let mut sensor = Sensor::new(Options { ask_apis: true, ..options() });
    let seen = until(&mut sensor, |s| of(s, pid).filter(|r| !r.loaded.is_empty()));
    assert_eq!(seen.stack, "ollama");
    assert_eq!((seen.loaded[0].path.as_path(), seen.loaded[0].how), (Path::new("tiny:1b"), How::Api));
    assert_eq!(seen.remote_models, ["big:cloud"]);
    // Not asked, nothing told.
    let quiet = until(&mut Sensor::new(options()), |s| of(s, pid));
    assert!(quiet.loaded.is_empty() && quiet.remote_models.is_empty());
}

#[test]
fn we_ourselves_and_whom_we_skip_are_not_told() {
    let dir = tempfile::tempdir().unwrap();
    let _held = fs::File::open(gguf(dir.path())).unwrap();
    let server = program(dir.path(), "llama-server");
    let child = start(Command::new(&server).arg("600"));
    let pid = child.0.id();
    let skip = Options { skip: vec![pid], ..options() };
    until(&mut Sensor::new(options()), |s| of(s, pid));
    let seen = snapshot(&skip).unwrap();
    assert!(of(&seen, pid).is_none() && of(&seen, std::process::id()).is_none());
}

#[test]
fn a_file_system_that_never_answers_does_not_hang_us() {
    if !rustix::process::geteuid().is_root() || !Path::new("/dev/fuse").exists() || missing("python3") {
        println!("skipped: needs root, /dev/fuse and python3");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = dir.path().join("llama-server");
    fs::copy("/bin/sh", &server).unwrap();
    let mountpoint = dir.path().join("mnt");
    fs::create_dir(&mountpoint).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/fuse.py");
    let mut child = start(Command::new("python3").arg(script).arg(&mountpoint).arg(&server).stdout(Stdio::piped()));
    let Some(Ok(holder)) = BufReader::new(child.0.stdout.take().unwrap()).lines().next() else {
        println!("skipped: this machine mounts no FUSE");
        return;
    };
    let holder: u32 = holder.parse().unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    // If it hangs, the thread is lost and the test fails all the same.
    thread::spawn(move || {
        let seen = until(&mut Sensor::new(options()), |s| of(s, holder).filter(|r| r.stack == "llamacpp"));
        let _ = tell.send(seen);
    });
    let seen = told.recv_timeout(Duration::from_secs(20)).expect("the sensor waits for a file system");
    let path = mountpoint.join("w.gguf");
    let held = seen.loaded.iter().find(|l| l.how == How::Descriptor).unwrap();
    assert_eq!((held.path.as_path(), held.ino, held.format.as_deref()), (path.as_path(), None, Some("gguf")));
    assert!(seen.loaded.iter().any(|l| l.how == How::CommandLine && l.path == path));
}

#[test]
fn a_process_that_blocks_its_readers_is_left_out() {
    if !rustix::process::geteuid().is_root() || !Path::new("/dev/fuse").exists() || missing("python3") {
        println!("skipped: needs root, /dev/fuse and python3");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (server, mountpoint) = (program(dir.path(), "llama-server"), dir.path().join("mnt"));
    fs::create_dir(&mountpoint).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/fuse.py");
    let mut command = Command::new("python3");
    command.arg(script).arg(&mountpoint).arg(&server).arg("stuck").stdout(Stdio::piped());
    let other = start(Command::new(&server).arg("600"));
    let mut child = start(&mut command);
    let Some(Ok(holder)) = BufReader::new(child.0.stdout.take().unwrap()).lines().next() else {
        println!("skipped: this machine mounts no FUSE");
        return;
    };
    let holder: u32 = holder.parse().unwrap();
    thread::sleep(Duration::from_millis(500));
    let mut watched = Watched::new(options());
    let first = watched.snapshot(Duration::from_secs(3));
    if let Err(error) = &first {
        assert!(matches!(error, ProcessError::Stuck { pid } if *pid == holder), "{error}");
        // The others are still seen.
        let second = watched.snapshot(Duration::from_secs(3)).unwrap();
        assert_eq!(second.stuck, [holder]);
        assert!(of(&second, other.0.id()).is_some());
        // And whoever is let go of is looked at again.
        drop(child);
        let ended = (0..100).any(|_| {
            thread::sleep(Duration::from_millis(50));
            watched.snapshot(Duration::from_secs(3)).is_ok_and(|s| s.stuck.is_empty())
        });
        assert!(ended);
    } else {
        println!("skipped: this kernel does not let a process block its readers");
    }
}

/// What an idle snapshot costs; run with `--ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn idle_cost_with_300_processes() {
    let _children: Vec<Group> = (0..300).map(|_| start(Command::new("sleep").arg("600"))).collect();
    let mut sensor = Sensor::new(options());
    let first = Instant::now();
    let seen = sensor.snapshot().unwrap();
    println!("first: {:?} for {} processes", first.elapsed(), seen.processes);
    let (rounds, every_s) = (60_u32, 5.0);
    let mut spent = Duration::ZERO;
    for _ in 0..rounds {
        thread::sleep(Duration::from_millis(200));
        let before = cpu();
        sensor.snapshot().unwrap();
        spent += cpu() - before;
    }
    let each = spent / rounds;
    println!(
        "idle: {each:?} of processor time each; every {every_s} s: {:.3} % of a core",
        each.as_secs_f64() / every_s * 100.0
    );
}

/// Processor time of this thread (`/proc/thread-self/schedstat`).
fn cpu() -> Duration {
    let mut text = String::new();
    fs::File::open("/proc/thread-self/schedstat").unwrap().read_to_string(&mut text).unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}
