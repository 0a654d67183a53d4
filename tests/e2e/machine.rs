//! A file system of its own with a daemon that watches it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use weighbridge_tests::{root, text, weighbridge};

pub const POISON: &[u8] = b"cposix\nsystem\n(S'true # weighbridge-marker'\ntR.";

/// A private tmpfs with a daemon that watches it.
pub struct Machine {
    dir: tempfile::TempDir,
    pub daemon: Option<Child>,
    gate: bool,
    /// How long to wait for what must come.
    pub patience: Duration,
}

impl Machine {
    /// None, with the reason printed, where tmpfs cannot be mounted.
    pub fn new(gate: bool) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("home");
        fs::create_dir(&home).unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=512m", "none"]).arg(&home).output();
        if !mounted.is_ok_and(|o| o.status.success()) {
            println!("skipped: a file system of our own cannot be mounted; run as root");
            return None;
        }
        let machine = Self { dir, daemon: None, gate, patience: Duration::from_secs(30) };
        let policy = machine.at("policy");
        let made = Command::new(weighbridge()).args(["policy", "init"]).arg(&policy).output().unwrap();
        assert!(made.status.success());
        machine.configure("");
        Some(machine)
    }

    pub fn configure(&self, more: &str) {
        let gate = if self.gate { "[gate]\nenabled = true\nmarks = [\"home\"]\n" } else { "" };
        let text = format!(
            "state = \"state\"\nsocket = \"control.sock\"\n\
             [policy]\ndirectory = \"policy\"\ncheck_seconds = 1\n\
             [files]\nroots = [\"home\"]\nstores = false\n\
             [runtimes]\nseconds = 1\nask = false\n{gate}{more}"
        );
        fs::write(self.at("w.toml"), text).unwrap();
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn home(&self, name: &str) -> PathBuf {
        self.at("home").join(name)
    }

    pub fn start(&mut self) {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.at("log")).unwrap();
        self.start_with(Stdio::from(log.try_clone().unwrap()), Stdio::from(log));
    }

    pub fn start_with(&mut self, out: Stdio, error: Stdio) {
        let daemon = Command::new(weighbridge())
            .args(["daemon", "--config"])
            .arg(self.at("w.toml"))
            .stdout(out)
            .stderr(error)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        self.daemon = Some(daemon);
        self.until("the daemon answers", || self.try_ask(&["status"]).is_some());
        self.until("the first sweep is done", || self.said("swept"));
    }

    /// Whether an event says `words`.
    pub fn said(&self, words: &str) -> bool {
        let status = self.try_ask(&["status", "--events", "1000"]);
        status.is_some_and(|s| s["events"].as_array().unwrap().iter().any(|e| text(e, "/body/text").contains(words)))
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        Command::new(weighbridge()).args(arguments).env("WEIGHBRIDGE_SOCKET", self.at("control.sock")).output().unwrap()
    }

    pub fn ok(&self, arguments: &[&str]) {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Signs the policy as it is and publishes it in `tuf`.
    pub fn publish(&self, bundle: &str) {
        let at = |name: &str| self.at(name).display().to_string();
        self.ok(&["policy", "bundle", &at("policy"), "--out", &at(bundle)]);
        self.ok(&["policy", "publish", &at(bundle), "--keys", &at("keys"), "--repository", &at("tuf")]);
    }

    pub fn try_ask(&self, arguments: &[&str]) -> Option<Value> {
        let output = self.run(&[arguments, &["--format", "json"]].concat());
        serde_json::from_slice(&output.stdout).ok()
    }

    pub fn ask(&self, arguments: &[&str]) -> Value {
        self.try_ask(arguments).unwrap_or_else(|| panic!("{arguments:?}: {}", self.log()))
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.at("log")).unwrap_or_default()
    }

    /// What happened last.
    pub fn story(&self) -> String {
        let output = self.run(&["status", "--events", "20"]);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub fn until(&self, what: &str, done: impl Fn() -> bool) {
        let started = Instant::now();
        while !done() {
            assert!(started.elapsed() < self.patience, "{what}: not in time\n{}{}", self.log(), self.story());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Files the daemon knows.
    pub fn known(&self) -> Vec<String> {
        let models = self.ask(&["models"]);
        models["files"].as_array().unwrap().iter().map(|f| text(f, "/path").to_owned()).collect()
    }

    pub fn kill(&mut self) {
        let mut daemon = self.daemon.take().unwrap();
        daemon.kill().unwrap();
        daemon.wait().unwrap();
    }

    pub fn end(&mut self) {
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
    pub fn children(&self, argument: &str) -> Vec<u32> {
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

/// A small real model.
pub fn weights() -> PathBuf {
    root().join("tests/corpus/benign/hf-repo/chatml/model.safetensors")
}
