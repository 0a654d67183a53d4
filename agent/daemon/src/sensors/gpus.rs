//! GPUs: who keeps them busy, and whether policy lets them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::json;
use weighbridge_policy::{Action, Context, Principal, Request, Resource, decide};
use weighbridge_runtimes::gpu::{Change, GpuOptions, Gpus, Sustained, Threshold};
use weighbridge_types::{ObligationKind, Severity, Shown};

use crate::core::Core;
use crate::events::{Event, Kind};

/// Time between looks.
const EVERY: Duration = Duration::from_secs(5);
/// Time between looks whether to stop.
const PAUSE: Duration = Duration::from_millis(250);

/// Watches until the daemon stops.
pub fn watch(core: &Arc<Core>) {
    let config = &core.config.gpu;
    let mut gpus = Gpus::open(&GpuOptions { nvml: config.nvml.clone(), ..GpuOptions::default() });
    let mut sustained = Sustained::new(Threshold { percent: config.percent.into(), minutes: config.minutes });
    let mut told: BTreeSet<String> = BTreeSet::new();
    while !core.stop.load(Ordering::Relaxed) {
        let readings = gpus.read(Instant::now());
        for error in readings.errors {
            // Once each: a driver that does not match stays so.
            if told.insert(error.to_string()) {
                core.fault("a GPU cannot be watched", &error);
            }
        }
        for change in sustained.feed(Instant::now(), &readings.devices) {
            used(core, &change);
        }
        core.live().devices = readings.devices;
        let until = Instant::now() + EVERY;
        while Instant::now() < until && !core.stop.load(Ordering::Relaxed) {
            std::thread::sleep(PAUSE);
        }
    }
}

/// Decides on a process that keeps a GPU busy.
fn used(core: &Core, change: &Change) {
    let Change::Started { pid, device, percent, minutes } = change else {
        let Change::Ended { pid, device } = change else { return };
        return core.tell(&Event::new(
            Severity::Info,
            Kind::Gpu,
            format!("process {pid} no longer keeps {} busy", Shown(device)),
            json!({ "pid": pid, "device": device }),
        ));
    };
    let stack = core.live().snapshot.runtimes.iter().find(|r| r.pid == *pid).map(|r| r.stack.clone());
    let exe = std::fs::read_link(format!("/proc/{pid}/exe")).ok();
    let name = exe.as_ref().and_then(|e| e.file_name()).map(|n| n.to_string_lossy().into_owned());
    let workload = stack.clone().or(name).unwrap_or_else(|| format!("process {pid}"));
    let policy = core.policies.current();
    let context = Context {
        team: core.place.team.clone(),
        host: Some(core.place.host.clone()),
        opener: exe.as_ref().map(|e| e.to_string_lossy().into_owned()),
        // Whole percents, of which there are at most a hundred.
        gpu_percent: (0..=100_u32).rev().find(|p| f64::from(*p) <= *percent),
        gpu_minutes: Some(*minutes),
        runtime: stack,
        ..Context::at(Timestamp::now())
    };
    let principal = Principal::Workload(workload.clone());
    let resource = Resource::Host(&core.place.host);
    let request = Request { principal: &principal, action: Action::UseGpu, resource, context: &context };
    let decision = decide(&request, &policy.set);
    let refused = decision.refuses();
    let against = if refused { ", against policy" } else { "" };
    let event = Event::new(
        if refused { Severity::High } else { Severity::Low },
        Kind::Gpu,
        format!(
            "{} (process {pid}) kept {} busy at {percent:.0} % for {minutes} minutes{against}",
            Shown(&workload),
            Shown(device)
        ),
        json!({ "change": change, "workload": workload, "decision": decision }),
    );
    let record = json!({
        "policy": policy.revision,
        "request": { "principal": principal, "action": Action::UseGpu, "context": context },
        "decision": decision,
    });
    if let Err(e) = core.record.judged(&record, &event) {
        core.fault("cannot record GPU use", &e);
    }
    let kills = decision.obligations.iter().any(|o| o.kind == ObligationKind::KillHolder);
    if refused && kills && core.config.actions.kill {
        match crate::actions::end(*pid) {
            Ok(()) => core.tell(&Event::new(
                Severity::High,
                Kind::Action,
                format!("{} (process {pid}) was ended: it kept a GPU busy against policy", Shown(&workload)),
                json!({ "action": "kill_holder", "pid": pid, "device": device }),
            )),
            Err(e) => crate::actions::failed(core, "kill_holder", &format!("process {pid}"), &e.to_string()),
        }
    }
}
