//! The gate process, start to end.

use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use rustix::event::EventfdFlags;
use rustix::fs::{Mode, OFlags};
use rustix::mm::MlockAllFlags;
use rustix::process::{Resource, Rlimit};
use weighbridge_platform::fanotify::{self, Class, Group, Mask, Scope};

use crate::deadline::Watch;
use crate::engine::{self, Engine, Rules};
use crate::message::{Command, EXEMPT_MAX, MARKS_MAX, MarkError, Ready, Report, Start, VERSION, WRITERS_MAX};
use crate::reports::{self, Counters};
use crate::wire;

/// Descriptors the gate may hold; two for each question and report under way,
/// so that it stays far below.
const DESCRIPTORS: u64 = 65_536;
/// Stack of the helper threads: they call little, and it is locked memory.
const STACK_BYTES: usize = 256 << 10;
/// Longest to look for other listeners, which delays the start.
const LISTENERS_WITHIN: Duration = Duration::from_millis(500);
/// Commands that wait; then the daemon does.
const COMMANDS_MAX: usize = 1_024;
/// Bounds of the deadline, milliseconds.
const DEADLINE_MS: (u32, u32) = (10, 10_000);

/// File systems that are interfaces of the kernel (statfs(2), magic.h). Each
/// holds files that must open for the machine to work, and no models.
const KERNEL: &[u64] = &[
    0x0000_9fa0, // proc
    0x6265_6572, // sysfs
    0x0000_1cd1, // devpts
    0x0027_e0eb, // cgroup
    0x6367_7270, // cgroup2
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0x7363_6673, // securityfs
    0xcafe_4a11, // bpf
    0xde5e_81e4, // efivarfs
];

/// Is the gate process: guards what the daemon at the other end of `control`
/// says, until that end is closed, then takes its marks back and returns.
///
/// Call it first thing, in a process with one thread and nothing else to do.
/// It never starts another process, which would keep the group alive when
/// this one dies.
///
/// # Errors
/// What the socket and the kernel report. Whoever waits for an answer goes on
/// when the process ends.
pub fn run(control: UnixStream) -> io::Result<()> {
    let missing = harden();
    let start = match wire::receive(&control)? {
        Some((Command::Start { version: VERSION, start }, _)) => start,
        Some((Command::Start { version, .. }, _)) => {
            let reason = format!("the daemon speaks version {version}, this gate {VERSION}; restart both");
            return wire::send(&control, &Report::Failed { reason }, &[]);
        }
        Some(_) => return Err(io::Error::new(io::ErrorKind::InvalidData, "the first message must be a start")),
        None => return Ok(()),
    };
    match guard(&control, start, missing) {
        Err(e) => wire::send(&control, &Report::Failed { reason: e.to_string() }, &[]).and(Err(e)),
        done => done,
    }
}

fn guard(control: &UnixStream, start: Start, mut missing: Vec<String>) -> io::Result<()> {
    let counters = Arc::new(Counters::default());
    let deadline = Duration::from_millis(start.deadline_ms.clamp(DEADLINE_MS.0, DEADLINE_MS.1).into());
    let misses_max = usize::try_from(start.misses_max.clamp(1, 10_000)).unwrap_or(1);
    let watch = Arc::new(Watch::new(Group::gate()?, deadline, misses_max, Arc::clone(&counters)));
    let others = others(&mut missing);

    let (reports, end) = reports::queue(&counters);
    let (commands, inbox) = sync_channel(COMMANDS_MAX);
    let bell = Arc::new(rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let proc = rustix::fs::open("/proc", flags, Mode::empty())?;
    let rules = Rules::new(start.unknown, &start.exempt);

    // All threads before the first mark: afterwards nothing new is loaded.
    let (socket, counts) = (control.try_clone()?, Arc::clone(&counters));
    thread("reports", move || reports::send(&socket, &end, &counts))?;
    let (socket, ear, ring) = (control.try_clone()?, Arc::clone(&watch), Arc::clone(&bell));
    thread("commands", move || listen(&socket, &commands, &ear, &ring))?;
    let (ear, out) = (Arc::clone(&watch), reports.clone());
    thread("deadline", move || ear.mind(&out))?;

    let ready = mark(watch.group(), &start, others, missing);
    reports.put(Report::Ready(ready), Vec::new());
    Engine { watch, reports, counters, commands: inbox, bell, proc, look: engine::look, rules }.run()
}

/// Takes commands until the daemon is gone; then everything ends.
fn listen(control: &UnixStream, commands: &SyncSender<Command>, watch: &Watch, bell: &OwnedFd) {
    while let Ok(Some((command, _))) = wire::receive(control) {
        let long = match &command {
            Command::Exempt(pids) => pids.len() > EXEMPT_MAX,
            Command::Writers(programs) => programs.len() > WRITERS_MAX,
            _ => false,
        };
        if long || commands.send(command).is_err() {
            break;
        }
        let _ = rustix::io::write(bell, &1_u64.to_ne_bytes());
    }
    // First of all, whatever the other threads do.
    watch.stop();
    let _ = rustix::io::write(bell, &1_u64.to_ne_bytes());
}

fn mark(group: &Group, start: &Start, others: Vec<String>, missing: Vec<String>) -> Ready {
    let mut errors = Vec::new();
    let mut marks = 0;
    for (index, path) in start.marks.iter().enumerate() {
        let marked = if index < MARKS_MAX {
            mark_one(group, path)
        } else {
            Err(io::Error::other(format!("more than {MARKS_MAX} file systems; guard fewer")))
        };
        match marked {
            Ok(()) => marks += 1,
            Err(e) => errors.push(MarkError { path: path.clone(), reason: e.to_string() }),
        }
    }
    Ready { marks, pre_content: group.class() == Class::PreContent, errors, missing, others }
}

fn mark_one(group: &Group, path: &Path) -> io::Result<()> {
    let name = CString::new(path.as_os_str().as_bytes())?;
    let kind = u64::try_from(rustix::fs::statfs(name.as_c_str())?.f_type).unwrap_or(0);
    if KERNEL.contains(&(kind & 0xffff_ffff)) {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "an interface of the kernel, not a place for files"));
    }
    group.mark(&name, Scope::FileSystem, Mask::OPEN_PERM)
}

/// Other programs that answer permission events.
fn others(missing: &mut Vec<String>) -> Vec<String> {
    let own = std::process::id();
    let fanotify::Listeners { found, complete } = fanotify::listeners(LISTENERS_WITHIN);
    if !complete {
        missing.push("a full look for other listeners: a process kept it waiting".to_owned());
    }
    found.into_iter().filter(|l| l.pid != own).map(|l| format!("{} ({})", l.name, l.pid)).collect()
}

/// What keeps the gate answering on a machine in trouble. Returns what could
/// not be had.
fn harden() -> Vec<String> {
    let mut missing = Vec::new();
    let mut note = |what: &str, result: io::Result<()>| {
        if let Err(e) = result {
            missing.push(format!("{what}: {e}"));
        }
    };
    note("protection from the out-of-memory killer", std::fs::write("/proc/self/oom_score_adj", "-1000"));
    let hard = rustix::process::getrlimit(Resource::Nofile).maximum.map_or(u64::MAX, |n| n.max(DESCRIPTORS));
    let limit = Rlimit { current: Some(DESCRIPTORS), maximum: (hard != u64::MAX).then_some(hard) };
    note("65,536 descriptors", rustix::process::setrlimit(Resource::Nofile, limit).map_err(Into::into));
    let flags = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    note("locked memory", rustix::mm::mlockall(flags).map_err(Into::into));
    missing
}

fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name(name.to_owned()).stack_size(STACK_BYTES).spawn(work)?;
    Ok(())
}
