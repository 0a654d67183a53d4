//! What a refusal does to the machine: each obligation of the decision, as far
//! as the configuration lets it. Everything is recorded, failures too.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal};
use serde_json::{Value, json};
use weighbridge_platform::file::FileKey;
use weighbridge_types::{ObligationKind, Severity, Shown};

use crate::core::{Core, Subject};
use crate::events::{Event, Kind};
use crate::judgement::Judged;
use crate::notices;
use crate::record::Why;

/// Most processes and descriptors looked at for holders of a file.
const PROCESSES_MAX: usize = 65_536;
const DESCRIPTORS_MAX: usize = 65_536;
/// Most text read of the maps of one process, bytes.
const MAPS_BYTES_MAX: u64 = 32 << 20;
/// Time for finding out who holds a file.
const HOLDERS_WITHIN: Duration = Duration::from_secs(10);
/// Time between asking a process to end and ending it.
const GRACE: Duration = Duration::from_secs(3);

/// Does what `judged` obliges to. Notices are for news only.
pub fn carry_out(core: &Core, subject: &Subject<'_>, judged: &Judged, news: bool) {
    let allowed = &core.config.actions;
    let owner = std::fs::symlink_metadata(subject.path).ok().map(|m| m.uid());
    // First, so that nobody opens it meanwhile; who has it open is found by the
    // inode, which stays the same.
    let must = |kind: ObligationKind| judged.decision.obligations.iter().find(|o| o.kind == kind);
    let refused = judged.decision.refuses();
    if refused && must(ObligationKind::Quarantine).is_some() && allowed.quarantine {
        quarantine(core, subject, judged);
    }
    if refused && must(ObligationKind::SeverConnection).is_some() && allowed.sever {
        crate::sensors::sever(core, subject);
    }
    if refused && must(ObligationKind::KillHolder).is_some() && allowed.kill {
        kill_holders(core, subject);
    }
    if let (Some(obligation), Some(uid), true, true) = (must(ObligationKind::NotifyUser), owner, allowed.notify, news) {
        notify(core, uid, subject.path, judged, obligation.argument.as_deref().unwrap_or_default());
    }
}

/// Moves the very file that was inspected into quarantine.
fn quarantine(core: &Core, subject: &Subject<'_>, judged: &Judged) {
    let digest = subject.artifact.sha256.as_ref();
    if digest.is_some_and(|digest| core.record.is_released(digest, subject.path)) {
        return;
    }
    let findings = &subject.artifact.findings;
    let why = Why {
        text: findings.first().map(|f| f.title.to_string()).unwrap_or_default(),
        policies: judged.decision.policies.clone(),
        detail: json!({
            "verdict": subject.artifact.verdict,
            "findings": findings.iter().map(|f| (&f.rule, &f.title)).collect::<Vec<_>>(),
        }),
    };
    let done = open_inspected(subject.path, subject.key)
        .map_err(|e| e.to_string())
        .and_then(|file| core.record.quarantine(&file, subject.path, why));
    let shown = Shown(&subject.artifact.path).to_string();
    match done {
        Ok(id) => {
            let mut body = json!({ "action": "quarantine", "path": subject.artifact.path, "id": id, "policies": judged.decision.policies });
            add(&mut body, "sha256", json!(subject.artifact.sha256));
            core.tell(&Event::new(
                Severity::High,
                Kind::Action,
                format!("{shown} is in quarantine as {id}; `weighbridge quarantine restore {id}` brings it back"),
                body,
            ));
            core.gone(&[subject.path.to_path_buf()]);
        }
        Err(reason) => {
            core.unfinished.store(true, Ordering::Relaxed);
            failed(core, "quarantine", &shown, &reason);
        }
    }
}

/// The file at `path`, if it is still the one that was inspected.
pub fn open_inspected(path: &Path, key: FileKey) -> std::io::Result<File> {
    use rustix::fs::{CWD, Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = File::from(rustix::fs::openat(CWD, path, flags, Mode::empty())?);
    if FileKey::from(&file.metadata()?) == key {
        return Ok(file);
    }
    Err(std::io::Error::other("it changed after it was inspected; it will be inspected again"))
}

fn kill_holders(core: &Core, subject: &Subject<'_>) {
    let shown = Shown(&subject.artifact.path).to_string();
    // Looking into a process can wait for ever (a dead network file system).
    let (dev, ino) = (subject.key.dev, subject.key.ino);
    let (sender, receiver) = crossbeam_channel::bounded(1);
    std::thread::spawn(move || sender.send(holders(dev, ino)));
    let Ok(pids) = receiver.recv_timeout(HOLDERS_WITHIN) else {
        return failed(core, "kill_holder", &shown, "who holds it could not be found out in time");
    };
    for pid in pids {
        match end(pid) {
            Ok(()) => core.tell(&Event::new(
                Severity::High,
                Kind::Action,
                format!("process {pid} was ended: it held {shown}"),
                json!({ "action": "kill_holder", "pid": pid, "path": subject.artifact.path }),
            )),
            Err(e) => failed(core, "kill_holder", &shown, &format!("process {pid}: {e}")),
        }
    }
}

/// Processes that have the file open or mapped, ourselves left out.
pub fn holders(dev: u64, ino: u64) -> Vec<u32> {
    let own = std::process::id();
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().take(PROCESSES_MAX).filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
    let is_it = |path: PathBuf| std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.dev() == dev && m.ino() == ino);
    let opened = |pid: u32| {
        std::fs::read_dir(format!("/proc/{pid}/fd"))
            .is_ok_and(|entries| entries.flatten().take(DESCRIPTORS_MAX).any(|entry| is_it(entry.path())))
    };
    // `start-end perms offset dev inode path` (proc_pid_maps(5)): the inode is
    // cheap to compare, and its file tells for certain.
    let mapped = |pid: u32| {
        let mut maps = String::new();
        let read =
            File::open(format!("/proc/{pid}/maps")).and_then(|f| f.take(MAPS_BYTES_MAX).read_to_string(&mut maps));
        let ino = ino.to_string();
        let alike = maps.lines().filter(|line| line.split(' ').nth(4) == Some(ino.as_str()));
        let mut ranges = alike.filter_map(|line| line.split(' ').next());
        read.is_ok() && ranges.any(|range| is_it(format!("/proc/{pid}/map_files/{range}").into()))
    };
    pids.filter(|pid| *pid != own && (opened(*pid) || mapped(*pid))).collect()
}

/// Asks `pid` to end, and ends it if it does not. By a descriptor, so that no
/// other process is hit that gets its number.
pub fn end(pid: u32) -> std::io::Result<()> {
    let raw = i32::try_from(pid).ok().and_then(Pid::from_raw).filter(|p| p.as_raw_nonzero().get() > 1);
    let pid = raw.ok_or_else(|| std::io::Error::other("no such process"))?;
    let handle = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
    rustix::process::pidfd_send_signal(&handle, Signal::TERM)?;
    let started = Instant::now();
    while started.elapsed() < GRACE {
        // The descriptor is readable once the process has ended (pidfd_open(2)).
        let mut wait = [rustix::event::PollFd::new(&handle, rustix::event::PollFlags::IN)];
        let timeout = rustix::event::Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        if rustix::event::poll(&mut wait, Some(&timeout)).is_ok_and(|n| n > 0) {
            return Ok(());
        }
    }
    Ok(rustix::process::pidfd_send_signal(&handle, Signal::KILL)?)
}

fn notify(core: &Core, uid: u32, path: &Path, judged: &Judged, text: &str) {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let by = judged.decision.policies.join(", ");
    let text = format!("{name} was refused ({by}). {text} `weighbridge why` tells more.");
    let places = notices::tell(&core.users(), uid, &text);
    core.tell(&Event::new(
        Severity::Info,
        Kind::Action,
        format!("user {} was told on {places} terminals and desktops", Shown(&core.users().name(uid))),
        json!({ "action": "notify_user", "uid": uid, "places": places, "text": text }),
    ));
}

/// Says that something should have been done and was not.
pub fn failed(core: &Core, action: &str, on: &str, reason: &str) {
    core.tell(&Event::new(
        Severity::High,
        Kind::ActionFailed,
        format!("{action} of {on} failed: {reason}"),
        json!({ "action": action, "on": on, "reason": reason }),
    ));
}

fn add(body: &mut Value, key: &str, value: Value) {
    if let Some(map) = body.as_object_mut() {
        map.insert(key.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn holders_are_found_and_ended() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m\n");
        std::fs::write(&path, "x").unwrap();
        let key = FileKey::from(&std::fs::metadata(&path).unwrap());
        let mut child = Command::new("sleep").arg("60").stdin(Stdio::from(File::open(&path).unwrap())).spawn().unwrap();
        assert_eq!(holders(key.dev, key.ino), [child.id()]);
        end(child.id()).unwrap();
        assert!(!child.wait().unwrap().success());
        assert!(holders(key.dev, key.ino).is_empty());
        assert!(end(0).is_err() && end(1).is_err());
    }

    #[test]
    fn whoever_maps_a_file_holds_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m");
        std::fs::write(&path, vec![1; 8192]).unwrap();
        let key = FileKey::from(&std::fs::metadata(&path).unwrap());
        let script = "import mmap,os,sys,time\nf=open(sys.argv[1],'rb')\nm=mmap.mmap(f.fileno(),0,prot=mmap.PROT_READ)\nf.close()\nprint(1,flush=True)\ntime.sleep(60)";
        let child = Command::new("python3").args(["-c", script]).arg(&path).stdout(Stdio::piped()).spawn();
        let Ok(mut child) = child else { return println!("skipped: python3 is not installed") };
        let mut ready = [0];
        child.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
        assert_eq!(holders(key.dev, key.ino), [child.id()]);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_file_that_took_the_place_of_another_is_not_touched() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m");
        std::fs::write(&path, "one").unwrap();
        let key = FileKey::from(&std::fs::metadata(&path).unwrap());
        assert!(open_inspected(&path, key).is_ok());
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "two").unwrap();
        assert!(open_inspected(&path, key).is_err());
        std::os::unix::fs::symlink("m", dir.path().join("link")).unwrap();
        assert!(open_inspected(&dir.path().join("link"), key).is_err());
    }
}
