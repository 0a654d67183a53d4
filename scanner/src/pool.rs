//! Confined worker processes and the threads that feed them.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use weighbridge_discovery::Candidate;
use weighbridge_sandbox::Confinement;
use weighbridge_types::{Artifact, Finding, Metadata, Shown, Verdict};

use crate::protocol::{self, Assessed, JOBS_MAX, Job, Reply, Request, Start};
use crate::rules;

/// Bytes of files handed over in one request, unless the first is larger.
const BATCH_BYTES: u64 = 8 << 20;
/// Slowest inspection tolerated as a whole, bytes per second, on top of the
/// time without a sign of life.
const BYTES_PER_SECOND_MIN: u64 = 2 << 20;

/// How to start a worker process: a program that calls
/// [`crate::worker::run`] on its standard input.
#[derive(Debug, Clone)]
pub struct WorkerCommand {
    /// The program, usually ourselves.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// What workers need to know.
pub(crate) struct PoolConfig {
    pub command: WorkerCommand,
    pub start: Start,
    /// Time without a sign of life after which a worker is killed.
    pub silence_max: Duration,
}

/// Receives what workers say; called from several threads.
pub(crate) trait Assessments: Sync {
    fn assessed(&self, candidate: Candidate, assessed: Assessed);
    fn progress(&self, bytes: u64);
    fn started(&self, confinement: &Confinement);
    /// Workers cannot be had; the scan must end.
    fn failed(&self, reason: String);
    fn stopped(&self) -> bool;
}

/// Feeds one worker process from `candidates` until `closed`, replacing it
/// when it dies.
pub(crate) fn feed(
    config: &PoolConfig,
    candidates: &Receiver<Candidate>,
    closed: &AtomicBool,
    sink: &impl Assessments,
) {
    let mut worker = None;
    // Start the worker at once: its start-up overlaps with the walk.
    let mut next = VecDeque::new();
    loop {
        if worker.is_none() {
            match Worker::start(config) {
                Ok((started, confinement)) => {
                    sink.started(&confinement);
                    worker = Some(started);
                }
                Err(reason) => {
                    sink.failed(reason);
                    return;
                }
            }
        }
        if next.is_empty() {
            next = batch(candidates);
        }
        if sink.stopped() || next.is_empty() && closed.load(Ordering::Acquire) {
            return;
        }
        if next.is_empty() {
            continue;
        }
        if let Some(process) = worker.as_mut()
            && let Err(reason) = process.assess(&mut next, sink)
        {
            // The file at the front is the one it was working on.
            if let Some(culprit) = next.pop_front() {
                let assessed = failed(&culprit, &reason);
                sink.assessed(culprit, assessed);
            }
            worker = None;
        }
    }
}

/// The next files to hand over together: waits a moment for the first, takes
/// what is there of small ones.
fn batch(candidates: &Receiver<Candidate>) -> VecDeque<Candidate> {
    let mut out = VecDeque::new();
    let Ok(first) = candidates.recv_timeout(PATIENCE) else { return out };
    let mut bytes = first.meta.len;
    out.push_back(first);
    while bytes < BATCH_BYTES && out.len() < JOBS_MAX {
        let Ok(next) = candidates.try_recv() else { break };
        bytes = bytes.saturating_add(next.meta.len);
        out.push_back(next);
    }
    out
}

/// Time after which a feeder looks whether the queue was closed.
const PATIENCE: Duration = Duration::from_millis(2);

struct Worker {
    process: Option<Child>,
    socket: UnixStream,
    silence_max: Duration,
}

impl Worker {
    fn start(config: &PoolConfig) -> Result<(Self, Confinement), String> {
        let describe =
            |e: io::Error| format!("cannot start the scan worker `{}`: {e}", config.command.program.display());
        let (ours, theirs) = UnixStream::pair().map_err(describe)?;
        let process = Command::new(&config.command.program)
            .args(&config.command.arguments)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(describe)?;
        let worker = Self { process: Some(process), socket: ours, silence_max: config.silence_max };
        worker.socket.set_read_timeout(Some(config.silence_max)).map_err(describe)?;
        worker.socket.set_write_timeout(Some(config.silence_max)).map_err(describe)?;
        protocol::send(&worker.socket, &config.start, &[]).map_err(describe)?;
        match protocol::receive::<Reply>(&worker.socket).map_err(describe)? {
            Some((Reply::Ready(confinement), _)) => Ok((worker, confinement)),
            Some((Reply::Failed(reason), _)) => Err(reason),
            _ => Err("the scan worker ended before it was ready".to_owned()),
        }
    }

    /// Hands over all of `jobs` and takes each off the queue as its
    /// assessment arrives. On an error, the front is what broke it.
    fn assess(&mut self, jobs: &mut VecDeque<Candidate>, sink: &impl Assessments) -> Result<(), String> {
        let request = Request {
            jobs: jobs
                .iter()
                .map(|c| Job {
                    name: c.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                    reason: c.reason,
                })
                .collect(),
        };
        let handles: Vec<_> = jobs.iter().map(|c| c.handle.as_fd()).collect();
        protocol::send(&self.socket, &request, &handles).map_err(|e| self.obituary(&e))?;
        drop(handles);
        let mut since = Instant::now();
        while let Some(job) = jobs.front() {
            let allowed = self.silence_max + Duration::from_secs(job.meta.len / BYTES_PER_SECOND_MIN);
            match protocol::receive::<Reply>(&self.socket) {
                Ok(Some((Reply::Progress(bytes), _))) => {
                    sink.progress(bytes);
                    if since.elapsed() > allowed {
                        return Err(format!("no result after {} seconds", since.elapsed().as_secs()));
                    }
                    if sink.stopped() {
                        jobs.clear();
                        return Ok(());
                    }
                }
                Ok(Some((Reply::Done(assessed), _))) => {
                    if let Some(candidate) = jobs.pop_front() {
                        sink.assessed(candidate, *assessed);
                    }
                    since = Instant::now();
                }
                Ok(Some(_)) => return Err("the worker answered out of turn".to_owned()),
                Ok(None) => return Err(self.obituary(&io::ErrorKind::UnexpectedEof.into())),
                Err(e) => return Err(self.obituary(&e)),
            }
        }
        Ok(())
    }

    /// How the worker came to its end.
    fn obituary(&mut self, error: &io::Error) -> String {
        if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) {
            return format!("the worker gave no sign of life for {} seconds", self.silence_max.as_secs());
        }
        match self.process.as_mut().map(Child::wait) {
            Some(Ok(status)) => format!("the worker died ({status})"),
            _ => format!("the worker could not be reached: {error}"),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // Already dead is as good. Tearing its memory down takes the kernel
            // milliseconds that nobody need wait for.
            let _ = process.kill();
            std::thread::spawn(move || process.wait());
        }
    }
}

/// The assessment of a file whose inspection broke its worker.
fn failed(candidate: &Candidate, reason: &str) -> Assessed {
    let artifact = Artifact {
        path: String::new(),
        size_bytes: candidate.meta.len,
        sha256: None,
        format: "unknown".to_owned(),
        metadata: Metadata::new(),
        verdict: Verdict::Unknown,
        findings: vec![Finding::new(&rules::INSPECTION_FAILED, Shown(reason).to_string())],
        links: Vec::new(),
        also_at: Vec::new(),
        signature: None,
        origin: Vec::new(),
        advisories: Vec::new(),
        decision: None,
        shadow: None,
    };
    Assessed { is_model: true, artifact, hashed: 0, testimony: None, attestations: Vec::new() }
}
