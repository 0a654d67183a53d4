//! The thread that answers. Holds no lock, opens nothing outside `/proc`,
//! waits for nobody but the kernel.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::fs::{AtFlags, Dir, Mode, OFlags};
use weighbridge_platform::fanotify::{Answer, Buffer, Mask, Noted};
use weighbridge_platform::file::FileKey;

use crate::deadline::{BATCH_MAX, Watch};
use crate::exempt::Exempt;
use crate::message::{Command, EBUSY, Health, Refusal, Report, Unknown, Verdict};
use crate::reports::{Counters, Reports, count};
use crate::sniff;
use crate::table::{ENTRIES_MAX, Found, Table};

/// Most commands taken before openers have their turn.
const COMMANDS_AT_ONCE: usize = 256;
/// Most files of approved writers at one time.
const WRITERS_MAX: usize = 4_096;
/// How long a new file of an approved program goes unjudged.
const PROVISIONAL: Duration = Duration::from_secs(60);
/// Refusals reported per second, the rest is counted.
const DENIALS_PER_SECOND: u32 = 64;
/// Enough of `/proc/PID/status` for its `Uid:` line, bytes.
const STATUS_BYTES: usize = 1_024;

/// What there is to know of a file before it is opened.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    pub key: FileKey,
    pub kind: Kind,
}

/// What to do about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Holds nothing: no regular file, or empty.
    Nothing,
    /// No model.
    Other,
    /// Large enough to be a model, and nothing else speaks for it: most are
    /// libraries and databases, which nobody must wait for.
    Large,
    /// Could be a model.
    Candidate,
}

/// Looks at an open file: attributes and the first bytes.
pub fn look(file: &File) -> io::Result<Look> {
    let meta = file.metadata()?;
    Ok(Look { key: FileKey::from(&meta), kind: kind(file, &meta) })
}

fn kind(file: &File, meta: &Metadata) -> Kind {
    if !meta.is_file() || meta.len() == 0 {
        return Kind::Nothing;
    }
    let mut head = [0; sniff::HEAD_BYTES];
    match file.read_at(&mut head, 0) {
        Ok(n) if !sniff::is_candidate(head.get(..n).unwrap_or_default()) => {
            if meta.len() >= sniff::SIZE_BYTES_MIN {
                Kind::Large
            } else {
                Kind::Other
            }
        }
        // A file that cannot be looked at has not been seen to be harmless.
        _ => Kind::Candidate,
    }
}

/// Everything the answering thread owns.
pub struct Engine<L> {
    pub watch: Arc<Watch>,
    pub reports: Reports,
    pub counters: Arc<Counters>,
    pub commands: Receiver<Command>,
    /// Rings when there are commands.
    pub bell: Arc<OwnedFd>,
    /// `/proc`.
    pub proc: OwnedFd,
    pub look: L,
    pub rules: Rules,
}

/// What to answer.
pub struct Rules {
    table: Table,
    exempt: Exempt,
    writers: HashMap<(u64, u64), Instant>,
    /// Programs whose files these are, by device and inode.
    programs: Vec<(u64, u64)>,
    unknown: Unknown,
    denials: Allowance,
}

impl Rules {
    pub fn new(unknown: Unknown, exempt: &[u32]) -> Self {
        let mut rules = Self {
            table: Table::new(ENTRIES_MAX),
            exempt: Exempt::new(),
            writers: HashMap::with_capacity(WRITERS_MAX),
            programs: Vec::new(),
            unknown,
            denials: Allowance { since: Instant::now(), left: DENIALS_PER_SECOND },
        };
        rules.exempt.replace(exempt);
        rules
    }

    fn written_by_approved(&self, key: FileKey, now: Instant) -> bool {
        self.writers.get(&(key.dev, key.ino)).is_some_and(|until| now < *until)
    }

    fn writer(&mut self, file: (u64, u64), until: Instant, now: Instant) {
        if self.writers.len() >= WRITERS_MAX {
            self.writers.retain(|_, until| now < *until);
        }
        if self.writers.len() < WRITERS_MAX || self.writers.contains_key(&file) {
            self.writers.insert(file, until);
        }
    }
}

/// A number of things per second.
struct Allowance {
    since: Instant,
    left: u32,
}

impl Allowance {
    fn take(&mut self, now: Instant) -> bool {
        if now.saturating_duration_since(self.since) >= Duration::from_secs(1) {
            *self = Self { since: now, left: DENIALS_PER_SECOND };
        }
        let some = self.left > 0;
        self.left = self.left.saturating_sub(1);
        some
    }
}

/// What to say, and what to tell the daemon afterwards.
struct Decision {
    answer: Answer,
    after: After,
}

enum After {
    Nothing,
    /// No model: ask no more.
    Ignore,
    Ask {
        key: FileKey,
        uid: Option<u32>,
    },
    Denied {
        key: FileKey,
        uid: Option<u32>,
    },
}

impl<L: Fn(&File) -> io::Result<Look>> Engine<L> {
    /// Answers until [`Watch::stop`], then lets everybody through who waits.
    pub fn run(mut self) -> io::Result<()> {
        let mut buffer = Buffer::default();
        let watch = Arc::clone(&self.watch);
        while !watch.is_stopped() {
            let mut ready = [PollFd::new(watch.group(), PollFlags::IN), PollFd::new(&self.bell, PollFlags::IN)];
            match rustix::event::poll(&mut ready, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
            let [_, bell] = ready;
            let rung = !bell.revents().is_empty();
            watch.begin();
            if rung {
                self.obey()?;
            }
            let done = self.answer(&mut buffer);
            watch.end();
            done?;
        }
        watch.drain(&mut buffer);
        Ok(())
    }

    fn obey(&mut self) -> io::Result<()> {
        match rustix::io::read(&self.bell, &mut [0; 8]) {
            Ok(_) | Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        for _ in 0..COMMANDS_AT_ONCE {
            let Ok(command) = self.commands.try_recv() else { return Ok(()) };
            self.command(command);
        }
        // There may be more.
        rustix::io::write(&self.bell, &1_u64.to_ne_bytes())?;
        Ok(())
    }

    fn command(&mut self, command: Command) {
        let now = Instant::now();
        let rules = &mut self.rules;
        let later = |ms: u64| now.checked_add(Duration::from_millis(ms));
        match command {
            // A time beyond what the clock can tell is no limit.
            Command::Set { key, uid, verdict, for_ms } => rules.table.set(key, uid, verdict, for_ms.and_then(later)),
            Command::Forget { key } => rules.table.forget(key),
            Command::Clear => {
                rules.table.clear();
                rules.writers.clear();
            }
            Command::Writers(programs) => rules.programs = programs,
            Command::Unknown(unknown) => rules.unknown = unknown,
            Command::Exempt(pids) => rules.exempt.replace(&pids),
            Command::Health { id } => {
                let health = self.health();
                self.reports.put(Report::Health { id, health }, Vec::new());
            }
            Command::Start { .. } => {}
        }
    }

    fn answer(&mut self, buffer: &mut Buffer) -> io::Result<()> {
        let mut batch: Vec<(Noted<'_>, File)> = Vec::with_capacity(BATCH_MAX);
        let watch = Arc::clone(&self.watch);
        let read = watch.group().read(buffer, |mut noted| match noted.file.take() {
            Some(Ok(file)) if noted.is_question() => batch.push((noted, file)),
            // The kernel has refused the opener; `/proc` cannot say whom.
            Some(Err(_)) => count(&self.counters.fd_errors),
            _ => {}
        });
        match read {
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::InvalidData => return Err(e),
            Err(_) => count(&self.counters.fd_errors),
        }
        // All of them before the first is looked at, which may hang.
        for (index, (_, file)) in batch.iter().enumerate() {
            watch.note(index, file.as_raw_fd());
        }
        for (index, (noted, file)) in batch.into_iter().enumerate() {
            let decision = self.decide(noted.pid, &file);
            let errno = if !watch.answer(index, decision.answer) {
                0
            } else if let Answer::Deny(errno) = decision.answer {
                errno
            } else {
                0
            };
            self.after(decision.after, errno, noted, file);
        }
        Ok(())
    }

    fn decide(&mut self, pid: i32, file: &File) -> Decision {
        let allow = |after| Decision { answer: Answer::Allow, after };
        if self.rules.exempt.contains(pid) {
            return allow(After::Nothing);
        }
        let Ok(look) = (self.look)(file) else { return allow(After::Nothing) };
        match look.kind {
            Kind::Nothing => {
                // It is about to be written, perhaps.
                self.note_writer(look.key, pid);
                allow(After::Nothing)
            }
            Kind::Other => allow(After::Ignore),
            Kind::Large => self.judge(look.key, pid, Unknown::Allow),
            Kind::Candidate => self.judge(look.key, pid, self.rules.unknown),
        }
    }

    fn judge(&mut self, key: FileKey, pid: i32, unknown: Unknown) -> Decision {
        let now = Instant::now();
        let known = if self.rules.table.by_user() { self.uid(pid) } else { None };
        let mut found = self.rules.table.find(key, known, now);
        if let Found::Verdict(Verdict::Allow) = found {
            return Decision { answer: Answer::Allow, after: After::Nothing };
        }
        // From here on it matters who: read it while the opener waits.
        let uid = known.or_else(|| self.uid(pid));
        if known.is_none() {
            found = self.rules.table.find(key, uid, now);
        }
        if let Found::Verdict(Verdict::Deny { errno }) = found {
            return Decision { answer: Answer::Deny(errno), after: After::Denied { key, uid } };
        }
        let refused = matches!(found, Found::Changed { .. });
        if !refused && unknown == Unknown::Pending {
            // A download that goes on.
            self.note_writer(key, pid);
        }
        let answer = match unknown {
            _ if refused => Answer::Deny(EBUSY),
            Unknown::Pending if !self.rules.written_by_approved(key, now) => Answer::Deny(EBUSY),
            Unknown::Pending | Unknown::Allow => Answer::Allow,
        };
        let after = match found {
            Found::Unknown | Found::Changed { asked: false } => After::Ask { key, uid },
            _ if matches!(answer, Answer::Deny(_)) => After::Denied { key, uid },
            _ => After::Nothing,
        };
        Decision { answer, after }
    }

    /// Remembers a file that an approved program opens. The program waits for
    /// the answer, so it is there to be looked at.
    fn note_writer(&mut self, key: FileKey, pid: i32) {
        if self.rules.programs.is_empty() || self.rules.unknown != Unknown::Pending {
            return;
        }
        let exe = rustix::fs::statat(&self.proc, format!("{pid}/exe"), AtFlags::empty());
        if exe.is_ok_and(|exe| self.rules.programs.contains(&(exe.st_dev, exe.st_ino))) {
            let now = Instant::now();
            self.rules.writer((key.dev, key.ino), now.checked_add(PROVISIONAL).unwrap_or(now), now);
        }
    }

    fn after(&mut self, after: After, errno: i32, noted: Noted<'_>, file: File) {
        let pid = u32::try_from(noted.pid).unwrap_or(0);
        match after {
            After::Nothing => {}
            After::Ignore => self.ignore(&file),
            After::Ask { key, uid } => {
                if !self.reports.has_room() {
                    return self.reports.missed();
                }
                let refusal = Refusal { key, pid, uid, path: self.path(&file), errno };
                let mut handles = vec![OwnedFd::from(file)];
                handles.extend(noted.process);
                if self.reports.put(Report::Asked { allowed: errno == 0, refusal }, handles) {
                    count(&self.counters.asked);
                    self.rules.table.asked(key, uid, Instant::now());
                }
            }
            After::Denied { key, uid } => {
                if !self.reports.has_room() || !self.rules.denials.take(Instant::now()) {
                    return self.reports.missed();
                }
                let refusal = Refusal { key, pid, uid, path: self.path(&file), errno };
                self.reports.put(Report::Denied(refusal), Vec::new());
            }
        }
    }

    /// Has the kernel ask no more about `file` until somebody writes to it.
    /// A write between the look and the mark would go unseen, so look again.
    fn ignore(&self, file: &File) {
        if self.watch.group().ignore(file.as_fd(), Mask::OPEN_PERM).is_err() {
            return;
        }
        match (self.look)(file) {
            Ok(look) if look.kind == Kind::Other => count(&self.counters.ignored),
            _ => {
                let _ = self.watch.group().heed(file.as_fd(), Mask::OPEN_PERM);
            }
        }
    }

    /// Where `file` is, as the kernel shows it.
    fn path(&self, file: &File) -> PathBuf {
        rustix::fs::readlinkat(&self.proc, format!("self/fd/{}", file.as_raw_fd()), Vec::new())
            .map(|path| {
                use std::os::unix::ffi::OsStringExt;
                PathBuf::from(std::ffi::OsString::from_vec(path.into_bytes()))
            })
            .unwrap_or_default()
    }

    /// The user whose rights to files the process has.
    fn uid(&self, pid: i32) -> Option<u32> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let status = rustix::fs::openat(&self.proc, format!("{pid}/status"), flags, Mode::empty()).ok()?;
        let mut text = [0; STATUS_BYTES];
        let length = rustix::io::read(&status, &mut text).ok()?;
        file_system_uid(text.get(..length)?)
    }

    fn health(&self) -> Health {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let c = &self.counters;
        Health {
            answered: get(&c.answered),
            denied: get(&c.denied),
            late: get(&c.late),
            ignored: get(&c.ignored),
            asked: get(&c.asked),
            dropped: get(&c.dropped),
            fd_errors: get(&c.fd_errors),
            reports_queued: get(&c.queued),
            queue_bytes: self.watch.group().queued_bytes().unwrap_or(0),
            open_fds: self.open_fds().unwrap_or(0),
            verdicts: u64::try_from(self.rules.table.len()).unwrap_or(u64::MAX),
            misses: get(&c.misses),
            broken: self.watch.is_broken(),
        }
    }

    fn open_fds(&self) -> io::Result<u64> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = Dir::new(rustix::fs::openat(&self.proc, "self/fd", flags, Mode::empty())?)?;
        // Not `.`, not `..`, not the directory itself.
        Ok(u64::try_from(dir.count()).unwrap_or(u64::MAX).saturating_sub(3))
    }
}

/// The fourth number of `Uid:\treal\teffective\tsaved\tfile system`
/// (proc_pid_status(5)).
fn file_system_uid(status: &[u8]) -> Option<u32> {
    // `Name:` comes first and is escaped: it cannot hold a line of its own.
    let line = status.split(|b| *b == b'\n').find_map(|line| line.strip_prefix(b"Uid:"))?;
    std::str::from_utf8(line).ok()?.split_ascii_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests;
