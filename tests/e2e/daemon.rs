//! The daemon on a file system of its own, as its users meet it.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use weighbridge_tests::{root, text, weighbridge};

const POISON: &[u8] = b"cposix\nsystem\n(S'true # weighbridge-marker'\ntR.";

/// A private tmpfs with a daemon that watches it.
struct Machine {
    dir: tempfile::TempDir,
    daemon: Option<Child>,
    gate: bool,
}

impl Machine {
    /// None, with the reason printed, where tmpfs cannot be mounted.
    fn new(gate: bool) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("home");
        fs::create_dir(&home).unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=512m", "none"]).arg(&home).output();
        if !mounted.is_ok_and(|o| o.status.success()) {
            println!("skipped: a file system of our own cannot be mounted; run as root");
            return None;
        }
        let machine = Self { dir, daemon: None, gate };
        let policy = machine.at("policy");
        let made = Command::new(weighbridge()).args(["policy", "init"]).arg(&policy).output().unwrap();
        assert!(made.status.success());
        machine.configure("");
        Some(machine)
    }

    fn configure(&self, more: &str) {
        let gate = if self.gate { "[gate]\nenabled = true\nmarks = [\"home\"]\n" } else { "" };
        let text = format!(
            "state = \"state\"\nsocket = \"control.sock\"\n\
             [policy]\ndirectory = \"policy\"\ncheck_seconds = 1\n\
             [files]\nroots = [\"home\"]\nstores = false\n\
             [runtimes]\nseconds = 1\nask = false\n{gate}{more}"
        );
        fs::write(self.at("w.toml"), text).unwrap();
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn home(&self, name: &str) -> PathBuf {
        self.at("home").join(name)
    }

    fn start(&mut self) {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.at("log")).unwrap();
        let daemon = Command::new(weighbridge())
            .args(["daemon", "--config"])
            .arg(self.at("w.toml"))
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        self.daemon = Some(daemon);
        self.until("the daemon answers", || self.try_ask(&["status"]).is_some());
        self.until("the first sweep is done", || self.said("swept"));
    }

    /// Whether an event says `words`.
    fn said(&self, words: &str) -> bool {
        let status = self.try_ask(&["status", "--events", "1000"]);
        status.is_some_and(|s| s["events"].as_array().unwrap().iter().any(|e| text(e, "/body/text").contains(words)))
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(weighbridge()).args(arguments).env("WEIGHBRIDGE_SOCKET", self.at("control.sock")).output().unwrap()
    }

    fn ok(&self, arguments: &[&str]) {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Signs the policy as it is and publishes it in `tuf`.
    fn publish(&self, bundle: &str) {
        let at = |name: &str| self.at(name).display().to_string();
        self.ok(&["policy", "bundle", &at("policy"), "--out", &at(bundle)]);
        self.ok(&["policy", "publish", &at(bundle), "--keys", &at("keys"), "--repository", &at("tuf")]);
    }

    fn try_ask(&self, arguments: &[&str]) -> Option<Value> {
        let output = self.run(&[arguments, &["--format", "json"]].concat());
        serde_json::from_slice(&output.stdout).ok()
    }

    fn ask(&self, arguments: &[&str]) -> Value {
        self.try_ask(arguments).unwrap_or_else(|| panic!("{arguments:?}: {}", self.log()))
    }

    fn log(&self) -> String {
        fs::read_to_string(self.at("log")).unwrap_or_default()
    }

    /// What happened last.
    fn story(&self) -> String {
        let output = self.run(&["status", "--events", "20"]);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn until(&self, what: &str, done: impl Fn() -> bool) {
        let started = Instant::now();
        while !done() {
            assert!(started.elapsed() < Duration::from_secs(30), "{what}: not in time\n{}{}", self.log(), self.story());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Files the daemon knows.
    fn known(&self) -> Vec<String> {
        let models = self.ask(&["models"]);
        models["files"].as_array().unwrap().iter().map(|f| text(f, "/path").to_owned()).collect()
    }

    fn kill(&mut self) {
        let mut daemon = self.daemon.take().unwrap();
        daemon.kill().unwrap();
        daemon.wait().unwrap();
    }

    fn end(&mut self) {
        let Some(mut daemon) = self.daemon.take() else { return };
        let _ = Command::new("kill").arg(daemon.id().to_string()).status();
        let started = Instant::now();
        while daemon.try_wait().unwrap().is_none() && started.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = daemon.kill();
        let _ = daemon.wait();
    }

    /// Processes that the daemon started and that run `argument`.
    fn children(&self, argument: &str) -> Vec<u32> {
        let daemon = self.daemon.as_ref().unwrap().id();
        let children = fs::read_to_string(format!("/proc/{daemon}/task/{daemon}/children")).unwrap_or_default();
        let mut all: Vec<u32> = children.split_whitespace().map(|p| p.parse().unwrap()).collect();
        for task in fs::read_dir(format!("/proc/{daemon}/task")).into_iter().flatten().flatten() {
            let text = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            all.extend(text.split_whitespace().filter_map(|p| p.parse::<u32>().ok()));
        }
        all.sort_unstable();
        all.dedup();
        let runs = |pid: &u32| {
            fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|c| String::from_utf8_lossy(&c).contains(argument))
        };
        all.into_iter().filter(runs).collect()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.end();
        let _ = Command::new("umount").args(["--lazy"]).arg(self.at("home")).status();
    }
}

fn weights() -> PathBuf {
    root().join("tests/corpus/benign/hf-repo/chatml/model.safetensors")
}

#[test]
fn models_are_found_decided_and_explained() {
    let Some(mut machine) = Machine::new(false) else { return };
    fs::copy(weights(), machine.home("old.safetensors")).unwrap();
    fs::write(machine.home("notes.txt"), "no model").unwrap();
    machine.start();
    let old = machine.home("old.safetensors").display().to_string();
    assert_eq!(machine.known(), std::slice::from_ref(&old));
    // What comes later is found by events, in folders that come later, too.
    fs::create_dir(machine.home("new")).unwrap();
    let newer = machine.home("new/newer.safetensors");
    fs::copy(weights(), &newer).unwrap();
    machine.until("the new file is known", || machine.known().len() == 2);
    fs::remove_file(&newer).unwrap();
    machine.until("the new file is gone", || machine.known() == [old.clone()]);

    let why = machine.ask(&["why", &old]);
    assert_eq!(text(&why, "/explanation/decision/effect"), "deny");
    assert_eq!(text(&why, "/explanation/decision/policies/0"), "approve-unknown-publishers");
    assert_eq!(why["ask"], serde_json::json!(["ai-governance@example.com"]));
    let shown = String::from_utf8_lossy(&machine.run(&["why", &old]).stdout).into_owned();
    assert!(shown.contains("deny: load of") && shown.contains("Nobody answers for a model"), "{shown}");
    assert_eq!(machine.run(&["why", &old]).status.code(), Some(1));

    let asked = machine.ask(&["request", &old, "--reason", "for the demo"]);
    assert_eq!(machine.ask(&["why", &old])["requests"][0]["reason"], "for the demo");
    let digest = text(&asked, "/sha256");
    // Granted in the policy repository, it holds within a second.
    let approval = format!("- for: {{ models: [\"sha256:{digest}\"] }}\n  approver: a\n  reason: r\n");
    fs::write(machine.at("policy/data/approvals.yaml"), approval).unwrap();
    machine.until("the approval holds", || machine.run(&["why", &old]).status.code() == Some(0));
    // A broken policy changes nothing and is told.
    fs::write(machine.at("policy/policies/broken.cedar"), "forbid (").unwrap();
    machine.until("the broken policy is told", || !machine.ask(&["status"])["status"]["policy"]["problem"].is_null());
    assert_eq!(machine.run(&["why", &old]).status.code(), Some(0));
    let verified = machine.ask(&["audit", "verify"]);
    assert_eq!(verified["whole"], true, "{verified}");
}

#[test]
fn a_poisoned_file_is_in_quarantine_at_once_and_comes_back_as_it_was() {
    let Some(mut machine) = Machine::new(false) else { return };
    machine.start();
    fs::create_dir(machine.home("Downloads")).unwrap();
    let path = machine.home("Downloads").join(OsStr::from_bytes(b"bad\n\xff.pkl"));
    let staged = machine.at("staged");
    fs::write(&staged, POISON).unwrap();
    fs::copy(&staged, &path).unwrap();
    let dropped = Instant::now();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::chown(&path, Some(65_534), Some(65_534)).unwrap();
    let touched = Command::new("touch").args(["-d", "2020-02-03 04:05:06.123456789"]).arg(&path).status().unwrap();
    assert!(touched.success());
    let before = fs::metadata(&path).unwrap();
    while path.exists() {
        assert!(dropped.elapsed() < Duration::from_secs(10), "{}", machine.log());
        std::thread::sleep(Duration::from_millis(10));
    }
    println!("in quarantine after {} ms", dropped.elapsed().as_millis());
    machine.until("it is listed", || !machine.ask(&["quarantine", "list"]).as_array().unwrap().is_empty());
    let listed = machine.ask(&["quarantine", "list"]);
    let id = text(&listed[0], "/id").to_owned();
    let restored = machine.run(&["quarantine", "restore", &id]);
    assert_eq!(restored.status.code(), Some(0), "{}", String::from_utf8_lossy(&restored.stderr));
    let after = fs::metadata(&path).unwrap();
    assert_eq!(fs::read(&path).unwrap(), POISON);
    assert_eq!((after.uid(), after.gid(), after.mode()), (before.uid(), before.gid(), before.mode()));
    assert_eq!((after.mtime(), after.mtime_nsec()), (before.mtime(), before.mtime_nsec()));
    // Brought back by an administrator, it stays.
    std::thread::sleep(Duration::from_secs(2));
    assert!(path.exists(), "{}", machine.log());
    assert!(machine.said("is in quarantine as"));
}

#[test]
fn a_denied_model_cannot_be_opened_and_everything_else_can() {
    let Some(mut machine) = Machine::new(true) else { return };
    // Unsigned code: may be kept, not loaded.
    let denied = machine.home("checkpoint.pkl");
    fs::copy(root().join("examples/models/checkpoint.pkl"), &denied).unwrap();
    fs::write(machine.home("notes.txt"), "text").unwrap();
    let approved = machine.home("weights.safetensors");
    fs::copy(weights(), &approved).unwrap();
    let digest = "089df4e18929e6d9fd2d53dc5231502686b019027ecde108df2b09e4e64e83cc";
    let approval = format!("- for: {{ models: [\"sha256:{digest}\"] }}\n  approver: a\n  reason: r\n");
    fs::write(machine.at("policy/data/approvals.yaml"), approval).unwrap();
    machine.start();
    let cat = |path: &Path| Command::new("cat").arg(path).output().unwrap();
    let refused = cat(&denied);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("Operation not permitted"), "{refused:?}");
    for path in [&approved, &machine.home("notes.txt")] {
        assert!(cat(path).status.success(), "{}", path.display());
    }
    // By whatever way the file is reached.
    let (bound, over) = (machine.at("bound"), machine.at("over"));
    for folder in [&bound, &over, &machine.home("up"), &machine.home("work")] {
        fs::create_dir(folder).unwrap();
    }
    let mount = |arguments: &[&OsStr]| Command::new("mount").args(arguments).status().is_ok_and(|s| s.success());
    let layers = format!("lowerdir={home},upperdir={home}/up,workdir={home}/work", home = machine.at("home").display());
    let unmount = |at: &Path| Command::new("umount").arg("--lazy").arg(at).status();
    if mount(&["--bind".as_ref(), machine.at("home").as_ref(), bound.as_ref()]) {
        assert!(!cat(&bound.join("checkpoint.pkl")).status.success(), "through a bind mount");
        unmount(&bound).unwrap();
    }
    if mount(&["-t".as_ref(), "overlay".as_ref(), "-o".as_ref(), layers.as_ref(), "none".as_ref(), over.as_ref()]) {
        assert!(!cat(&over.join("checkpoint.pkl")).status.success(), "through an overlay");
        unmount(&over).unwrap();
    }
    fs::hard_link(&denied, machine.home("another.name")).unwrap();
    // A new name changes the file's marks: it is asked about anew.
    machine.until("another name is denied", || !cat(&machine.home("another.name")).status.success());
    machine.until("the denial is told", || machine.said("was kept from opening"));
    assert_eq!(machine.run(&["why", denied.to_str().unwrap()]).status.code(), Some(1));
    // Without its gate the machine goes on, and the gate comes back.
    let gates = machine.children("__gate");
    assert_eq!(gates.len(), 1);
    assert!(Command::new("kill").args(["-9", &gates[0].to_string()]).status().unwrap().success());
    machine.until("opens go through", || cat(&denied).status.success());
    machine.until("the gate is back", || !cat(&denied).status.success());
    // Without the daemon, too.
    machine.kill();
    machine.until("opens go through", || cat(&denied).status.success());
    machine.start();
    assert!(!cat(&denied).status.success());
    assert!(machine.said("the last run did not end in order"));
    assert_eq!(machine.ask(&["audit", "verify"])["whole"], true);
}

#[test]
fn without_policies_nothing_is_enforced() {
    let Some(mut machine) = Machine::new(true) else { return };
    fs::remove_dir_all(machine.at("policy/policies")).unwrap();
    fs::create_dir(machine.at("policy/policies")).unwrap();
    for name in ["approvals", "exceptions", "publishers", "providers"] {
        let _ = fs::remove_file(machine.at(&format!("policy/data/{name}.yaml")));
    }
    fs::write(machine.at("policy/fleet/teams.yaml"), "default: { mode: lockdown }\n").unwrap();
    let bad = machine.home("bad.pkl");
    fs::write(&bad, POISON).unwrap();
    machine.start();
    assert_eq!(text(&machine.ask(&["status"]), "/status/mode"), "observe");
    machine.until("it is known", || !machine.known().is_empty());
    assert_eq!(fs::read(&bad).unwrap(), POISON);
}

#[test]
fn odd_files_cost_nothing() {
    let Some(mut machine) = Machine::new(true) else { return };
    let home = machine.at("home");
    assert!(Command::new("mkfifo").arg(home.join("model.gguf")).status().unwrap().success());
    std::os::unix::fs::symlink("loop", home.join("loop")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", home.join("zero.safetensors")).unwrap();
    let sparse = fs::File::create(home.join("sparse.bin")).unwrap();
    sparse.set_len(100 << 30).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(home.join("model.pt")).unwrap();
    machine.start();
    for n in 0..2000 {
        fs::write(home.join(format!("f{n}")), b"GGUF").unwrap();
    }
    for n in 0..2000 {
        fs::remove_file(home.join(format!("f{n}"))).unwrap();
    }
    let last = home.join("last.safetensors");
    fs::copy(weights(), &last).unwrap();
    machine.until("the last file is known", || machine.known().contains(&last.display().to_string()));
    machine.until("nothing that is gone is known", || machine.known().iter().all(|p| Path::new(p).exists()));
}

#[test]
fn file_systems_come_and_go() {
    let Some(mut machine) = Machine::new(true) else { return };
    machine.start();
    for round in 0..40 {
        let at = machine.home(&format!("m{}", round % 4));
        let _ = fs::create_dir(&at);
        assert!(Command::new("mount").args(["-t", "tmpfs", "none"]).arg(&at).status().unwrap().success());
        fs::write(at.join("w.gguf"), b"GGUF").unwrap();
        assert!(Command::new("umount").arg(&at).status().unwrap().success(), "nothing holds it");
    }
    let last = machine.home("last.safetensors");
    fs::copy(weights(), &last).unwrap();
    machine.until("the last file is known", || machine.known().contains(&last.display().to_string()));
}

#[test]
fn others_hear_only_of_what_is_theirs() {
    let Some(mut machine) = Machine::new(false) else { return };
    let private = machine.home("private.safetensors");
    fs::copy(weights(), &private).unwrap();
    fs::set_permissions(&private, fs::Permissions::from_mode(0o600)).unwrap();
    machine.start();
    // A copy that everyone may run: the build lies in a private folder.
    let program = machine.at("weighbridge");
    fs::copy(weighbridge(), &program).unwrap();
    let nobody = |arguments: &[&str]| {
        Command::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(&program)
            .args(arguments)
            .env("WEIGHBRIDGE_SOCKET", machine.at("control.sock"))
            .output()
            .unwrap()
    };
    let mut holder = Command::new("sleep").arg("60").stdin(fs::File::open(&private).unwrap()).spawn().unwrap();
    let held = |status: &Value| status["runtimes"]["processes"]["runtimes"].to_string().contains("private.safetensors");
    machine.until("root hears of the process", || held(&machine.ask(&["status"])));
    let status = nobody(&["status", "--format", "json"]);
    assert_eq!(status.status.code(), Some(0));
    assert!(!held(&serde_json::from_slice(&status.stdout).unwrap()));
    holder.kill().unwrap();
    holder.wait().unwrap();
    let models = nobody(&["models", "--format", "json"]);
    let models: Value = serde_json::from_slice(&models.stdout).unwrap();
    assert_eq!(models["files"], serde_json::json!([]));
    for refused in [&["why", private.to_str().unwrap()][..], &["quarantine", "list"], &["audit", "verify"]] {
        assert_eq!(nobody(refused).status.code(), Some(2), "{refused:?}");
    }
    // Readable, in a folder that is not to be entered.
    fs::set_permissions(&private, fs::Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(machine.at("home"), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(nobody(&["why", private.to_str().unwrap()]).status.code(), Some(2));
    fs::set_permissions(machine.at("home"), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(nobody(&["why", private.to_str().unwrap()]).status.code(), Some(1));
}

#[test]
fn a_signed_policy_is_fetched_and_an_expired_one_changes_nothing() {
    let Some(mut machine) = Machine::new(false) else { return };
    machine.ok(&["policy", "keys", "init", &machine.at("keys").display().to_string()]);
    machine.publish("b1");
    let text = fs::read_to_string(machine.at("w.toml")).unwrap();
    let text = format!("team = \"ops\"\n{text}")
        .replace("directory = \"policy\"", "repository = \"tuf\"\nroot = \"keys/root/1.root.json\"");
    fs::write(machine.at("w.toml"), text).unwrap();
    fs::copy(weights(), machine.home("m.safetensors")).unwrap();
    machine.start();
    let revision = || machine.ask(&["status"])["status"]["policy"]["revision"].as_str().unwrap().to_owned();
    assert_eq!(revision(), "bundle 1");
    let teams = machine.at("policy/fleet/teams.yaml");
    let more = fs::read_to_string(&teams).unwrap() + "  ops: { mode: lockdown }\n";
    fs::write(&teams, more).unwrap();
    machine.publish("b2");
    machine.until("the new bundle is in force", || revision() == "bundle 2");
    assert_eq!(text_of_mode(&machine), "lockdown");
    // Somebody alters the repository: what was verified last stays in force.
    for file in walk(&machine.at("tuf/targets")) {
        fs::write(file, "{}").unwrap();
    }
    fs::write(machine.at("tuf/metadata/timestamp.json"), "{}").unwrap();
    machine.until("it is told", || !machine.ask(&["status"])["status"]["policy"]["problem"].is_null());
    assert_eq!((revision().as_str(), text_of_mode(&machine).as_str()), ("bundle 2", "lockdown"));
}

fn text_of_mode(machine: &Machine) -> String {
    text(&machine.ask(&["status"]), "/status/mode").to_owned()
}

/// Files below `folder`.
fn walk(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path());
    entries.flat_map(|p| if p.is_dir() { walk(&p) } else { vec![p] }).collect()
}

/// Sends `bytes` of a safetensors file slowly.
const SERVER: &str = r#"
import http.server, json, struct, sys, time
header = json.dumps({"w": {"dtype": "U8", "shape": [1 << 30], "data_offsets": [0, 1 << 30]}}).encode()
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def head(self):
        self.send_header("Content-Length", str(8 + len(header) + (1 << 30)))
        self.send_header("ETag", '"%s"' % ("e" * 64))
        self.send_header("X-Repo-Commit", "c" * 40)
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
    def do_HEAD(self):
        self.send_response(200)
        self.head()
    def do_GET(self):
        self.send_response(200)
        self.head()
        self.wfile.write(struct.pack("<Q", len(header)) + header)
        try:
            for _ in range(1024):
                self.wfile.write(bytes(1 << 20))
                time.sleep(0.02)
        except OSError:
            pass
    def log_message(self, *a): pass
s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), H)
print(s.server_port, flush=True)
s.serve_forever()
"#;

/// A server of slow models, and its port.
fn serve() -> (Child, String) {
    let mut server = Command::new("python3").args(["-c", SERVER]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(server.stdout.take().unwrap()), &mut line).unwrap();
    (server, line.trim().to_owned())
}

/// The hub's own client, which `cargo xtask test` installs.
#[test]
fn the_client_of_a_hub_is_known_by_its_store() {
    let profile = weighbridge_tests::target_profile();
    let python = profile.parent().unwrap().join("venvs/hubs/bin/python");
    if !python.exists() {
        return println!("skipped: huggingface_hub is not in {}; `cargo xtask test` installs it", python.display());
    }
    let Some(mut machine) = Machine::new(false) else { return };
    machine.start();
    let (mut server, port) = serve();
    let script = "from huggingface_hub import hf_hub_download as d; d('some-org/some-name', 'model.safetensors')";
    let mut client = Command::new(python)
        .args(["-c", script])
        .env("HF_ENDPOINT", format!("http://127.0.0.1:{port}"))
        .env("HF_HOME", machine.home("hf"))
        .env("HF_HUB_DISABLE_XET", "1")
        .env("HF_HUB_DISABLE_TELEMETRY", "1")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let of = |d: &&Value| text(d, "/evidence/0/value").contains("some-org/some-name") && d["format"] == "safetensors";
    let shows = || machine.ask(&["status"])["downloads"]["running"].as_array().unwrap().iter().any(|d| of(&d));
    machine.until("the repository shows", shows);
    client.kill().unwrap();
    client.wait().unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
}

#[test]
fn a_download_shows_while_it_runs() {
    let Some(mut machine) = Machine::new(false) else { return };
    if Command::new("curl").arg("--version").output().is_err() {
        return println!("skipped: curl is not installed");
    }
    machine.start();
    let (mut server, port) = serve();
    let file = machine.home("model.safetensors");
    let url = format!("http://127.0.0.1:{port}/org/name/resolve/main/model.safetensors");
    let mut curl = Command::new("curl").args(["--silent", "--output"]).arg(&file).arg(url).spawn().unwrap();
    let shows = || {
        let status = machine.ask(&["status"]);
        let running = status["downloads"]["running"].as_array().unwrap().clone();
        running.into_iter().find(|d| d["pid"] == curl.id())
    };
    machine.until("the download shows", || shows().is_some_and(|d| d["file"].is_string() && d["format"].is_string()));
    let download = shows().unwrap();
    assert_eq!((text(&download, "/file"), text(&download, "/format")), (file.to_str().unwrap(), "safetensors"));
    assert!(download["bytes_received"].as_u64().unwrap() < 1 << 30, "it is not finished");
    curl.kill().unwrap();
    curl.wait().unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    machine.until("its end is told", || machine.said("a download ended"));
}

#[test]
fn a_daemon_that_is_killed_at_any_moment_goes_on() {
    let Some(mut machine) = Machine::new(false) else { return };
    for round in 0..8_u64 {
        machine.start();
        for n in 0..6 {
            let mut file = fs::File::create(machine.home(&format!("{round}-{n}.pkl"))).unwrap();
            file.write_all(POISON).unwrap();
        }
        std::thread::sleep(Duration::from_millis(40 * round));
        machine.kill();
    }
    machine.start();
    machine.until("nothing is left", || fs::read_dir(machine.at("home")).unwrap().next().is_none());
    assert_eq!(machine.ask(&["quarantine", "list"]).as_array().unwrap().len(), 48, "each once");
    assert_eq!(machine.ask(&["audit", "verify"])["whole"], true);
}
