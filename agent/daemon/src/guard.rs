//! The gate's life: started, heard, and put out of the way when it does not
//! answer, so that nobody waits for it.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;
use weighbridge_gate::{Gate, GateError, Notice, Refusal, Start, Verdict};
use weighbridge_platform::file::{FileKey, has_writer, settled_key};
use weighbridge_types::{Severity, Shown};

use crate::core::{Core, Subject};
use crate::events::{Event, Kind};
use crate::scans::Work;

/// Time between signs of life.
const PULSE: Duration = Duration::from_millis(500);
/// Time before a gate that died is started again, and the most after it died
/// again and again.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
/// A gate that lived this long died for a new reason.
const LIVED: Duration = Duration::from_secs(60);
/// How long an answer holds about a file that somebody writes.
const WRITTEN: Duration = Duration::from_secs(5);
/// Time between looks at the programs that are approved as writers.
const WRITERS_EVERY: Duration = Duration::from_secs(60);
/// Files inspected at once because somebody opens them: a large one must not
/// keep the others waiting.
const INSPECTIONS: usize = 2;

/// Starts the gate; without one, the reason is told and files open.
pub fn start(core: &Arc<Core>, program: &Path) {
    let deadline_ms = u32::try_from(core.config.gate.deadline_ms).unwrap_or(u32::MAX);
    let start = Start { deadline_ms, ..Start::new(core.config.gate.marks.clone()) };
    let gate = match Gate::spawn(program, &["__gate".into()], start) {
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
    *core.gate.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(gate));
    core.set_gate_mode();
    set_writers(core);
    let notices = Arc::new(Mutex::new(notices));
    for _ in 0..INSPECTIONS {
        let (core, notices) = (Arc::clone(core), Arc::clone(&notices));
        std::thread::spawn(move || hear(&core, &notices));
    }
}

/// Sees to it that there is a gate that answers, until the daemon stops.
pub fn keep(core: &Arc<Core>, program: &Path) {
    let mut patience = PATIENCE.0;
    let (mut started, mut restart_at) = (Instant::now(), Instant::now());
    let mut writers_at = Instant::now();
    while !core.stop.load(Ordering::Relaxed) {
        std::thread::sleep(PULSE);
        let lost = match core.gate() {
            Some(gate) => match gate.health() {
                // Programs are replaced when packages are upgraded.
                Ok(_) if writers_at.elapsed() > WRITERS_EVERY => {
                    writers_at = Instant::now();
                    set_writers(core);
                    continue;
                }
                Ok(_) => continue,
                // Stopped, or starved: whoever opens a file waits for it.
                Err(e @ GateError::Silent) => {
                    gate.kill();
                    Some(e)
                }
                Err(e) => Some(e),
            },
            None => None,
        };
        if let Some(reason) = lost {
            core.gate.lock().unwrap_or_else(PoisonError::into_inner).take();
            core.fault("the gate is lost; files open until it is up again", &reason);
            patience = if started.elapsed() > LIVED { PATIENCE.0 } else { (patience * 2).min(PATIENCE.1) };
            restart_at = Instant::now() + patience;
        } else if Instant::now() >= restart_at {
            (started, restart_at) = (Instant::now(), Instant::now() + patience);
            start(core, program);
            core.decide_again();
        }
    }
}

/// Tells the gate which programs are approved as writers: by file, since a
/// name alone can be worn by anybody in a mount namespace of their own.
fn set_writers(core: &Core) {
    let identity = |path: &PathBuf| std::fs::metadata(path).ok().map(|m| (m.dev(), m.ino()));
    let programs: Vec<(u64, u64)> = core.config.gate.writers.iter().filter_map(identity).collect();
    if let Some(gate) = core.gate() {
        let _ = gate.writers(&programs);
    }
}

/// Answers what the gate asks, until it is gone.
fn hear(core: &Core, notices: &Mutex<Receiver<Notice>>) {
    loop {
        let notice = notices.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match notice {
            Err(_) => return,
            Ok(Notice::Denied(refusal)) => denied(core, &refusal),
            Ok(Notice::Broken { misses }) => {
                core.fault("the gate missed its deadlines and let go of everything", &format!("{misses} misses"));
            }
            Ok(Notice::Asked(question)) => {
                if let Err(e) = asked(core, question.path, Arc::new(question.file)) {
                    core.fault("a file that was opened could not be inspected; it will be asked about again", &e);
                }
            }
        }
    }
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
            allow(core, key, lasting);
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

/// Lets a file through that turned out to be no model.
fn allow(core: &Core, key: FileKey, lasting: Option<Duration>) {
    if let Some(gate) = core.gate() {
        let _ = gate.set(key, None, Verdict::Allow, lasting);
    }
}
