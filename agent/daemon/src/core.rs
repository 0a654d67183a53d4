//! What all threads of the daemon share, and what happens to a model that was
//! found.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use jiff::Timestamp;
use serde_json::json;
use weighbridge_gate::{Gate, Unknown, Verdict as GateVerdict};
use weighbridge_platform::file::FileKey;
use weighbridge_policy::{Action, Mode, Principal};
use weighbridge_types::{Artifact, Model, Severity, Shown};

use crate::actions;
use crate::config::Config;
use crate::events::{Event, Kind};
use crate::judgement::{Judged, Place, judge};
use crate::policies::{Loaded, Policies, Refresh};
use crate::record::{Known, Record};
use crate::scans::{Found, Scans};
use crate::sensors::Live;
use crate::users::Users;

/// People for whom the gate knows a verdict of their own; others get the
/// machine's until they ask.
const PEOPLE_MAX: usize = 256;

/// What a denied open fails with: EPERM.
const DENIED: GateVerdict = GateVerdict::Deny { errno: 1 };

/// See the module.
pub struct Core {
    pub config: Config,
    pub place: Place,
    pub policies: Policies,
    pub scans: Scans,
    pub record: Record,
    pub gate: Mutex<Option<Arc<Gate>>>,
    pub users: RwLock<Arc<Users>>,
    pub live: Mutex<Live>,
    pub stop: Arc<AtomicBool>,
    /// Something that policy asks for could not be done; it is tried again.
    pub unfinished: AtomicBool,
    pub started: Timestamp,
}

/// A file that was found, and what it is.
pub struct Subject<'a> {
    /// Byte for byte.
    pub path: &'a Path,
    /// Which file it was when it was inspected.
    pub key: FileKey,
    pub artifact: &'a Artifact,
    pub model: Option<&'a Model>,
}

impl Core {
    pub fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The gate, if there is one now.
    pub fn gate(&self) -> Option<Arc<Gate>> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn users(&self) -> Arc<Users> {
        Arc::clone(&self.users.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn mode(&self) -> Mode {
        let policy = self.policies.current();
        if policy.set.is_empty() {
            return Mode::Observe;
        }
        policy.set.data().fleet.mode(self.place.team.as_deref())
    }

    /// Records and tells `event`; what cannot be recorded is said on standard
    /// error, which the service manager keeps.
    pub fn tell(&self, event: &Event) {
        if let Err(e) = self.record.tell(event) {
            eprintln!("weighbridge: {} ({e})", event.text);
        }
    }

    /// A fault of the daemon's own.
    pub fn fault(&self, what: &str, error: &dyn std::fmt::Display) {
        self.tell(&Event::new(
            Severity::Medium,
            Kind::Daemon,
            format!("{what}: {error}"),
            json!({ "fault": what, "error": error.to_string() }),
        ));
    }

    /// Everything that a scan found.
    pub fn found(&self, found: &Found) {
        let policy = self.policies.current();
        let models: HashMap<&str, &Model> =
            found.report.models.iter().flat_map(|m| m.files.iter().map(move |f| (f.as_str(), m))).collect();
        for artifact in &found.report.artifacts {
            let Some((path, key)) = found.files.get(&artifact.path) else { continue };
            // What changed since, or is in quarantine already, is not this file.
            if current_key(path) != Some(*key) {
                continue;
            }
            let model = models.get(artifact.path.as_str()).copied();
            self.consider(&policy, &Subject { path, key: *key, artifact, model });
        }
    }

    /// Decides on a file, records it if anything is new, and acts.
    pub fn consider(&self, policy: &Loaded, subject: &Subject<'_>) -> Judged {
        let now = Timestamp::now();
        let request =
            self.place.request(policy, self.place.as_host(), Action::Store, subject.artifact, subject.model, now);
        let judged = judge(policy, request);
        self.tell_gate(policy, subject, now);
        let known = self.record.known(subject.path);
        let same = known.as_ref().is_some_and(|known| is_same(known, subject, &judged));
        if !same {
            let first = known.is_none();
            if let Err(e) = self.record.decided(policy, subject, &judged, &event(subject, &judged, first)) {
                self.fault("cannot record a decision", &e);
            }
        }
        // What was refused and is still there is tried again at every sweep.
        let ours = self.scans.covers(subject.path);
        if ours && judged.decision.enforced && (!same || judged.decision.refuses()) {
            actions::carry_out(self, subject, &judged, !same);
        }
        judged
    }

    /// What the gate answers from now on when the file is opened.
    fn tell_gate(&self, policy: &Loaded, subject: &Subject<'_>, now: Timestamp) {
        let Some(gate) = self.gate().filter(|_| governs(subject.artifact)) else { return };
        let verdict = |principal: Principal| {
            let request = self.place.request(policy, principal, Action::Load, subject.artifact, subject.model, now);
            if judge(policy, request).decision.refuses() { DENIED } else { GateVerdict::Allow }
        };
        let general = verdict(self.place.as_host());
        let users = self.users();
        let people =
            users.people().take(PEOPLE_MAX).map(|(uid, name)| (Some(uid), verdict(Principal::User(name.to_owned()))));
        let own = people.filter(|(_, own)| *own != general);
        // What was said for single people is void.
        let _ = gate.forget(subject.key);
        for (uid, verdict) in std::iter::once((None, general)).chain(own) {
            // A gate that is gone is started again, and then told everything.
            let _ = gate.set(subject.key, uid, verdict, None);
        }
    }

    /// Looks for another policy, and decides everything again if there is one.
    /// Whether there was: it may bring other rules to inspect by.
    pub fn refresh_policy(&self) -> bool {
        let refresh = self.policies.refresh(Timestamp::now());
        let changed = refresh == Refresh::Changed;
        match refresh {
            Refresh::Same => {}
            Refresh::Refused(reason) => self.tell(&Event::new(
                Severity::High,
                Kind::Policy,
                format!("the policy was refused, the last good one stays in force: {reason}"),
                json!({ "refused": reason }),
            )),
            Refresh::Changed => {
                let policy = self.policies.current();
                self.tell(&Event::new(
                    Severity::Info,
                    Kind::Policy,
                    format!("policy {} is in force, mode {}", policy.revision, self.mode().name()),
                    json!({ "revision": policy.revision, "policies": policy.set.ids().count(), "mode": self.mode().name() }),
                ));
                self.set_gate_mode();
                self.decide_again();
            }
        }
        changed
    }

    /// What the gate answers for files that nobody decided on.
    pub fn set_gate_mode(&self) {
        let unknown = if self.mode() == Mode::Lockdown { Unknown::Pending } else { Unknown::Allow };
        if let Some(gate) = self.gate() {
            let _ = gate.unknown(unknown);
        }
    }

    /// Decides on everything that is recorded, without reading it again.
    pub fn decide_again(&self) {
        let policy = self.policies.current();
        let all = self.record.each(&mut |subject| {
            // What changed since is for the watcher.
            if current_key(subject.path) == Some(subject.key) {
                self.consider(&policy, subject);
            }
        });
        if let Err(e) = all {
            self.fault("cannot decide again", &e);
        }
    }

    /// Files that are no longer there.
    pub fn gone(&self, paths: &[PathBuf]) {
        for path in paths {
            if let Err(e) = self.record.gone(path) {
                self.fault("cannot record that a file is gone", &e);
            }
        }
    }
}

/// Whether the gate has a say over files of this format. Programs and source
/// code that lie beside a model are told, and never kept from anyone.
fn governs(artifact: &Artifact) -> bool {
    weighbridge_formats::FORMATS.iter().find(|f| f.id == artifact.format).is_none_or(|f| f.is_model)
}

/// The key of the file at `path` now, unless it is a link or gone.
pub fn current_key(path: &Path) -> Option<FileKey> {
    std::fs::symlink_metadata(path).ok().filter(std::fs::Metadata::is_file).map(|m| FileKey::from(&m))
}

fn is_same(known: &Known, subject: &Subject<'_>, judged: &Judged) -> bool {
    known.key == subject.key
        && known.decision.as_ref() == Some(&judged.decision)
        && known.artifact.verdict == subject.artifact.verdict
        && known.artifact.findings == subject.artifact.findings
}

/// What is told of a decision.
fn event(subject: &Subject<'_>, judged: &Judged, first: bool) -> Event {
    let (artifact, decision) = (subject.artifact, &judged.decision);
    let severity = artifact.findings.iter().map(|f| f.severity).max().unwrap_or(Severity::Info);
    let severity = if decision.refuses() { severity.max(Severity::Medium) } else { severity };
    let by = decision.policies.join(", ");
    let not = if decision.enforced { "" } else { " (not enforced)" };
    let text = format!(
        "{}{} {}: {} by {by}{not}",
        if first { "" } else { "now " },
        artifact.verdict,
        Shown(&artifact.path),
        decision.effect
    );
    let body = json!({
        "path": artifact.path,
        "sha256": artifact.sha256,
        "format": artifact.format,
        "size_bytes": artifact.size_bytes,
        "verdict": artifact.verdict,
        "findings": artifact.findings.iter().map(|f| &f.rule).collect::<Vec<_>>(),
        "decision": decision,
        "first": first,
    });
    Event::new(severity, Kind::Decision, text, body)
}
