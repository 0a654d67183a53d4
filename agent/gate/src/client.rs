//! The daemon's end.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use weighbridge_platform::file::FileKey;

use crate::message::{Command, Health, Ready, Refusal, Report, Start, Unknown, VERSION, Verdict};
use crate::wire;

/// Longest that a gate may take to set its marks.
const READY_WITHIN: Duration = Duration::from_secs(10);
/// Longest that it may take to answer for its health.
const HEALTH_WITHIN: Duration = Duration::from_secs(2);
/// Longest to wait for a killed gate to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(2);
/// Most notices that wait for the daemon, and descriptors, two each.
const NOTICES_MAX: usize = 256;
/// Longest that a command may wait for a gate that does not read.
const SEND_WITHIN: Duration = Duration::from_secs(5);

/// Why there is no gate, or none any more.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GateError {
    /// It could not be started.
    #[error("cannot start the gate `{program}`")]
    Spawn {
        /// What was to be run.
        program: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It said that it cannot work.
    #[error("the gate cannot guard: {reason}; run the daemon as root on Linux 5.1 or later, or turn the gate off")]
    Refused {
        /// Its words.
        reason: String,
    },
    /// It did not answer in time.
    #[error("the gate does not answer; start it anew")]
    Silent,
    /// It has ended. Files open unguarded.
    #[error("the gate is gone; start it anew")]
    Gone(#[source] Option<io::Error>),
}

/// A file that nobody has judged. `file` is open for reading and is the very
/// file that was opened; reading it asks the gate nothing.
///
/// To judge content: take `file::settled_key`, read, take it again, and set a
/// verdict for it only if it is the same; a short one if `file::has_writer`.
#[derive(Debug)]
pub struct Question {
    /// Judge this key.
    pub key: FileKey,
    /// Who opened it; 0 for a process this namespace does not see.
    pub pid: u32,
    /// For whom.
    pub uid: Option<u32>,
    /// Where, for display only.
    pub path: PathBuf,
    /// Whether the opener got it; if not, it was told that verification is
    /// pending.
    pub allowed: bool,
    /// The file.
    pub file: File,
    /// The process (pidfd), where the kernel gives one.
    pub process: Option<OwnedFd>,
}

/// What the gate tells.
#[derive(Debug)]
pub enum Notice {
    /// Judge this.
    Asked(Question),
    /// An open was refused. Some are only counted.
    Denied(Refusal),
    /// Too many deadlines were missed and all marks were taken back: files
    /// open unguarded until the gate is started anew.
    Broken {
        /// Deadlines missed since the start.
        misses: u64,
    },
}

/// A running gate. Dropping it kills it, and whoever waits goes on.
#[derive(Debug)]
pub struct Gate {
    child: Mutex<Child>,
    control: Mutex<UnixStream>,
    notices: Mutex<Option<Receiver<Notice>>>,
    health: Mutex<(u64, Receiver<(u64, Health)>)>,
    dropped: Arc<AtomicU64>,
    ready: Ready,
    pid: u32,
}

impl Gate {
    /// Starts `program` with `args`, which must do nothing but call
    /// [`crate::run`] with its standard input, and waits until it guards.
    /// File systems that could not be marked are in [`Gate::ready`].
    ///
    /// This process is exempt. Its children are not: see [`Gate::exempt`].
    ///
    /// # Errors
    /// [`GateError::Refused`] without root, or on a kernel without permission
    /// events; the others as they say.
    pub fn spawn(program: &Path, args: &[OsString], mut start: Start) -> Result<Self, GateError> {
        start.exempt.push(std::process::id());
        let failed = |source| GateError::Spawn { program: program.to_owned(), source };
        let (ours, theirs) = UnixStream::pair().map_err(failed)?;
        ours.set_write_timeout(Some(SEND_WITHIN)).map_err(failed)?;
        let mut child = std::process::Command::new(program)
            .args(args)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            // Words of a dying gate could block it.
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed)?;
        let begun = begin(&ours, start);
        let (ready, reader) = match begun {
            Ok(begun) => begun,
            Err(e) => {
                end(&mut child);
                return Err(e);
            }
        };
        let (notices_in, notices) = sync_channel(NOTICES_MAX);
        let (health_in, health) = sync_channel(4);
        let dropped = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&dropped);
        std::thread::Builder::new()
            .name("gate".to_owned())
            .spawn(move || listen(&reader, &notices_in, &health_in, &counter))
            .map_err(failed)?;
        let pid = child.id();
        Ok(Self {
            child: Mutex::new(child),
            control: Mutex::new(ours),
            notices: Mutex::new(Some(notices)),
            health: Mutex::new((0, health)),
            dropped,
            ready,
            pid,
        })
    }

    /// What it guards.
    #[must_use]
    pub fn ready(&self) -> &Ready {
        &self.ready
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// What it asks and tells; yours once. Ends when the gate does.
    pub fn notices(&self) -> Option<Receiver<Notice>> {
        self.notices.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Notices dropped because nobody took them. The gate asks again after a
    /// minute about files that nobody judged.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Judges a file for one user or for all, for a time or for good.
    ///
    /// # Errors
    /// [`GateError::Gone`].
    pub fn set(
        &self,
        key: FileKey,
        uid: Option<u32>,
        verdict: Verdict,
        lasting: Option<Duration>,
    ) -> Result<(), GateError> {
        self.send(&Command::Set { key, uid, verdict, for_ms: lasting.map(millis) })
    }

    /// Takes back what was said of a file for anybody.
    ///
    /// # Errors
    /// [`GateError::Gone`].
    pub fn forget(&self, key: FileKey) -> Result<(), GateError> {
        self.send(&Command::Forget { key })
    }

    /// Takes back everything, as when policy changes.
    ///
    /// # Errors
    /// [`GateError::Gone`].
    pub fn clear(&self) -> Result<(), GateError> {
        self.send(&Command::Clear)
    }

    /// Programs, by device and inode, whose new files open while they are not
    /// judged, instead of those named before; at most 256. Refusals stand.
    ///
    /// # Errors
    /// [`GateError::Gone`].
    pub fn writers(&self, programs: &[(u64, u64)]) -> Result<(), GateError> {
        self.send(&Command::Writers(programs.iter().copied().take(crate::message::WRITERS_MAX).collect()))
    }

    /// What to answer about files that nobody has judged.
    ///
    /// # Errors
    /// [`GateError::Gone`].
    pub fn unknown(&self, unknown: Unknown) -> Result<(), GateError> {
        self.send(&Command::Unknown(unknown))
    }

    /// The processes besides this one that are never asked about, instead of
    /// those named before; at most 1,023.
    ///
    /// # Errors
    /// [`GateError::Gone`].
    pub fn exempt(&self, pids: &[u32]) -> Result<(), GateError> {
        let all = std::iter::once(std::process::id()).chain(pids.iter().copied()).take(crate::message::EXEMPT_MAX);
        self.send(&Command::Exempt(all.collect()))
    }

    /// How it does. What was sent before is in force when this returns.
    ///
    /// # Errors
    /// [`GateError::Silent`] after two seconds, [`GateError::Gone`].
    pub fn health(&self) -> Result<Health, GateError> {
        let mut guard = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, answers) = &mut *guard;
        *last = last.wrapping_add(1);
        self.send(&Command::Health { id: *last })?;
        let end = Instant::now() + HEALTH_WITHIN;
        loop {
            match answers.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok((id, health)) if id == *last => return Ok(health),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => return Err(GateError::Silent),
                Err(RecvTimeoutError::Disconnected) => return Err(GateError::Gone(None)),
            }
        }
    }

    /// Whether its process runs. One that is stopped does; ask its health.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        matches!(self.child.lock().unwrap_or_else(PoisonError::into_inner).try_wait(), Ok(None))
    }

    /// Kills it, and whoever waits for its answer goes on. For one that does
    /// not answer for its health.
    pub fn kill(&self) {
        end(&mut self.child.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn send(&self, command: &Command) -> Result<(), GateError> {
        let control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        wire::send(&control, command, &[]).map_err(|e| {
            // Half a frame may be out: nothing more can be said.
            let _ = control.shutdown(std::net::Shutdown::Both);
            GateError::Gone(Some(e))
        })
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        end(self.child.get_mut().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Sends the start and waits for the gate to be ready.
fn begin(control: &UnixStream, start: Start) -> Result<(Ready, UnixStream), GateError> {
    let gone = |e| GateError::Gone(Some(e));
    wire::send(control, &Command::Start { version: VERSION, start }, &[]).map_err(gone)?;
    let reader = control.try_clone().map_err(gone)?;
    reader.set_read_timeout(Some(READY_WITHIN)).map_err(gone)?;
    let first = match wire::receive(&reader) {
        Ok(first) => first,
        Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
            return Err(GateError::Silent);
        }
        Err(e) => return Err(gone(e)),
    };
    reader.set_read_timeout(None).map_err(gone)?;
    match first {
        Some((Report::Ready(ready), _)) => Ok((ready, reader)),
        Some((Report::Failed { reason }, _)) => Err(GateError::Refused { reason }),
        Some(_) => Err(GateError::Refused { reason: "it spoke before it was ready".to_owned() }),
        None => Err(GateError::Gone(None)),
    }
}

/// Takes the gate's reports until it is gone. Never waits for the daemon.
fn listen(control: &UnixStream, notices: &SyncSender<Notice>, health: &SyncSender<(u64, Health)>, dropped: &AtomicU64) {
    while let Ok(Some((report, handles))) = wire::receive(control) {
        let notice = match report {
            Report::Asked { refusal, allowed } => question(refusal, allowed, handles).map(Notice::Asked),
            Report::Denied(refusal) => Some(Notice::Denied(refusal)),
            Report::Broken { misses } => Some(Notice::Broken { misses }),
            Report::Health { id, health: figures } => {
                let _ = health.try_send((id, figures));
                continue;
            }
            Report::Ready(_) | Report::Failed { .. } => continue,
        };
        if notice.is_none_or(|n| notices.try_send(n).is_err()) {
            dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn question(refusal: Refusal, allowed: bool, handles: Vec<OwnedFd>) -> Option<Question> {
    let Refusal { key, pid, uid, path, .. } = refusal;
    let mut handles = handles.into_iter();
    let file = File::from(handles.next()?);
    Some(Question { key, pid, uid, path, allowed, file, process: handles.next() })
}

/// Kills the gate and waits for it, but not for ever: one stuck in the kernel
/// is left to it.
fn end(child: &mut Child) {
    let _ = child.kill();
    let end = Instant::now() + GONE_WITHIN;
    while Instant::now() < end {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
