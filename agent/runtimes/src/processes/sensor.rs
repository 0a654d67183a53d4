use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::api::Told;
use super::catalogue::{CATALOGUE, Stack};
use super::command::{COMMAND_BYTES_MAX, Command};
use super::files::{self, Formats, Held, Holdings};
use super::listens::Listening;
use super::mounts::Mounts;
use super::procfs::{self, Marks, Process, Stat};
use super::users::Users;
use super::{Evidence, Options, ProcessError, Snapshot, assemble};

/// A busy process is looked into at most one part in this many of the time,
/// so that none can keep us busy; a program that was replaced (execve(2)) is
/// looked into at once.
const LOOK_SHARE: u32 = 100;
/// However long a look took, the next need not wait longer than this.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// Answers of a stack are good for this long.
pub(super) const TOLD_FOR: Duration = Duration::from_secs(30);
/// Who gave no answer, perhaps since it is still loading, is asked again after
/// this.
pub(super) const SILENT_FOR: Duration = Duration::from_secs(3);
/// Clock ticks per second in procfs: `USER_HZ`, 100 on all of Linux's
/// machines that Rust has a standard library for.
const TICKS_PER_S: u64 = 100;

/// Looks at processes again and again and remembers what cannot have changed:
/// a process is looked into when it is new, when its memory, faults or number
/// of descriptors changed, and from time to time.
pub struct Sensor {
    pub(super) options: Options,
    pub(super) known: HashMap<u32, Known>,
    pub(super) users: Users,
    formats: Formats,
    /// Processes whose very `/proc/PID` must be left alone.
    pub(super) avoid: Vec<u32>,
    /// The process that is being looked at.
    pub(super) at: Arc<AtomicU32>,
    /// When the machine started, seconds since 1970.
    booted_s: u64,
}

/// A process as last looked into.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) stat: Stat,
    pub(super) looked: Option<Looked>,
    pub(super) told: Option<(Instant, Option<Told>)>,
}

/// What a look found.
#[derive(Debug)]
pub(super) struct Looked {
    at: Instant,
    cost: Duration,
    marks: Marks,
    pub(super) uid: u32,
    pub(super) exe: Option<PathBuf>,
    pub(super) command: Command,
    pub(super) stack: Option<(&'static Stack, Evidence)>,
    pub(super) holdings: Holdings,
    /// What the command line names: a file where it could be looked at.
    pub(super) named: Vec<(String, Option<Held>)>,
}

impl Sensor {
    /// A sensor that has seen nothing yet.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let booted_s = booted_s(&options.proc);
        Self {
            options,
            known: HashMap::new(),
            users: Users::default(),
            formats: Formats::default(),
            avoid: Vec::new(),
            at: Arc::default(),
            booted_s,
        }
    }

    /// What runs now.
    ///
    /// # Errors
    /// If procfs cannot be read.
    pub fn snapshot(&mut self) -> Result<Snapshot, ProcessError> {
        let start = Instant::now();
        let proc = self.options.proc.clone();
        let (ids, truncated) = procfs::ids(&proc)
            .map_err(|source| ProcessError::Proc { proc: proc.to_string_lossy().escape_debug().to_string(), source })?;
        let mut snapshot = Snapshot { truncated, ..Snapshot::default() };
        let mut mounts = Mounts::default();
        let mut before = std::mem::take(&mut self.known);
        let ours = std::process::id();
        self.users.refresh();
        for pid in ids {
            if self.avoid.contains(&pid) {
                snapshot.stuck.push(pid);
                continue;
            }
            self.at.store(pid, Ordering::Relaxed);
            // Whoever vanishes while looked at is simply not there.
            let Ok(process) = Process::open(&proc, pid) else { continue };
            let Ok(Some(stat)) = process.stat() else { continue };
            snapshot.processes += 1;
            let same = before.remove(&pid).filter(|k| k.stat.start_ticks == stat.start_ticks);
            let mut known = same.unwrap_or_else(|| Known { stat: stat.clone(), looked: None, told: None });
            known.stat = stat;
            if pid != ours && !self.options.skip.contains(&pid) && self.is_due(pid, &known, start) {
                if start.elapsed() > self.options.budget {
                    snapshot.deferred += 1;
                } else if let Some(looked) = look(&process, &proc, &known.stat, &mut mounts, &mut self.formats) {
                    known.looked = Some(looked);
                }
            }
            self.known.insert(pid, known);
        }
        let mut listening = Listening::default();
        self.assemble(&mut snapshot, &mut listening);
        Ok(snapshot)
    }

    fn is_due(&self, pid: u32, known: &Known, now: Instant) -> bool {
        let Some(looked) = &known.looked else { return true };
        let age = now.saturating_duration_since(looked.at);
        let replaced = looked.marks.comm != known.stat.marks.comm;
        let rested = age >= looked.cost.saturating_mul(LOOK_SHARE).min(WAIT_MAX);
        let changed = replaced || looked.marks != known.stat.marks && rested;
        // Spread, so that not all are due at once.
        let again = self.options.again_after + self.options.again_after / 16 * (pid % 16);
        changed || age >= again
    }

    pub(super) fn started_s(&self, start_ticks: u64) -> u64 {
        self.booted_s.saturating_add(start_ticks / TICKS_PER_S)
    }

    fn assemble(&mut self, snapshot: &mut Snapshot, listening: &mut Listening) {
        assemble::runtimes(self, snapshot, listening);
    }
}

fn look(process: &Process, proc: &Path, stat: &Stat, mounts: &mut Mounts, formats: &mut Formats) -> Option<Looked> {
    let at = Instant::now();
    let uid = process.uid().ok()?;
    let exe = process.link("exe").ok().map(without_deleted);
    let cwd = process.link("cwd").ok();
    let raw = process.read("cmdline", COMMAND_BYTES_MAX as u64).ok()?;
    let command = Command::parse(&raw, cwd.as_deref());
    let stack = CATALOGUE.recognise(&stat.marks.comm, exe.as_deref(), &command);
    let remote = mounts.of(process);
    let holdings = match &remote {
        Some(remote) => files::holdings(process, proc, remote, formats),
        None => Holdings { denied: true, ..Holdings::default() },
    };
    let mut named = Vec::new();
    for name in stack.map(|(s, _)| command.models(s)).unwrap_or_default() {
        let file = remote.as_ref().and_then(|r| files::named(process, cwd.as_deref(), name, r, formats));
        named.push((name.to_owned(), file));
    }
    // Most processes are of no interest: keep nothing of their command lines.
    let told = stack.is_some() || !holdings.models.is_empty();
    let (exe, command) = if told { (exe, command) } else { (None, Command::default()) };
    Some(Looked { at, cost: at.elapsed(), marks: stat.marks.clone(), uid, exe, command, stack, holdings, named })
}

/// An upgrade replaces the program of a running process.
fn without_deleted(exe: PathBuf) -> PathBuf {
    exe.to_str().and_then(|t| t.strip_suffix(" (deleted)")).map(PathBuf::from).unwrap_or(exe)
}

fn booted_s(proc: &Path) -> u64 {
    let text = std::fs::read_to_string(proc.join("uptime")).unwrap_or_default();
    let up_s: u64 = text.split('.').next().and_then(|s| s.parse().ok()).unwrap_or(0);
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    now_s.saturating_sub(up_s)
}
