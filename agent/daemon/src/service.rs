//! The daemon's life: start, keep going, end.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use jiff::Timestamp;
use serde_json::{Value, json};
use weighbridge_gate::{Gate, Notice, Refusal, Start};
use weighbridge_platform::file::{FileKey, has_writer, settled_key};
use weighbridge_platform::priority;
use weighbridge_types::{Severity, Shown};

use crate::config::Config;
use crate::control;
use crate::core::{Core, Subject};
use crate::error::DaemonError;
use crate::events::{Event, Kind};
use crate::judgement::Place;
use crate::policies::Policies;
use crate::record::Record;
use crate::scans::{Found, Scans, Work};
use crate::users::Users;
use crate::{manager, sensors, watch};

/// Time between looks at signals.
const PAUSE: Duration = Duration::from_millis(200);
/// Time between looks at the user database.
const USERS_EVERY: Duration = Duration::from_secs(300);
/// Time between signatures of the audit record, and signs of life.
const SEAL_EVERY: Duration = Duration::from_secs(20);
/// Time between looks at everything that is recorded, with the time as it is.
const DECIDE_EVERY: Duration = Duration::from_secs(3600);
/// Time between tries of what could not be done.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// How long an answer holds about a file that somebody writes.
const WRITTEN: Duration = Duration::from_secs(5);
/// Time for threads to end when the daemon does.
const GRACE: Duration = Duration::from_secs(10);

/// Runs the daemon until SIGTERM or SIGINT. `program` is the `weighbridge`
/// binary, which is also the gate and the scan worker.
///
/// # Errors
/// [`DaemonError`] if it could not start; what fails later is told.
pub fn run(config: Config, program: &Path) -> Result<(), DaemonError> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&stop))
            .map_err(|source| DaemonError::System { what: "handle signals", source })?;
    }
    let core = Arc::new(open(config, program, stop)?);
    for left in core.record.opening() {
        core.tell(&Event::new(Severity::Medium, Kind::Daemon, left, Value::Null));
    }
    let listener = control::listen(&core.config.socket)?;
    core.refresh_policy();
    if core.config.gate.enabled {
        start_gate(&core, program);
    }
    core.decide_again();
    let (ring, rung) = crossbeam_channel::bounded(1);
    let answering = Arc::clone(&core);
    std::thread::spawn(move || control::serve(&answering, &listener));
    let (swept, judged) = crossbeam_channel::bounded(1);
    // Looking is in no hurry; doing something about what was found is.
    let mut threads = vec![
        spawn("judge", &core, move |core| judge_sweeps(core, &judged)),
        spawn("sweep", &core, move |core| sweep(core, &rung, &swept)),
    ];
    if core.config.files.watch {
        let ring = ring.clone();
        threads.push(spawn("watch", &core, move |core| watch::run(core, &ring)));
    }
    if core.config.downloads.enabled {
        threads.push(spawn("downloads", &core, sensors::watch_downloads));
    }
    if core.config.runtimes.enabled {
        threads.push(spawn("runtimes", &core, sensors::watch_runtimes));
    }
    if core.config.gpu.enabled {
        threads.push(spawn("gpus", &core, sensors::watch_gpus));
    }
    core.tell(&Event::new(
        Severity::Info,
        Kind::Daemon,
        format!("the daemon runs, mode {}", core.mode().name()),
        json!({ "version": env!("CARGO_PKG_VERSION"), "mode": core.mode().name() }),
    ));
    println!("weighbridge: watching; `weighbridge status --socket {}` shows more", core.config.socket.display());
    supervise(&core, program, &ring);
    end(&core, threads);
    Ok(())
}

fn open(config: Config, program: &Path, stop: Arc<AtomicBool>) -> Result<Core, DaemonError> {
    let unusable = |reason: String| DaemonError::State { path: config.state.display().to_string(), reason };
    let record = Record::open(&config.state).map_err(unusable)?;
    let policies = Policies::new(config.policy.clone(), &config.state).map_err(unusable)?;
    let scans = Scans::new(config.files.clone(), &config.state, program.to_path_buf(), Arc::clone(&stop));
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    Ok(Core {
        place: Place { host, team: config.team.clone() },
        policies,
        scans,
        record,
        gate: Mutex::new(None),
        users: RwLock::new(Arc::new(Users::read())),
        live: Mutex::default(),
        stop,
        unfinished: AtomicBool::new(false),
        started: Timestamp::now(),
        config,
    })
}

fn spawn(
    name: &str,
    core: &Arc<Core>,
    run: impl FnOnce(&Arc<Core>) + Send + 'static,
) -> (String, Option<JoinHandle<()>>) {
    let core = Arc::clone(core);
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || run(&core));
    (name.to_owned(), thread.ok())
}

/// Sweeps now, then from time to time, and whenever `rung`.
fn sweep(core: &Arc<Core>, rung: &Receiver<()>, judge: &Sender<Swept>) {
    priority::yield_to_others();
    while !core.stop.load(Ordering::Relaxed) {
        let (began, started) = (Timestamp::now(), Instant::now());
        match core.scans.run(Work::Sweep, &core.policies.current()) {
            Ok(_) if core.stop.load(Ordering::Relaxed) => return,
            // The last one ends with the daemon.
            Ok(found) => drop(judge.send(Swept { found, began, took: started.elapsed() })),
            Err(e) => core.fault("the sweep could not be done", &e),
        }
        let until = Instant::now() + core.config.sweep();
        while Instant::now() < until && !core.stop.load(Ordering::Relaxed) {
            if rung.recv_timeout(PAUSE).is_ok() {
                break;
            }
        }
    }
}

/// A sweep that is over.
struct Swept {
    found: Found,
    began: Timestamp,
    took: Duration,
}

/// Decides on what sweeps found, until there are no more.
fn judge_sweeps(core: &Core, sweeps: &Receiver<Swept>) {
    for Swept { found, began, took } in sweeps {
        core.found(&found);
        if let Err(e) = core.record.swept(&core.scans.roots(), &found, began) {
            core.fault("cannot record the sweep", &e);
        }
        let summary = &found.report.summary;
        core.tell(&Event::new(
            Severity::Info,
            Kind::Daemon,
            format!(
                "swept {} files in {} s: {} models, {} bytes read",
                summary.files_seen,
                took.as_secs(),
                summary.models,
                summary.bytes_hashed
            ),
            json!({ "swept": summary, "errors": found.report.errors.len() }),
        ));
    }
}

/// The gate, and the thread that answers what it asks.
fn start_gate(core: &Arc<Core>, program: &Path) {
    let deadline_ms = u32::try_from(core.config.gate.deadline_ms).unwrap_or(u32::MAX);
    let start = Start { deadline_ms, ..Start::new(core.config.gate.marks.clone()) };
    let mut gate = match Gate::spawn(program, &["__gate".into()], start) {
        Ok(gate) => gate,
        Err(e) => return core.fault("the gate is not up; denied models can be opened", &e),
    };
    for error in &gate.ready().errors {
        core.fault(&format!("`{}` is not gated", error.path.display()), &error.reason);
    }
    if !gate.ready().others.is_empty() {
        let others = gate.ready().others.join(", ");
        core.fault("another program answers permission events, too; the two can slow each other down", &others);
    }
    let Some(notices) = gate.notices() else { return };
    *core.gate.lock().unwrap_or_else(PoisonError::into_inner) = Some(gate);
    core.set_gate_mode();
    let core = Arc::clone(core);
    std::thread::spawn(move || {
        for notice in notices {
            let question = match notice {
                Notice::Asked(question) => question,
                Notice::Denied(refusal) => {
                    denied(&core, &refusal);
                    continue;
                }
                Notice::Broken { misses } => {
                    core.fault("the gate missed its deadlines and let go of everything", &format!("{misses} misses"));
                    continue;
                }
            };
            if let Err(e) = asked(&core, question.path, Arc::new(question.file)) {
                core.fault("a file that was opened could not be inspected; it will be asked about again", &e);
            }
        }
    });
}

/// Inspects a file that somebody opens, and says what to answer from now on.
fn asked(core: &Core, path: PathBuf, file: Arc<File>) -> Result<(), String> {
    let settled = || settled_key(&file).map_err(|e| e.to_string());
    let key = settled()?;
    let policy = core.policies.current();
    let found = core.scans.run(Work::Open(Arc::clone(&file), path.clone()), &policy).map_err(|e| e.to_string())?;
    // What changed meanwhile was not inspected: the next open asks again.
    if settled()? != key {
        return Ok(());
    }
    let model = found.report.models.first();
    match found.report.artifacts.first() {
        Some(artifact) => {
            core.consider(&policy, &Subject { path: &path, key, artifact, model });
        }
        // No model after all. Whoever maps it for writing could still make it
        // one without a trace, so this holds for a moment only.
        None => {
            let lasting = has_writer(&file).unwrap_or(true).then_some(WRITTEN);
            core.allow(key, lasting);
        }
    }
    Ok(())
}

/// An open that the gate denied.
fn denied(core: &Core, refusal: &Refusal) {
    let who = refusal.uid.map_or_else(|| "somebody".to_owned(), |uid| core.users().name(uid));
    let path = refusal.path.to_string_lossy();
    core.tell(&Event::new(
        Severity::Medium,
        Kind::Denied,
        format!("{} (process {}) was kept from opening {}", Shown(&who), refusal.pid, Shown(&path)),
        json!({ "refusal": refusal }),
    ));
}

/// Keeps policy, users and gate fresh until told to stop.
fn supervise(core: &Arc<Core>, program: &Path, sweep: &Sender<()>) {
    let every = Duration::from_secs(core.config.policy.check_seconds);
    let (mut policy_at, mut users_at) = (Instant::now() + every, Instant::now() + USERS_EVERY);
    let mut retry = RETRY_AFTER;
    let (mut decide_at, mut retry_at) = (Instant::now() + DECIDE_EVERY, Instant::now() + RETRY_AFTER);
    let mut seal_at = Instant::now() + SEAL_EVERY;
    manager::tell("READY=1");
    let mut restart_at = Instant::now();
    let mut patience = Duration::from_secs(1);
    while !core.stop.load(Ordering::Relaxed) {
        std::thread::sleep(PAUSE);
        if Instant::now() >= policy_at {
            if core.refresh_policy() {
                // One that waits is enough; what neither changed nor is judged
                // otherwise costs a stat.
                let _ = sweep.try_send(());
            }
            policy_at = Instant::now() + every;
        }
        if Instant::now() >= seal_at {
            manager::tell("WATCHDOG=1");
            if let Err(e) = core.record.seal() {
                core.fault("the audit record could not be signed", &e);
            }
            seal_at = Instant::now() + SEAL_EVERY;
        }
        // Approvals, exceptions and policies expire without anything changing.
        if Instant::now() >= decide_at || core.unfinished.load(Ordering::Relaxed) && Instant::now() >= retry_at {
            // What cannot be done for long is told ever less often.
            let again = core.unfinished.swap(false, Ordering::Relaxed);
            retry = if again { (retry * 2).min(DECIDE_EVERY) } else { RETRY_AFTER };
            core.decide_again();
            (decide_at, retry_at) = (Instant::now() + DECIDE_EVERY, Instant::now() + retry);
        }
        if Instant::now() >= users_at {
            *core.users.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Users::read());
            users_at = Instant::now() + USERS_EVERY;
        }
        let mut dead = core.gate.lock().unwrap_or_else(PoisonError::into_inner);
        if dead.as_mut().is_some_and(|gate| !gate.is_alive()) {
            *dead = None;
            drop(dead);
            core.fault("the gate died; opens go through until it is up again", &"restarting");
            restart_at = Instant::now() + patience;
            patience = (patience * 2).min(Duration::from_secs(300));
        } else if dead.is_none() && core.config.gate.enabled && Instant::now() >= restart_at {
            drop(dead);
            restart_at = Instant::now() + patience;
            start_gate(core, program);
            core.decide_again();
        }
    }
}

fn end(core: &Arc<Core>, threads: Vec<(String, Option<JoinHandle<()>>)>) {
    manager::tell("STOPPING=1");
    // Gone first, so that nobody waits for us.
    core.gate.lock().unwrap_or_else(PoisonError::into_inner).take();
    let _ = std::fs::remove_file(&core.config.socket);
    let started = Instant::now();
    for (name, thread) in threads {
        let Some(thread) = thread else { continue };
        while !thread.is_finished() && started.elapsed() < GRACE {
            std::thread::sleep(Duration::from_millis(20));
        }
        if !thread.is_finished() {
            eprintln!("weighbridge: `{name}` did not end in time");
        }
    }
    core.tell(&Event::new(Severity::Info, Kind::Daemon, "the daemon ends", Value::Null));
    if let Err(e) = core.record.close() {
        eprintln!("weighbridge: the record could not be closed: {}", Shown(&e));
    }
}

impl Core {
    /// How the daemon is.
    pub fn status(&self) -> Result<Value, String> {
        let policy = self.policies.current();
        let gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        let gate = gate.as_ref().map(|gate| json!({ "ready": gate.ready(), "health": gate.health().ok() }));
        let live = self.live();
        let place: Option<&PathBuf> = policy.folder.as_ref();
        Ok(json!({
            "version": env!("CARGO_PKG_VERSION"),
            "host": self.place.host,
            "team": self.place.team,
            "started": self.started,
            "mode": self.mode(),
            "policy": {
                "revision": policy.revision,
                "folder": place,
                "loaded_at": policy.loaded_at,
                "policies": policy.set.ids().count(),
                "problem": self.policies.problem(),
            },
            "gate": gate,
            "runtimes": live.snapshot.runtimes.len(),
            "gpus": live.devices.len(),
            "downloads": live.downloads.len(),
            "record": self.record.status()?,
        }))
    }

    /// Lets a file through that turned out to be no model.
    fn allow(&self, key: FileKey, lasting: Option<Duration>) {
        if let Some(gate) = self.gate.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            let _ = gate.set(key, None, weighbridge_gate::Verdict::Allow, lasting);
        }
    }
}
