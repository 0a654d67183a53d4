//! `policy keys`, `publish`, `renew` and `fetch`: a fleet, its console, an
//! endpoint, and someone in between.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use weighbridge_distribution::Store;
use weighbridge_distribution::keys::KeyFolder;
use weighbridge_tests::{root, run, target_profile, text, weighbridge};

struct Fleet {
    dir: tempfile::TempDir,
}

impl Fleet {
    fn new() -> Self {
        let fleet = Self { dir: tempfile::tempdir().unwrap() };
        fleet.bundle("version 1");
        fleet.ok(&["keys", "init", &fleet.at("keys")]);
        fleet
    }

    fn at(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    fn bundle(&self, text: &str) {
        fs::create_dir_all(self.at("bundle/rules")).unwrap();
        fs::write(self.at("bundle/policy.toml"), text).unwrap();
        fs::write(self.at("bundle/rules/deny.toml"), "deny").unwrap();
    }

    fn policy(&self, arguments: &[&str]) -> Output {
        run(&[&["policy"], arguments].concat())
    }

    /// Standard output of a command that succeeds.
    #[track_caller]
    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.policy(arguments);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Standard error of a command that could not do its work.
    #[track_caller]
    fn fails(&self, arguments: &[&str], word: &str) {
        let output = self.policy(arguments);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(word), "`{word}` is not in {stderr}");
    }

    fn publish(&self) -> String {
        self.ok(&["publish", &self.at("bundle"), "--keys", &self.at("keys"), "--repository", &self.at("repository")])
    }

    fn fetch_arguments(&self) -> [String; 7] {
        let (repository, root, state) = (self.at("repository"), self.at("keys/root/1.root.json"), self.at("state"));
        ["fetch".into(), "--repository".into(), repository, "--root".into(), root, "--state".into(), state]
    }

    /// Exit code and report of `fetch`.
    fn fetch(&self) -> (Option<i32>, Value) {
        let arguments = self.fetch_arguments();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).chain(["--format", "json"]).collect();
        let output = self.policy(&arguments);
        let report = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|e| panic!("no JSON ({e}): {}", String::from_utf8_lossy(&output.stderr)));
        (output.status.code(), report)
    }

    #[track_caller]
    fn assert_fetches(&self, status: &str, version: u64, policy: &str) {
        let (code, report) = self.fetch();
        assert_eq!((code, text(&report, "/status")), (Some(0), status), "{report}");
        assert_eq!(report["bundle"]["version"], version);
        let path = PathBuf::from(text(&report, "/bundle/path"));
        assert_eq!(fs::read_to_string(path.join("policy.toml")).unwrap(), policy);
    }

    #[track_caller]
    fn assert_refuses(&self, kind: &str, file: &str, still: u64) {
        let (code, report) = self.fetch();
        assert_eq!((code, text(&report, "/status")), (Some(1), "refused"), "{report}");
        assert_eq!((text(&report, "/refusal/kind"), text(&report, "/refusal/file")), (kind, file), "{report}");
        assert_eq!(report["bundle"]["version"], still);
    }
}

#[test]
fn a_bundle_travels_from_its_author_to_an_endpoint() {
    let fleet = Fleet::new();
    let names: Vec<_> = fs::read_dir(fleet.at("keys")).unwrap().map(|e| e.unwrap().path()).collect();
    let pems: Vec<_> = names.iter().filter(|p| p.extension().is_some_and(|e| e == "pem")).collect();
    assert_eq!(pems.len(), 5);
    assert!(pems.iter().all(|p| fs::metadata(p).unwrap().permissions().mode() & 0o777 == 0o600));
    fleet.fails(&["keys", "init", &fleet.at("keys")], "keys are never overwritten");

    assert!(fleet.publish().starts_with("published bundle 1 (2 files"));
    fleet.assert_fetches("installed", 1, "version 1");
    fleet.assert_fetches("current", 1, "version 1");
    fleet.bundle("version 2");
    fleet.publish();
    fleet.assert_fetches("installed", 2, "version 2");
    let arguments = fleet.fetch_arguments();
    let shown = fleet.ok(&arguments.each_ref().map(String::as_str));
    assert!(shown.contains("bundle 2") && shown.contains("in force: "), "{shown}");
}

#[test]
fn the_first_root_is_needed_once() {
    let fleet = Fleet::new();
    fleet.publish();
    let without = ["fetch", "--repository", &fleet.at("repository"), "--state", &fleet.at("state")];
    fleet.fails(&without, "name the fleet's first root with `--root FILE`");
    fleet.assert_fetches("installed", 1, "version 1");
    // From now on the stored one counts, even over one of another fleet.
    fleet.ok(&without);
    let other = Fleet::new();
    fs::copy(other.at("keys/root/1.root.json"), fleet.at("keys/root/1.root.json")).unwrap();
    fleet.assert_fetches("current", 1, "version 1");
}

#[test]
fn what_was_tampered_with_is_refused_and_the_last_good_bundle_stays() {
    let fleet = Fleet::new();
    fleet.publish();
    fleet.assert_fetches("installed", 1, "version 1");
    let old = fs::read(fleet.at("repository/metadata/timestamp.json")).unwrap();
    fleet.bundle("version 2");
    fleet.publish();
    let targets = fs::read_dir(fleet.at("repository/targets")).unwrap().map(|e| e.unwrap().path());
    let target = targets.filter(|p| p.is_file()).find(|p| fs::read(p).unwrap() == b"version 2").unwrap();
    fs::write(&target, "version 3").unwrap();
    let name = format!("targets/{}", target.file_name().unwrap().to_str().unwrap());
    fleet.assert_refuses("target-bytes", &name, 1);

    let arguments = fleet.fetch_arguments();
    let output = fleet.policy(&arguments.each_ref().map(String::as_str));
    let shown = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(shown.contains(&name) && shown.contains("copy it anew") && shown.contains("in force"), "{shown}");

    fs::write(&target, "version 2").unwrap();
    fleet.assert_fetches("installed", 2, "version 2");
    fs::write(fleet.at("repository/metadata/timestamp.json"), old).unwrap();
    fleet.assert_refuses("rollback", "metadata/timestamp.json", 2);
    fs::remove_dir_all(fleet.at("repository")).unwrap();
    let arguments = fleet.fetch_arguments();
    fleet.fails(&arguments.each_ref().map(String::as_str), "cannot get `metadata/timestamp.json`");
}

#[test]
fn keys_are_rotated_and_endpoints_follow() {
    let fleet = Fleet::new();
    fleet.publish();
    fleet.assert_fetches("installed", 1, "version 1");
    for role in ["root", "targets", "timestamp"] {
        let shown = fleet.ok(&["keys", "rotate", &fleet.at("keys"), "--role", role, "--key-type", "ecdsa-p256"]);
        assert!(shown.contains("new key") && shown.contains("retired"), "{shown}");
    }
    for version in 1..=4 {
        assert!(PathBuf::from(fleet.at(&format!("keys/root/{version}.root.json"))).exists());
    }
    assert_eq!(fs::read_dir(fleet.at("keys/retired")).unwrap().count(), 3);
    fleet.bundle("version 2");
    fleet.publish();
    fleet.assert_fetches("installed", 2, "version 2");
    assert_eq!(fleet.fetch().1["root_version"], 4);
    fleet.fails(
        &["keys", "rotate", &fleet.at("keys"), "--role", "targets", "--retire", "ffff0000ff"],
        "names not exactly one",
    );
}

#[test]
fn a_console_renews_what_has_expired() {
    let fleet = Fleet::new();
    let then = Timestamp::now() - SignedDuration::from_hours(24 * 20);
    let keys = KeyFolder::open(fleet.at("keys")).unwrap();
    let (bundle, repository) = (PathBuf::from(fleet.at("bundle")), PathBuf::from(fleet.at("repository")));
    weighbridge_distribution::publish(&bundle, keys, &repository, then).unwrap();
    let (code, report) = fleet.fetch();
    assert_eq!((code, text(&report, "/refusal/kind")), (Some(1), "expired"), "{report}");
    assert!(report["bundle"].is_null());

    fs::create_dir(fleet.at("console")).unwrap();
    for entry in fs::read_dir(fleet.at("keys")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.starts_with("snapshot-") || name.starts_with("timestamp-") {
            fs::copy(&path, PathBuf::from(fleet.at("console")).join(name)).unwrap();
        }
    }
    let written = |name: &str| -> SystemTime {
        fs::metadata(fleet.at(&format!("repository/metadata/{name}"))).unwrap().modified().unwrap()
    };
    let before = written("1.targets.json");
    fleet.ok(&["renew", "--keys", &fleet.at("console"), "--repository", &fleet.at("repository")]);
    assert_eq!(written("1.targets.json"), before);
    fleet.assert_fetches("installed", 1, "version 1");
    fleet.fails(
        &["publish", &fleet.at("bundle"), "--keys", &fleet.at("console"), "--repository", &fleet.at("repository")],
        "of the role targets must be in",
    );
}

#[test]
fn odd_bundles_and_options_are_told() {
    let fleet = Fleet::new();
    std::os::unix::fs::symlink("/etc/passwd", fleet.at("bundle/link")).unwrap();
    let publish =
        ["publish", &fleet.at("bundle"), "--keys", &fleet.at("keys"), "--repository", &fleet.at("repository")];
    fleet.fails(&publish, "it is a symbolic link");
    fleet.fails(&["keys", "init", &fleet.at("more"), "--root-keys", "1", "--root-threshold", "2"], "threshold");
    fleet.fails(&["keys", "init", &fleet.at("more"), "--expires-days", "targets=0"], "between 1 and 3650 days");
    fleet.fails(&["keys", "init", &fleet.at("more"), "--expires-days", "mirrors=1"], "roles are root");
    fs::write(fleet.at("keys/other.pem"), "no key").unwrap();
    fleet.fails(&publish, "is no unencrypted Ed25519 or P-256 private key");
}

#[test]
fn a_fetch_that_is_killed_leaves_a_whole_bundle_in_force() {
    let fleet = Fleet::new();
    let fill = |text: &str| {
        fleet.bundle(text);
        for number in 0..100 {
            fs::write(fleet.at(&format!("bundle/{number}.txt")), text.repeat(4000)).unwrap();
        }
        fleet.publish();
    };
    fill("version 1");
    fleet.assert_fetches("installed", 1, "version 1");
    let (mut killed, mut version) = (0, 1);
    for round in 0..24 {
        if Store::open(fleet.at("state")).unwrap().current().unwrap().unwrap().version == version {
            version += 1;
            fill(&format!("version {version}"));
        }
        let arguments = fleet.fetch_arguments();
        let mut command = Command::new(weighbridge());
        let mut child =
            command.arg("policy").args(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(5 + round * 7));
        child.kill().unwrap();
        killed += usize::from(!child.wait().unwrap().success());
        let bundle = Store::open(fleet.at("state")).unwrap().current().unwrap().unwrap();
        let text = format!("version {}", bundle.version);
        assert_eq!(fs::read_to_string(bundle.path.join("policy.toml")).unwrap(), text);
        for number in 0..100 {
            let content = fs::read_to_string(bundle.path.join(format!("{number}.txt"))).unwrap();
            assert!(content == text.repeat(4000), "{number}");
        }
    }
    assert!(killed > 0);
    version += 1;
    fill(&format!("version {version}"));
    fleet.assert_fetches("installed", version, &format!("version {version}"));
    let left = fs::read_dir(fleet.at("state")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    assert_eq!(left.filter(|n| n.starts_with("incoming-")).count(), 0);
}

#[test]
fn the_reference_client_reads_our_repositories() {
    let python = target_profile().parent().unwrap().join("venvs/updating/bin/python");
    if !python.exists() {
        eprintln!("skipped: `cargo xtask test` puts the reference implementation of TUF into `target/venvs/updating`");
        return;
    }
    for key_type in ["ed25519", "ecdsa-p256"] {
        let fleet = Fleet { dir: tempfile::tempdir().unwrap() };
        fleet.bundle("version 1");
        fleet.ok(&[
            "keys",
            "init",
            &fleet.at("keys"),
            "--root-keys",
            "3",
            "--root-threshold",
            "2",
            "--key-type",
            key_type,
        ]);
        let first = fleet.at("first.root.json");
        fs::copy(fleet.at("keys/root/1.root.json"), &first).unwrap();
        let read = || {
            let output = Command::new(&python)
                .arg(root().join("tests/tuf/client.py"))
                .args([&fleet.at("repository"), &first, &fleet.at("client")])
                .args(["policy.toml", "rules/deny.toml"])
                .output()
                .unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        };
        fleet.publish();
        assert_eq!(read(), "version 1\ndeny\n");
        for role in ["root", "targets", "snapshot", "timestamp", "root"] {
            fleet.ok(&["keys", "rotate", &fleet.at("keys"), "--role", role, "--key-type", key_type]);
        }
        fleet.bundle("version 2");
        fleet.publish();
        fleet.ok(&["renew", "--keys", &fleet.at("keys"), "--repository", &fleet.at("repository")]);
        assert_eq!(read(), "version 2\ndeny\n");
    }
}
