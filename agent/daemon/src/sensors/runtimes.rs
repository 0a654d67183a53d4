//! Inference stacks that run: told when they appear, when they hold a model
//! that policy refuses, and when others than this machine can reach them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::json;
use weighbridge_policy::{Action, Principal};
use weighbridge_runtimes::processes::{How, Loaded, Options, Runtime, Watched};
use weighbridge_types::{Severity, Shown};

use crate::core::Core;
use crate::events::{Event, Kind};
use crate::judgement::judge;
use crate::record::Known;
use crate::scans::Work;

/// Time for one look; a process on a dead file system can make it wait.
const PATIENCE: Duration = Duration::from_secs(5);
/// Time between looks whether to stop.
const PAUSE: Duration = Duration::from_millis(250);
/// Longest a model that nobody has inspected may be for being inspected
/// because a process holds it; larger ones wait for the sweep, bytes.
const INSPECT_BYTES_MAX: u64 = 64 << 30;

/// A process for good: its number and when it started.
type Process = (u32, u64);

/// Watches until the daemon stops.
pub fn watch(core: &Arc<Core>) {
    let mut sensor = Watched::new(Options { ask_apis: core.config.runtimes.ask, ..Options::default() });
    // What was told of each process.
    let mut told: BTreeMap<Process, BTreeSet<String>> = BTreeMap::new();
    let every = Duration::from_secs(core.config.runtimes.seconds);
    while !core.stop.load(Ordering::Relaxed) {
        match sensor.snapshot(PATIENCE) {
            Ok(snapshot) => {
                let alive: BTreeSet<Process> = snapshot.runtimes.iter().map(|r| (r.pid, r.start_ticks)).collect();
                told.retain(|process, _| alive.contains(process));
                for runtime in &snapshot.runtimes {
                    let said = told.entry((runtime.pid, runtime.start_ticks)).or_default();
                    look(core, runtime, said);
                }
                core.live().snapshot = snapshot;
            }
            Err(e) => core.fault("processes are not watched", &e),
        }
        let until = Instant::now() + every;
        while Instant::now() < until && !core.stop.load(Ordering::Relaxed) {
            std::thread::sleep(PAUSE.min(until.saturating_duration_since(Instant::now())));
        }
    }
}

fn look(core: &Core, runtime: &Runtime, said: &mut BTreeSet<String>) {
    let who = format!("{} (process {} of {})", runtime.stack, runtime.pid, Shown(&core.users().name(runtime.uid)));
    if said.insert("runs".to_owned()) {
        let event = Event::new(Severity::Info, Kind::Runtime, format!("{who} runs"), json!({ "runtime": runtime }));
        core.tell(&event);
    }
    for listen in runtime.listens.iter().filter(|l| l.exposed) {
        if said.insert(format!("listens {}:{}", listen.address, listen.port)) {
            core.tell(&Event::new(
                Severity::Medium,
                Kind::Runtime,
                format!("{who} can be reached from other machines on {}:{}", listen.address, listen.port),
                json!({ "pid": runtime.pid, "stack": runtime.stack, "listen": listen }),
            ));
        }
    }
    for loaded in runtime.loaded.iter().filter(|l| matches!(l.how, How::Descriptor | How::Map)) {
        if said.insert(format!("holds {:?}:{:?}", loaded.dev, loaded.ino)) {
            holds(core, runtime, loaded, &who);
        }
    }
}

/// Decides whether this process may hold this model.
fn holds(core: &Core, runtime: &Runtime, loaded: &Loaded, who: &str) {
    let Some(known) = inspected(core, loaded) else { return };
    let policy = core.policies.current();
    let workload = Principal::Workload(runtime.stack.clone());
    let now = Timestamp::now();
    let mut request = core.place.request(&policy, workload, Action::Load, &known.artifact, known.model.as_ref(), now);
    request.context.runtime = Some(runtime.stack.clone());
    request.context.opener = runtime.exe.as_ref().map(|e| e.to_string_lossy().into_owned());
    let judged = judge(&policy, request);
    let path = loaded.path.to_string_lossy();
    let refused = judged.decision.refuses();
    let verb = if refused { "holds, against policy," } else { "holds" };
    let event = Event::new(
        if refused { Severity::High } else { Severity::Info },
        Kind::Runtime,
        format!("{who} {verb} {}", Shown(&path)),
        json!({ "pid": runtime.pid, "stack": runtime.stack, "loaded": loaded, "decision": judged.decision }),
    );
    if let Err(e) = core.record.judged(&judged.record(&policy, &path), &event) {
        core.fault("cannot record what a process holds", &e);
    }
    let kills = judged.decision.obligations.iter().any(|o| o.kind == weighbridge_types::ObligationKind::KillHolder);
    if refused && judged.decision.enforced && kills && core.config.actions.kill {
        match crate::actions::end(runtime.pid) {
            Ok(()) => core.tell(&Event::new(
                Severity::High,
                Kind::Action,
                format!("{who} was ended"),
                json!({ "action": "kill_holder", "pid": runtime.pid, "path": path }),
            )),
            Err(e) => crate::actions::failed(core, "kill_holder", who, &e.to_string()),
        }
    }
}

/// What is known of the very file that the process holds, inspected now if it
/// never was.
fn inspected(core: &Core, loaded: &Loaded) -> Option<Known> {
    use std::os::unix::fs::MetadataExt;
    let (dev, ino) = (loaded.dev?, loaded.ino?);
    if let Some(known) = core.record.known_inode(dev, ino) {
        return Some(known);
    }
    let place: &PathBuf = loaded.open_at.as_ref()?;
    let file = std::fs::File::open(place).ok()?;
    let meta = file.metadata().ok().filter(|m| m.is_file() && (m.dev(), m.ino()) == (dev, ino))?;
    if meta.len() > INSPECT_BYTES_MAX {
        return None;
    }
    let key = weighbridge_platform::file::FileKey::from(&meta);
    let found = core.scans.run(Work::Open(Arc::new(file), loaded.path.clone()), &core.policies.current());
    let found = found.map_err(|e| core.fault("a model that a process holds could not be inspected", &e)).ok()?;
    let artifact = found.report.artifacts.into_iter().next()?;
    Some(Known { key, artifact, decision: None, model: found.report.models.into_iter().next() })
}
