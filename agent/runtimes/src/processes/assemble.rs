//! From what is known of processes to what is told of them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::api::{self, Told};
use super::catalogue::CATALOGUE;
use super::files::Held;
use super::listens::Listening;
use super::procfs::Process;
use super::sensor::{Known, Looked, SILENT_FOR, Sensor, TOLD_FOR};
use super::{Evidence, How, Listen, Loaded, Parent, Runtime, Snapshot, UNKNOWN};

/// Time for asking stacks in one snapshot; who was not asked is in the next.
const ASKING_MAX: Duration = Duration::from_secs(2);
/// Most ancestors told.
const ANCESTORS_MAX: usize = 32;

/// Adds to `snapshot` what the sensor's last looks found.
pub(super) fn runtimes(sensor: &mut Sensor, snapshot: &mut Snapshot, listening: &mut Listening) {
    let family: HashMap<u32, (u32, Option<&'static str>)> = sensor
        .known
        .iter()
        .map(|(pid, k)| (*pid, (k.stat.parent, k.looked.as_ref().and_then(|l| l.stack).map(|(s, _)| s.id))))
        .collect();
    let our_netns = Process::open(&sensor.options.proc, std::process::id()).and_then(|p| p.namespace("net")).ok();
    let mut pids: Vec<u32> = sensor.known.keys().copied().collect();
    pids.sort_unstable();
    let mut asking = Duration::ZERO;
    for pid in pids {
        let Some(mut known) = sensor.known.remove(&pid) else { continue };
        if let Some(looked) = &known.looked {
            snapshot.denied += usize::from(looked.holdings.denied);
            snapshot.truncated |= looked.holdings.truncated;
            if looked.stack.is_some() || !looked.holdings.models.is_empty() {
                sensor.at.store(pid, Ordering::Relaxed);
                let process = Process::open(&sensor.options.proc, pid);
                let listens = process.map(|p| listening.of(&p, &looked.holdings.sockets)).unwrap_or_default();
                let api = looked.stack.and_then(|(s, _)| s.api).filter(|_| sensor.options.ask_apis);
                if let (Some(api), Some(netns)) = (api, our_netns) {
                    let fresh = known
                        .told
                        .as_ref()
                        .is_some_and(|(at, told)| at.elapsed() < if told.is_some() { TOLD_FOR } else { SILENT_FOR });
                    if !fresh && !listens.is_empty() && asking < ASKING_MAX {
                        let start = Instant::now();
                        known.told = Some((start, api::ask(api, &listens, netns)));
                        asking += start.elapsed();
                    }
                }
                let told = known.told.as_ref().and_then(|(_, told)| told.as_ref());
                snapshot.runtimes.push(runtime(sensor, pid, &known, looked, listens, told, &family));
            }
        }
        sensor.known.insert(pid, known);
    }
}

fn runtime(
    sensor: &Sensor,
    pid: u32,
    known: &Known,
    looked: &Looked,
    listens: Vec<Listen>,
    told: Option<&Told>,
    family: &HashMap<u32, (u32, Option<&'static str>)>,
) -> Runtime {
    let ancestors = ancestors(pid, family);
    let own = looked.stack.map(|(s, _)| s.id);
    Runtime {
        pid,
        start_ticks: known.stat.start_ticks,
        started_s: sensor.started_s(known.stat.start_ticks),
        uid: looked.uid,
        user: sensor.users.name(looked.uid),
        stack: own.unwrap_or(UNKNOWN).to_owned(),
        evidence: looked.stack.map_or(Evidence::Model, |(_, e)| e),
        name: known.stat.marks.comm.escape_debug().to_string(),
        exe: looked.exe.clone(),
        command: looked.command.shown(),
        parent: parent(own, looked, &ancestors, family),
        ancestors,
        loaded: loaded(looked, told),
        remote_models: told.map(|t| t.remote.clone()).unwrap_or_default(),
        listens,
    }
}

/// Processes from the parent up. Ids come from looks at different moments, so
/// that they might form a ring; the limit ends it.
fn ancestors(pid: u32, family: &HashMap<u32, (u32, Option<&'static str>)>) -> Vec<u32> {
    let mut out: Vec<u32> = Vec::new();
    let mut at = pid;
    while let Some((parent, _)) = family.get(&at)
        && *parent != 0
        && !out.contains(parent)
        && out.len() < ANCESTORS_MAX
    {
        out.push(*parent);
        at = *parent;
    }
    out
}

/// The nearest ancestor that is a stack; where a program lies, if its parent
/// has gone.
fn parent(
    own: Option<&'static str>,
    looked: &Looked,
    ancestors: &[u32],
    family: &HashMap<u32, (u32, Option<&'static str>)>,
) -> Option<Parent> {
    let above = ancestors.iter().find_map(|pid| Some((*pid, family.get(pid)?.1?)));
    let above = above.map(|(pid, stack)| Parent { pid: Some(pid), stack: stack.to_owned() });
    let holder = || {
        let stack = looked.exe.as_deref().and_then(|exe| CATALOGUE.holder(exe))?;
        (Some(stack) != own).then(|| Parent { pid: None, stack: stack.to_owned() })
    };
    above.or_else(holder)
}

fn loaded(looked: &Looked, told: Option<&Told>) -> Vec<Loaded> {
    let mut out: Vec<Loaded> = looked.holdings.models.iter().map(from_held).collect();
    for (name, file) in &looked.named {
        let one = file.as_ref().map_or_else(|| from_name(name), from_held);
        // The handle proves what the command line only claims.
        let proven = |l: &Loaded| l.ino.is_some() && (l.dev, l.ino) == (one.dev, one.ino);
        if !out.iter().any(proven) {
            out.push(one);
        }
    }
    out.sort_by(|a, b| (a.how, &a.path).cmp(&(b.how, &b.path)));
    out.extend(told.iter().flat_map(|t| t.loaded.iter().cloned()));
    out
}

fn from_held(held: &Held) -> Loaded {
    Loaded {
        path: held.path.clone(),
        dev: held.key.map(|k| k.dev),
        ino: held.key.map(|k| k.ino),
        size_bytes: held.key.map(|k| k.size),
        deleted: held.deleted,
        how: held.how,
        format: Some(held.format.to_owned()),
        open_at: held.open_at.clone(),
        remote: false,
    }
}

fn from_name(name: &str) -> Loaded {
    Loaded {
        path: PathBuf::from(name),
        dev: None,
        ino: None,
        size_bytes: None,
        deleted: false,
        how: How::CommandLine,
        format: None,
        open_at: None,
        remote: false,
    }
}
