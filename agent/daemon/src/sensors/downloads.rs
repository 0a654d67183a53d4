//! Downloads: told while they run, decided on by what is known of them, and
//! cut where policy says so.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use weighbridge_downloads::{Download, Monitor, Options, Update, What};
use weighbridge_policy::{Action, Assessment, Context, Principal, Recorded};
use weighbridge_types::{ObligationKind, Severity, Shown, Strength};

use crate::actions;
use crate::core::{Core, Subject};
use crate::events::{Event, Kind};
use crate::judgement::{Judged, judge};

/// Time between looks whether to stop.
const PAUSE: Duration = Duration::from_millis(500);

/// Watches until the daemon stops.
pub fn watch(core: &Arc<Core>) {
    let options = Options {
        report_bytes: core.config.downloads.report_bytes,
        threshold_bytes: Options::default().threshold_bytes.min(core.config.downloads.report_bytes),
        exempt_pids: vec![std::process::id()],
    };
    let monitor = match Monitor::start(options) {
        Ok(monitor) => monitor,
        Err(e) => return core.fault("downloads are not watched", &e),
    };
    while !core.stop.load(Ordering::Relaxed) {
        for update in monitor.wait(PAUSE) {
            core.live().note(update.download());
            match update {
                Update::Started(download) => began(core, &download),
                Update::Ended(download) => core.tell(&event(core, &download, "ended")),
                Update::Progress(_) => {}
            }
        }
    }
}

fn began(core: &Core, download: &Download) {
    let policy = core.policies.current();
    let judged = judge(&policy, request(core, download));
    let mut event = event(core, download, "began");
    if judged.decision.refuses() {
        event.severity = Severity::High;
        event.text.push_str(&format!(": denied by {}", judged.decision.policies.join(", ")));
    }
    let path = download.file.as_ref().map(|f| f.to_string_lossy().into_owned()).unwrap_or_default();
    if let Err(e) = core.record.judged(&judged.record(&policy, &path), &event) {
        core.fault("cannot record a download", &e);
    }
    act(core, download, &judged);
}

fn act(core: &Core, download: &Download, judged: &Judged) {
    let wants = |kind: ObligationKind| judged.decision.obligations.iter().any(|o| o.kind == kind);
    if !judged.decision.enforced || !judged.decision.refuses() {
        return;
    }
    if wants(ObligationKind::SeverConnection) && core.config.actions.sever {
        cut(core, download);
    }
    if wants(ObligationKind::KillHolder) && core.config.actions.kill {
        end(core, download);
    }
}

/// The request to download, as far as anything is known of the model yet: no
/// digest, no verdict, but format, size and where it claims to come from.
fn request(core: &Core, download: &Download) -> Recorded {
    let origins = download.evidence.iter().filter_map(|e| {
        let strength = if e.what == What::Layout { Strength::Record } else { Strength::Hint };
        Some((format!("pkg:{}/{}", e.hub?, e.value), strength))
    });
    let name = download.file.as_ref().and_then(|f| f.file_name()).unwrap_or_default();
    let model = Assessment {
        name: name.to_string_lossy().into_owned(),
        format: download.format.unwrap_or("unknown").to_owned(),
        size_bytes: download.length_bytes.max(download.bytes_received),
        verdict: weighbridge_types::Verdict::Unknown,
        origin: download.evidence.iter().any(|e| e.hub.is_some()).then_some(Strength::Hint),
        origins: origins.take(16).collect(),
        ..Assessment::default()
    };
    let host = download.evidence.iter().find(|e| e.what == What::Remote).map(|e| e.value.clone());
    Recorded {
        principal: Principal::User(core.users().name(download.uid)),
        action: Action::Download,
        model,
        context: Context {
            team: core.place.team.clone(),
            host: Some(core.place.host.clone()),
            opener: download.exe.as_ref().map(|e| e.to_string_lossy().into_owned()),
            hub_host: host.or_else(|| download.remote.first().map(ToString::to_string)),
            bytes: Some(download.bytes_received),
            ..Context::at(Timestamp::now())
        },
    }
}

fn event(core: &Core, download: &Download, what: &str) -> Event {
    let program = download.exe.as_ref().and_then(|e| e.file_name()).unwrap_or_default().to_string_lossy().into_owned();
    let file = download.file.as_ref().map(|f| f.to_string_lossy().into_owned()).unwrap_or_default();
    let from = download.evidence.first().map(|e| e.value.clone());
    let from = from.or_else(|| download.remote.first().map(ToString::to_string)).unwrap_or_default();
    let text = format!(
        "a download {what}: {} by {} ({}) from {}, {} MB of {}",
        Shown(&file),
        Shown(&program),
        Shown(&core.users().name(download.uid)),
        Shown(&from),
        download.bytes_received / 1_000_000,
        download.format.unwrap_or("an unknown format"),
    );
    let body = serde_json::to_value(download).unwrap_or(Value::Null);
    let severity = if download.model { Severity::Low } else { Severity::Info };
    Event::new(severity, Kind::Download, text, json!({ "download": body, "what": what }))
}

/// Cuts the downloads that write `subject`.
pub fn sever(core: &Core, subject: &Subject<'_>) {
    let writing = |d: &Download| d.file_key.is_some_and(|k| (k.dev, k.ino) == (subject.key.dev, subject.key.ino));
    let downloads: Vec<Download> = core.live().downloads.iter().filter(|d| writing(d)).cloned().collect();
    downloads.iter().for_each(|download| cut(core, download));
}

fn cut(core: &Core, download: &Download) {
    let shown = Shown(&download.file.as_ref().map(|f| f.to_string_lossy()).unwrap_or_default()).to_string();
    match weighbridge_downloads::sever(download) {
        Ok(sockets) => core.tell(&Event::new(
            Severity::High,
            Kind::Action,
            format!("the download of {shown} was cut ({sockets} connections)"),
            json!({ "action": "sever_connection", "download": download.id, "connections": sockets }),
        )),
        Err(e) => {
            // Without the kernel's help the process has to go, if policy may.
            actions::failed(core, "sever_connection", &shown, &e.to_string());
            if core.config.actions.kill {
                end(core, download);
            }
        }
    }
}

fn end(core: &Core, download: &Download) {
    let Some(pid) = download.pid else { return };
    match actions::end(pid) {
        Ok(()) => core.tell(&Event::new(
            Severity::High,
            Kind::Action,
            format!("process {pid} was ended: it downloaded a denied model"),
            json!({ "action": "kill_holder", "pid": pid, "download": download.id }),
        )),
        Err(e) => actions::failed(core, "kill_holder", &format!("process {pid}"), &e.to_string()),
    }
}
