//! The daemon on a file system of its own, as its users meet it.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use weighbridge_tests::{root, text, weighbridge};

use crate::machine::{Machine, POISON, weights};

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
    // A new name changes the file's marks, and lets nobody in.
    assert!(!cat(&machine.home("another.name")).status.success());
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
