//! What goes wrong on a machine, and what it must not do to it.

use std::fs;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use weighbridge_tests::{root, target_profile};

use crate::machine::{Machine, POISON};

/// A file that may be kept and not loaded: unsigned code.
fn denied(machine: &Machine) -> PathBuf {
    let path = machine.home("checkpoint.pkl");
    fs::copy(root().join("examples/models/checkpoint.pkl"), &path).unwrap();
    path
}

fn cat(path: &Path) -> Output {
    Command::new("cat").arg(path).output().unwrap()
}

fn opens(path: &Path) -> bool {
    cat(path).status.success()
}

fn signal(pid: u32, name: &str) {
    assert!(Command::new("kill").args([name, &pid.to_string()]).status().unwrap().success());
}

#[test]
fn a_gate_that_is_stopped_is_replaced_and_nobody_waits_for_long() {
    let Some(mut machine) = Machine::new(true) else { return };
    let denied = denied(&machine);
    machine.start();
    assert!(!opens(&denied));
    let stopped = machine.children("__gate");
    signal(stopped[0], "-STOP");
    let started = Instant::now();
    // Nobody has asked about this one, so no mark lets it through.
    fs::write(machine.home("new.txt"), "text").unwrap();
    assert!(opens(&machine.home("new.txt")));
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    machine.until("another gate guards", || !opens(&denied));
    assert_ne!(machine.children("__gate"), stopped);
    assert!(machine.said("the gate is lost"));
}

#[test]
fn a_denied_file_stays_denied_whatever_its_owner_calls_it() {
    let Some(mut machine) = Machine::new(true) else { return };
    let denied = denied(&machine);
    machine.start();
    assert!(!opens(&denied));
    for round in 0..5 {
        let link = machine.home(&format!("link{round}"));
        fs::hard_link(&denied, &link).unwrap();
        assert!(!opens(&link), "a new name");
        fs::set_permissions(&denied, fs::Permissions::from_mode(0o600 + round)).unwrap();
        assert!(!opens(&denied), "other rights");
        let renamed = machine.home(&format!("renamed{round}.bin"));
        fs::rename(&link, &renamed).unwrap();
        assert!(!opens(&renamed), "renamed");
        assert!(Command::new("touch").arg(&denied).status().unwrap().success());
        assert!(!opens(&denied), "another time");
    }
}

/// A group lives as long as anybody holds its descriptor: a child that had it
/// would keep openers waiting for a gate that is gone.
#[test]
fn nobody_but_the_gate_holds_the_descriptor_that_answers() {
    let Some(mut machine) = Machine::new(true) else { return };
    machine.start();
    for n in 0..20 {
        fs::copy(root().join("examples/models/checkpoint.pkl"), machine.home(&format!("{n}.pkl"))).unwrap();
    }
    let gate = machine.children("__gate")[0];
    let mut holders = Vec::new();
    let started = Instant::now();
    // While workers come and go.
    while started.elapsed() < Duration::from_secs(3) {
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|p| p.parse::<u32>().ok()) else { continue };
            for info in fs::read_dir(entry.path().join("fdinfo")).into_iter().flatten().flatten() {
                let text = fs::read_to_string(info.path()).unwrap_or_default();
                // Classes above 0 answer (fanotify_init(2): 4 content, 8 pre-content).
                let class = text.lines().find_map(|l| l.strip_prefix("fanotify flags:")?.split(' ').next());
                let answers = class.and_then(|c| u32::from_str_radix(c, 16).ok()).is_some_and(|c| c & 0xc != 0);
                let ours = text.contains(&format!("sdev:{}", device(&machine.at("home"))));
                if answers && ours && !holders.contains(&pid) {
                    holders.push(pid);
                }
            }
        }
    }
    assert_eq!(holders, [gate]);
    assert!(Command::new("sh").args(["-c", &format!("kill -9 {gate}")]).status().unwrap().success());
    let file = machine.home("0.pkl");
    machine.until("opens go through", || opens(&file));
}

/// As fdinfo writes the device of a folder's file system.
fn device(path: &Path) -> String {
    use std::os::unix::fs::MetadataExt;
    let dev = fs::metadata(path).unwrap().dev();
    // Inside the kernel: major << 20 | minor.
    format!("{:x}", (rustix::fs::major(dev) << 20) | rustix::fs::minor(dev))
}

/// A system log that rotates its files waits for the gate; a gate or daemon
/// that waited for the log would hold up both.
#[test]
fn logs_rotate_while_nobody_reads_what_the_daemon_says() {
    let Some(mut machine) = Machine::new(true) else { return };
    let (reader, writer) = std::io::pipe().unwrap();
    // Full: whoever writes to it waits.
    let flags = rustix::fs::fcntl_getfl(&writer).unwrap();
    rustix::fs::fcntl_setfl(&writer, flags | rustix::fs::OFlags::NONBLOCK).unwrap();
    while (&writer).write(&[b'x'; 4096]).is_ok() {}
    while (&writer).write(b"x").is_ok() {}
    rustix::fs::fcntl_setfl(&writer, flags).unwrap();
    let denied = denied(&machine);
    let writer = OwnedFd::from(writer);
    machine.start_with(Stdio::from(writer.try_clone().unwrap()), Stdio::from(writer));
    let started = Instant::now();
    for round in 0..200 {
        let log = machine.home("system.log");
        let mut file = fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        file.write_all(&[b'l'; 9000]).unwrap();
        fs::rename(&log, machine.home(&format!("system.{}.log", round % 7))).unwrap();
        assert!(!opens(&denied));
        assert!(opens(&machine.home(&format!("system.{}.log", round % 7))));
    }
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
    assert_eq!(machine.ask(&["audit", "verify"])["whole"], true);
    drop(reader);
}

/// Files of `xtask test`'s own Debian packages.
fn unpacked(name: &str) -> Option<PathBuf> {
    let folder = target_profile().parent()?.join("debian").join(name);
    let there = folder.join("weighbridge-packages").exists();
    if !there {
        println!("skipped: {name} is not in {}; `cargo xtask test` fetches it", folder.display());
    }
    there.then_some(folder)
}

#[test]
fn two_programs_that_answer_get_along() {
    let Some(unpacked) = unpacked("fapolicyd") else { return };
    let Some(mut machine) = Machine::new(true) else { return };
    let denied = denied(&machine);
    fs::write(machine.home("notes.txt"), "text").unwrap();
    // What it marks are mounts of its own namespace; ours is the file system.
    let scratch = machine.at("scratch");
    fs::create_dir(&scratch).unwrap();
    let log = machine.at("fapolicyd.log");
    let mut other = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "--"])
        .arg(root().join("tests/fapolicyd.sh"))
        .args([&unpacked, &machine.at("home"), &scratch])
        .stdout(Stdio::null())
        .stderr(fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let heard = || fs::read_to_string(&log).unwrap_or_default();
    let started = Instant::now();
    while !heard().contains("Starting to listen") {
        assert!(started.elapsed() < Duration::from_secs(20), "{}", heard());
        std::thread::sleep(Duration::from_millis(50));
    }
    machine.start();
    machine.until("the other is named", || machine.said("another program answers permission events"));
    // Both are asked about what is opened in its namespace.
    let inside = |path: &Path| {
        let target = other.id().to_string();
        Command::new("nsenter").args(["--mount", "--target", &target, "--", "cat"]).arg(path).output().unwrap()
    };
    let started = Instant::now();
    for n in 0..50 {
        assert!(!inside(&denied).status.success() && !opens(&denied), "denied");
        let text = machine.home(&format!("{n}.txt"));
        fs::write(&text, "text").unwrap();
        for path in [&text, &machine.home("notes.txt")] {
            let output = inside(path);
            assert!(output.status.success() && opens(path), "{output:?}");
        }
    }
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
    let poisoned = machine.home("bad.pkl");
    fs::write(&poisoned, POISON).unwrap();
    machine.until("quarantined", || !poisoned.exists());
    other.kill().unwrap();
    other.wait().unwrap();
    assert!(!opens(&denied));
}

#[test]
fn a_million_files_are_swept_and_found_again() {
    const FILES: u32 = 1_000_000;
    let Some(mut machine) = Machine::new(false) else { return };
    let resized = Command::new("mount").args(["-o", "remount,nr_inodes=1100000"]).arg(machine.at("home")).status();
    assert!(resized.unwrap().success());
    for folder in 0..1000 {
        let folder = machine.home(&format!("{folder}"));
        fs::create_dir(&folder).unwrap();
        for file in 0..FILES / 1000 {
            // Nearly all of them empty: a page each would be 4 GB.
            let file = fs::File::create(folder.join(format!("{file}.bin"))).unwrap();
            drop(file);
        }
    }
    let models = (0..50).map(|n| machine.home(&format!("{}/model.safetensors", n * 20)));
    for model in models {
        fs::copy(crate::machine::weights(), model).unwrap();
    }
    let bad = machine.home("999/bad.pkl");
    fs::write(&bad, POISON).unwrap();
    // A sweep leaves the machine to everybody else: on a busy one it takes long.
    machine.patience = Duration::from_secs(1500);
    machine.start();
    machine.until("the poisoned one is in quarantine", || !bad.exists());
    assert_eq!(machine.known().len(), 50);
    let fresh = machine.home("500/fresh.safetensors");
    fs::copy(crate::machine::weights(), &fresh).unwrap();
    machine.until("a new one is known", || machine.known().len() == 51);
    let status = fs::read_to_string(format!("/proc/{}/status", machine.daemon.as_ref().unwrap().id())).unwrap();
    let resident =
        status.lines().find_map(|l| l.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    assert!(resident.unwrap() < 300_000, "{resident:?} kB");
}

#[test]
fn a_daemon_short_of_descriptors_comes_back() {
    let Some(mut machine) = Machine::new(true) else { return };
    let denied = denied(&machine);
    machine.start();
    let daemon = machine.daemon.as_ref().unwrap().id().to_string();
    // Fewer than it holds already: nothing can be opened any more.
    let limit = |soft: &str| {
        let set = Command::new("prlimit").args(["--pid", &daemon, &format!("--nofile={soft}:")]).status();
        assert!(set.unwrap().success());
    };
    limit("8");
    let callers: Vec<_> =
        (0..200).filter_map(|_| std::os::unix::net::UnixStream::connect(machine.at("control.sock")).ok()).collect();
    for n in 0..50 {
        fs::write(machine.home(&format!("{n}.pkl")), POISON).unwrap();
        assert!(!opens(&denied), "the gate has its own");
        fs::write(machine.home("notes.txt"), "text").unwrap();
        assert!(opens(&machine.home("notes.txt")));
    }
    std::thread::sleep(Duration::from_secs(1));
    drop(callers);
    limit("1024");
    machine.until("it answers again", || machine.try_ask(&["status"]).is_some());
    fs::write(machine.home("after.pkl"), POISON).unwrap();
    machine.until("it acts again", || !machine.home("after.pkl").exists());
    // What it could not do then it does now, or at the next sweep.
    machine.until("nothing is left", || !(0..50).any(|n| machine.home(&format!("{n}.pkl")).exists()));
}

#[test]
fn in_lockdown_only_what_an_approved_writer_wrote_opens_before_it_is_judged() {
    let Some(mut machine) = Machine::new(true) else { return };
    fs::write(machine.at("policy/fleet/teams.yaml"), "default: { mode: lockdown }\n").unwrap();
    let program = machine.at("approved-copy");
    fs::copy("/bin/cp", &program).unwrap();
    let program = program.canonicalize().unwrap();
    machine.configure("");
    let text = fs::read_to_string(machine.at("w.toml")).unwrap();
    let writers = format!("enabled = true\nwriters = [{:?}]\n", program.display().to_string());
    fs::write(machine.at("w.toml"), text.replacen("enabled = true\n", &writers, 1)).unwrap();
    // Takes a second or so to be read.
    let source = machine.at("large.safetensors");
    let length: u64 = 1 << 30;
    let header = format!(r#"{{"w":{{"dtype":"U8","shape":[{length}],"data_offsets":[0,{length}]}}}}"#);
    let mut file = fs::File::create(&source).unwrap();
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    file.set_len(8 + header.len() as u64 + length).unwrap();
    machine.start();
    let first_byte = |path: &Path| Command::new("head").args(["-c", "1"]).arg(path).output().unwrap();
    let copy = |program: &Path, to: &Path| {
        let copied = Command::new(program).arg("--sparse=always").args([&source, to]).status();
        assert!(copied.unwrap().success());
    };
    let known = |path: &Path| machine.known().contains(&path.display().to_string());
    let (by_other, by_approved) = (machine.home("other.safetensors"), machine.home("approved.safetensors"));
    copy(Path::new("/bin/cp"), &by_other);
    let refused = first_byte(&by_other);
    assert!(!known(&by_other) && !refused.status.success(), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("busy"), "verification is pending: {refused:?}");
    machine.until("it is judged", || known(&by_other));
    copy(&program, &by_approved);
    machine.until("it opens", || first_byte(&by_approved).status.success());
    assert!(!known(&by_approved), "before it is judged");
}
