//! The daemon's life: start, keep going, end.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use jiff::Timestamp;
use serde_json::{Value, json};
use weighbridge_platform::file::FileKey;
use weighbridge_platform::priority;
use weighbridge_types::{Artifact, Severity, Shown, Verdict};

use crate::config::Config;
use crate::control;
use crate::core::{Core, Subject, current_key};
use crate::error::DaemonError;
use crate::events::{Event, Kind};
use crate::judgement::Place;
use crate::policies::Policies;
use crate::record::{Record, causes};
use crate::scans::{Found, Scans, Work};
use crate::users::Users;
use crate::{console, guard, manager, sensors, watch};

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
/// Most that waits to be decided on while a sweep goes on.
const MET_MAX: usize = 64;
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
        guard::start(&core, program);
    }
    core.decide_again();
    let (ring, rung) = crossbeam_channel::bounded(1);
    let answering = Arc::clone(&core);
    std::thread::spawn(move || control::serve(&answering, &listener));
    let (swept, judged) = crossbeam_channel::bounded(MET_MAX);
    // Looking is in no hurry; doing something about what was found is.
    let mut threads = vec![
        spawn("judge", &core, move |core| judge_sweeps(core, &judged)),
        spawn("sweep", &core, move |core| sweep(core, &rung, &swept)),
    ];
    if core.config.gate.enabled {
        let program = program.to_path_buf();
        threads.push(spawn("guard", &core, move |core| guard::keep(core, &program)));
    }
    if core.config.files.watch {
        let ring = ring.clone();
        threads.push(spawn("watch", &core, move |core| watch::run(core, &ring)));
    }
    let reporting = ring.clone();
    threads.push(spawn("console", &core, move |core| console::run(core, &reporting)));
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
    supervise(&core, &ring);
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

/// What a sweep hands to whoever decides.
enum Met {
    /// A file that is malicious by itself, whatever it belongs to: a first
    /// sweep can take hours.
    Malicious { path: PathBuf, key: FileKey, artifact: Box<Artifact> },
    /// All that was found.
    Swept { found: Box<Found>, began: Timestamp, took: Duration },
}

/// Sweeps now, then from time to time, and whenever `rung`.
fn sweep(core: &Arc<Core>, rung: &Receiver<()>, judge: &Sender<Met>) {
    priority::yield_to_others();
    let tell = |path: &Path, key, artifact: &Artifact| {
        if artifact.verdict == Verdict::Malicious {
            let (path, artifact) = (path.to_path_buf(), Box::new(artifact.clone()));
            let _ = judge.send(Met::Malicious { path, key, artifact });
        }
    };
    let mut patience = RETRY_AFTER;
    while !core.stop.load(Ordering::Relaxed) {
        let mut least = RETRY_AFTER;
        let mut most = core.config.sweep();
        let (began, started) = (Timestamp::now(), Instant::now());
        match core.scans.run_telling(Work::Sweep, &core.policies.current(), &tell) {
            Ok(_) if core.stop.load(Ordering::Relaxed) => return,
            // The last one ends with the daemon.
            Ok(found) => {
                patience = RETRY_AFTER;
                let _ = judge.send(Met::Swept { found: Box::new(found), began, took: started.elapsed() });
            }
            Err(e) => {
                core.fault("the sweep could not be done; it will be tried again", &causes(e));
                (least, most) = (patience, patience);
                patience = (patience * 2).min(DECIDE_EVERY);
            }
        }
        // However often it is rung, a sweep is not all that the machine does.
        let done = Instant::now();
        while done.elapsed() < most && !core.stop.load(Ordering::Relaxed) {
            if done.elapsed() < least {
                std::thread::sleep(PAUSE);
            } else if rung.recv_timeout(PAUSE).is_ok() {
                break;
            }
        }
    }
}

/// Decides on what sweeps found, until there are no more.
fn judge_sweeps(core: &Core, sweeps: &Receiver<Met>) {
    for met in sweeps {
        match met {
            Met::Malicious { path, key, artifact } => {
                // One that was there before has been decided on with all that
                // is known of it; one that changed is for the watcher.
                let known = core.record.known(&path).is_some_and(|known| known.key == key);
                if !known && current_key(&path) == Some(key) {
                    let subject = Subject { path: &path, key, artifact: &artifact, model: None };
                    core.consider(&core.policies.current(), &subject);
                }
            }
            Met::Swept { found, began, took } => swept(core, &found, began, took),
        }
    }
}

fn swept(core: &Core, found: &Found, began: Timestamp, took: Duration) {
    core.found(found);
    if let Err(e) = core.record.swept(&core.scans.roots(), found, began) {
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

/// Keeps policy, users and decisions fresh until told to stop.
fn supervise(core: &Arc<Core>, sweep: &Sender<()>) {
    let every = Duration::from_secs(core.config.policy.check_seconds);
    let (mut policy_at, mut users_at) = (Instant::now() + every, Instant::now() + USERS_EVERY);
    let mut retry = RETRY_AFTER;
    let (mut decide_at, mut retry_at) = (Instant::now() + DECIDE_EVERY, Instant::now() + RETRY_AFTER);
    let mut seal_at = Instant::now() + SEAL_EVERY;
    manager::tell("READY=1");
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
        let gate = self.gate().map(|gate| json!({ "ready": gate.ready(), "health": gate.health().ok() }));
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
}
