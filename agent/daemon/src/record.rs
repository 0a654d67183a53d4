//! What the daemon knows and did, on disk: a thin layer over the state, in the
//! daemon's own words.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};
use weighbridge_platform::file::FileKey;
use weighbridge_state::audit::Verification;
use weighbridge_state::vault::{Entry, EntryId, Reason, Vault, VaultError};
use weighbridge_state::{Filter, NewRequest, State, StateError, StoredArtifact};
use weighbridge_types::{Artifact, Decision, Model, Sha256};

use crate::core::Subject;
use crate::events::Event;
use crate::judgement::Judged;
use crate::policies::Loaded;
use crate::scans::Found;

/// Time for another process to let go of the state.
const HELD_WITHIN: Duration = Duration::from_secs(5);
/// Rows read at once.
const PAGE: usize = 1000;
/// Root under which the models of a sweep are kept; models found by events
/// lie under their own path until the next sweep.
const SWEPT: &str = "/";
/// Most bytes in quarantine: what the disk has is for others to say.
const QUARANTINE_BYTES_MAX: u64 = 1 << 40;
/// Fact with what administrators brought back, and most of it.
const RELEASED: &str = "released";
const RELEASED_MAX: usize = 4096;
/// Most events listed at once.
const EVENTS_MAX: u32 = 10_000;

/// See the module.
pub struct Record {
    /// None once it is closed.
    state: Mutex<Option<State>>,
    vault: Vault,
}

/// Why a file goes into quarantine.
pub struct Why {
    /// For people.
    pub text: String,
    /// Policies that asked for it.
    pub policies: Vec<String>,
    /// Findings.
    pub detail: Value,
}

/// What is known of a file.
#[derive(Debug, Clone)]
pub struct Known {
    pub key: FileKey,
    pub artifact: Artifact,
    pub decision: Option<Decision>,
    /// The model it is part of, where that was asked for.
    pub model: Option<Model>,
}

fn shown(error: StateError) -> String {
    causes(error)
}

/// Tries again for a while what another process still holds: a daemon that was
/// killed a moment ago, or a child that it was just starting.
fn patiently<T, E>(open: impl Fn() -> Result<T, E>, in_use: impl Fn(&E) -> bool) -> Result<T, E> {
    let started = Instant::now();
    loop {
        match open() {
            Err(e) if in_use(&e) && started.elapsed() < HELD_WITHIN => std::thread::sleep(HELD_WITHIN / 50),
            other => return other,
        }
    }
}

fn is_held(error: &VaultError) -> bool {
    matches!(error, VaultError::InUse { .. } | VaultError::Busy { .. })
}

/// An error with its causes.
pub fn causes(error: impl std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(e) = cause {
        text.push_str(&format!(": {e}"));
        cause = e.source();
    }
    text
}

fn known(stored: StoredArtifact) -> Known {
    Known { key: stored.key, artifact: stored.artifact, decision: stored.decision, model: None }
}

impl Record {
    /// Opens the state in `dir`.
    pub fn open(dir: &Path) -> Result<Self, String> {
        let state = patiently(|| State::open(dir), |e| matches!(e, StateError::InUse { .. })).map_err(shown)?;
        let vault = Vault::open(&dir.join("quarantine"), QUARANTINE_BYTES_MAX).map_err(causes)?;
        // What a kill cut short is finished or undone before anything new.
        patiently(|| vault.recover(), is_held).map_err(causes)?;
        Ok(Self { state: Mutex::new(Some(state)), vault })
    }

    /// What the last run left behind, for people: damage, a kill.
    pub fn opening(&self) -> Vec<String> {
        self.with(|state| {
            let opening = state.opening();
            let damaged = opening.damaged.as_ref().map(|d| {
                format!(
                    "the state was damaged ({}); it lies in `{}`, a new one was begun",
                    d.reason,
                    d.moved_to.display()
                )
            });
            let rolled = opening.rolled_back.as_ref().map(|_| {
                "the audit record ends before its last signed head: an older state was put in its place".to_owned()
            });
            let unclean = opening.unclean.then(|| "the last run did not end in order".to_owned());
            Ok(damaged.into_iter().chain(rolled).chain(unclean).collect())
        })
        .unwrap_or_default()
    }

    /// Reads or changes the state.
    pub fn with<T>(&self, f: impl FnOnce(&State) -> Result<T, StateError>) -> Result<T, String> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.as_ref().map_or_else(|| Err("the record is closed".to_owned()), |state| f(state).map_err(shown))
    }

    /// Records `event`, and queues it for a console.
    pub fn tell(&self, event: &Event) -> Result<(), String> {
        self.with(|state| {
            state.transaction(Timestamp::now(), |t| {
                t.audit(event.kind.name(), event)?;
                t.enqueue(event.severity, event.kind.name(), event).map(|_| ())
            })
        })
    }

    /// Records a decision that is about no file of the inventory.
    pub fn judged(&self, judged: &Value, event: &Event) -> Result<(), String> {
        self.with(|state| {
            state.transaction(Timestamp::now(), |t| {
                t.audit("judged", judged)?;
                t.audit(event.kind.name(), event)?;
                t.enqueue(event.severity, event.kind.name(), event).map(|_| ())
            })
        })
    }

    /// Records a file, the decision about it, and tells `event`: all or none.
    pub fn decided(
        &self,
        policy: &Loaded,
        subject: &Subject<'_>,
        judged: &Judged,
        event: &Event,
    ) -> Result<(), String> {
        self.with(|state| {
            state.transaction(Timestamp::now(), |t| {
                t.put_artifact(subject.path, &subject.key, subject.artifact, Some(&judged.decision))?;
                let mut body = judged.record(policy, &subject.artifact.path);
                if let Some(body) = body.as_object_mut() {
                    body.insert("text".to_owned(), event.text.clone().into());
                }
                t.audit("judged", &body)?;
                t.enqueue(event.severity, event.kind.name(), event).map(|_| ())
            })
        })
    }

    /// The file is no longer there.
    pub fn gone(&self, path: &Path) -> Result<(), String> {
        self.with(|state| {
            if state.known(path)?.is_none() {
                return Ok(());
            }
            state.transaction(Timestamp::now(), |t| {
                t.replace_models(path, &[])?;
                t.remove(path).map(|_| ())
            })
        })
    }

    /// What is known of the file at `path`.
    pub fn known(&self, path: &Path) -> Option<Known> {
        self.with(|state| state.artifact(path)).ok().flatten().map(known)
    }

    /// Files with this content.
    pub fn by_digest(&self, sha256: &Sha256) -> Result<Vec<StoredArtifact>, String> {
        self.with(|state| state.by_digest(sha256))
    }

    /// What is known of the file with this inode.
    pub fn known_inode(&self, dev: u64, ino: u64) -> Option<Known> {
        self.with(|state| state.by_inode(dev, ino)).ok()?.into_iter().next().map(known)
    }

    /// Models that a scan of single files found.
    pub fn models(&self, models: &[Model]) -> Result<(), String> {
        self.with(|state| {
            state.transaction(Timestamp::now(), |t| {
                models.iter().try_for_each(|m| t.replace_models(Path::new(&m.path), std::slice::from_ref(m)))
            })
        })
    }

    /// A sweep of `roots` that began at `began` is done: what it did not meet is
    /// gone, and its models are the models.
    pub fn swept(&self, roots: &[PathBuf], found: &Found, began: Timestamp) -> Result<(), String> {
        let known = self.all_models()?;
        self.with(|state| {
            state.transaction(Timestamp::now(), |t| {
                for (path, _) in found.files.values() {
                    t.seen(path)?;
                }
                for root in roots {
                    t.remove_unseen(root, began)?;
                }
                for root in known.iter().map(|(root, _)| root).filter(|r| *r != Path::new(SWEPT)) {
                    t.replace_models(root, &[])?;
                }
                t.replace_models(Path::new(SWEPT), &found.report.models)
            })
        })
    }

    fn all_models(&self) -> Result<Vec<(PathBuf, Model)>, String> {
        self.with(|state| {
            let (mut out, mut after) = (Vec::new(), None);
            loop {
                let page = state.models(after, PAGE)?;
                let Some(last) = page.last() else { return Ok(out) };
                after = Some(last.id);
                out.extend(page.into_iter().map(|m| (m.root, m.model)));
            }
        })
    }

    /// The model that the file at `path` (as reports write it) is part of.
    pub fn model_of(&self, path: &str) -> Option<Model> {
        self.all_models().ok()?.into_iter().map(|(_, model)| model).find(|m| m.files.iter().any(|f| f == path))
    }

    /// Every file of the inventory, with its model.
    pub fn each(&self, f: &mut dyn FnMut(&Subject<'_>)) -> Result<(), String> {
        let models = self.all_models()?;
        let by_file: HashMap<&str, &Model> =
            models.iter().flat_map(|(_, m)| m.files.iter().map(move |f| (f.as_str(), m))).collect();
        let mut after: Option<PathBuf> = None;
        loop {
            let page = self.with(|state| state.artifacts(Filter::All, after.as_deref(), PAGE))?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.path.clone());
            for row in &page {
                f(&Subject {
                    path: &row.path,
                    key: row.key,
                    artifact: &row.artifact,
                    model: by_file.get(row.artifact.path.as_str()).copied(),
                });
            }
        }
    }

    /// Models and their files, as far as the caller `may` see them.
    pub fn list(&self, may: &dyn Fn(&Path) -> bool) -> Result<Value, String> {
        let mut files = Vec::new();
        let mut after: Option<PathBuf> = None;
        loop {
            let page = self.with(|state| state.artifacts(Filter::All, after.as_deref(), PAGE))?;
            let Some(last) = page.last() else { break };
            after = Some(last.path.clone());
            files.extend(page.into_iter().filter(|row| may(&row.path)).map(|row| {
                json!({
                    "path": row.artifact.path,
                    "sha256": row.artifact.sha256,
                    "format": row.artifact.format,
                    "size_bytes": row.artifact.size_bytes,
                    "verdict": row.artifact.verdict,
                    "decision": row.decision,
                    "first_seen": row.first_seen,
                    "last_seen": row.last_seen,
                })
            }));
        }
        let seen: std::collections::HashSet<&str> = files.iter().filter_map(|f| f.get("path")?.as_str()).collect();
        let models: Vec<Model> = self
            .all_models()?
            .into_iter()
            .map(|(_, m)| m)
            .filter(|m| m.files.iter().any(|f| seen.contains(f.as_str())))
            .collect();
        Ok(json!({ "files": files, "models": models }))
    }

    /// The last `limit` entries of the audit record.
    pub fn events(&self, limit: u32) -> Result<Value, String> {
        let limit = limit.min(EVENTS_MAX);
        self.with(|state| {
            let last = state.head()?.map_or(0, |h| h.seq);
            let entries = state.entries(last.saturating_sub(limit.into()), usize::try_from(limit).unwrap_or(0))?;
            let shown = |e: weighbridge_state::audit::Entry| {
                let body: Value = serde_json::from_str(&e.body).unwrap_or(Value::Null);
                json!({ "seq": e.seq, "at": e.at, "kind": e.kind, "body": body })
            };
            Ok(Value::Array(entries.into_iter().map(shown).collect()))
        })
    }

    /// Files a request for approval, and gives its number.
    pub fn request(&self, uid: u32, user: &str, sha256: &Sha256, path: &Path, reason: &str) -> Result<i64, String> {
        let new = NewRequest {
            uid,
            user: user.to_owned(),
            sha256: Some(*sha256),
            path: path.to_path_buf(),
            reason: reason.to_owned(),
        };
        self.with(|state| state.transaction(Timestamp::now(), |t| t.request(&new)))
    }

    /// Requests for the bytes of `artifact`.
    pub fn requests_for(&self, artifact: &Artifact) -> Result<Value, String> {
        let requests = self.with(|state| state.requests(None, None, PAGE))?;
        let same = requests.into_iter().filter(|r| artifact.sha256.is_some() && r.asked.sha256 == artifact.sha256);
        let shown = |r: weighbridge_state::Request| {
            json!({
                "id": r.id, "user": r.asked.user, "reason": r.asked.reason, "made": r.made,
                "state": r.state, "by": r.by, "note": r.note,
            })
        };
        Ok(Value::Array(same.map(shown).collect()))
    }

    /// Counts, the queue, the head of the audit record.
    pub fn status(&self) -> Result<Value, String> {
        self.with(|state| {
            let (counts, outbox, head) = (state.counts()?, state.outbox()?, state.head()?);
            let verdicts: serde_json::Map<String, Value> =
                counts.by_verdict.iter().map(|c| (c.verdict.name().to_owned(), c.files.into())).collect();
            let dropped: serde_json::Map<String, Value> =
                outbox.dropped.iter().map(|(s, n)| (s.name().to_owned(), (*n).into())).collect();
            Ok(json!({
                "files": counts.files, "bytes": counts.bytes, "refused": counts.refused, "verdicts": verdicts,
                "outbox": { "events": outbox.events, "bytes": outbox.bytes, "oldest": outbox.oldest, "dropped": dropped },
                "audit": head.map(|h| json!({ "seq": h.seq, "at": h.at })),
            }))
        })
    }

    /// Checks the audit record.
    pub fn verify(&self) -> Result<Value, String> {
        self.with(|state| {
            Ok(match state.verify(1..=u64::MAX, None)? {
                Verification::Whole(verified) => {
                    json!({ "whole": true, "entries": verified.entries, "heads": verified.heads })
                }
                Verification::Broken(broken) => json!({ "whole": false, "broken": broken.to_string() }),
            })
        })
    }

    /// Writes the audit record to a new file.
    pub fn export(&self, to: &Path) -> Result<Value, String> {
        let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(to);
        let mut file = file.map_err(|e| format!("cannot write `{}`: {e}", to.display()))?;
        let entries = self.with(|state| state.export(&mut file, 1..=u64::MAX))?;
        file.sync_all().map_err(|e| format!("cannot write `{}`: {e}", to.display()))?;
        let key = self.with(|state| Ok(state.public_key().to_pem()))?;
        Ok(json!({ "entries": entries, "path": to.to_string_lossy(), "public_key": key }))
    }

    /// Moves the open file into quarantine; returns its number.
    pub fn quarantine(&self, file: &File, path: &Path, why: Why) -> Result<String, String> {
        let Why { text, policies, detail } = why;
        let reason = Reason { text, policies, also_at: Vec::new(), detail };
        let take = || self.vault.quarantine(file, path, reason.clone(), Timestamp::now());
        let entry = patiently(take, is_held).map_err(causes)?;
        Ok(entry.id.to_string())
    }

    /// What is in quarantine.
    pub fn quarantined(&self) -> Result<Value, String> {
        let listing = self.vault.list().map_err(causes)?;
        Ok(Value::Array(listing.entries.iter().map(described).collect()))
    }

    /// What is in quarantine from `path`, which is not there any more.
    pub fn in_quarantine(&self, path: &Path) -> Result<Option<(u32, Value)>, String> {
        if std::fs::symlink_metadata(path).is_ok() {
            return Ok(None);
        }
        let entries = self.vault.list().map_err(causes)?.entries;
        let from_there = |e: &&Entry| e.path.0 == path || e.given.0 == path;
        Ok(entries.iter().rev().find(from_there).map(|e| (e.uid, described(e))))
    }

    /// Brings a file back; returns where it is now. It is not taken again as
    /// long as it stays there unchanged.
    pub fn restore(&self, id: &str, to: Option<&Path>) -> Result<PathBuf, String> {
        let id = entry_id(id)?;
        let entry = self.vault.get(&id).map_err(causes)?;
        let to = to.map_or_else(|| entry.path.0.clone(), Path::to_path_buf);
        // First, since the watcher sees the file before we return.
        if let Some(digest) = &entry.sha256 {
            self.release(digest, &to)?;
        }
        self.vault.restore(&id, Some(&to)).map_err(causes)?;
        Ok(to)
    }

    fn release(&self, digest: &Sha256, path: &Path) -> Result<(), String> {
        self.with(|state| {
            state.transaction(Timestamp::now(), |t| {
                let mut released: Vec<String> = t.fact(RELEASED)?.unwrap_or_default();
                released.retain(|r| *r != release(digest, path));
                let excess = (released.len() + 1).saturating_sub(RELEASED_MAX);
                released.drain(..excess);
                released.push(release(digest, path));
                t.set_fact(RELEASED, &released)
            })
        })
    }

    /// Whether an administrator brought exactly this back to exactly there.
    pub fn is_released(&self, digest: &Sha256, path: &Path) -> bool {
        let released: Option<Vec<String>> = self.with(|state| state.fact(RELEASED)).ok().flatten();
        released.is_some_and(|all| all.contains(&release(digest, path)))
    }

    /// Deletes a file in quarantine for good.
    pub fn purge(&self, id: &str) -> Result<(), String> {
        self.vault.purge(&entry_id(id)?).map(|_| ()).map_err(causes)
    }

    /// Signs the end of the audit record, so that it cannot be cut off unseen.
    pub fn seal(&self) -> Result<(), String> {
        self.with(|state| state.seal(Timestamp::now()).map(|_| ()))
    }

    /// Signs the end of the audit record and closes it.
    pub fn close(&self) -> Result<(), String> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner).take();
        state.map_or(Ok(()), |state| state.close(Timestamp::now()).map_err(shown))
    }
}

fn entry_id(text: &str) -> Result<EntryId, String> {
    text.parse()
        .map_err(|_| format!("`{text}` is no number of a file in quarantine; `weighbridge quarantine list` shows them"))
}

fn release(digest: &Sha256, path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    path.as_os_str().as_bytes().iter().fold(format!("{digest} "), |out, b| format!("{out}{b:02x}"))
}

/// An entry of the vault, for people and machines.
fn described(entry: &Entry) -> Value {
    json!({
        "id": entry.id.to_string(),
        "path": entry.path.0.to_string_lossy(),
        "at": entry.taken_at,
        "size_bytes": entry.size,
        "sha256": entry.sha256,
        "uid": entry.uid,
        "mode": format!("{:o}", entry.mode),
        "links": entry.links,
        "note": entry.note,
        "why": { "text": entry.reason.text, "policies": entry.reason.policies, "detail": entry.reason.detail },
    })
}
