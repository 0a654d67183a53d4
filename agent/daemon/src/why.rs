//! Why a file may or may not be used: what it is, what policy says, who can
//! change that.

use std::path::Path;

use jiff::Timestamp;
use serde_json::{Value, json};
use weighbridge_policy::{Action, Principal};
use weighbridge_types::Shown;

use crate::control::Caller;
use crate::core::{Core, current_key};
use crate::judgement::judge;
use crate::record::Known;
use crate::scans::Work;

/// Answers `weighbridge why`.
pub fn why(core: &Core, caller: Caller, path: &Path, action: Action) -> Result<Value, String> {
    if let Some((owner, entry)) = core.record.in_quarantine(path)?
        && (caller.is_administrator() || caller.uid == owner)
    {
        return Ok(json!({ "path": path.to_string_lossy(), "quarantined": entry }));
    }
    let known = known(core, caller, path)?;
    let policy = core.policies.current();
    let principal = Principal::User(core.users().name(caller.uid));
    let now = Timestamp::now();
    let request = core.place.request(&policy, principal, action, &known.artifact, known.model.as_ref(), now);
    let explained = judge(&policy, request).explained(&policy)?;
    let owners: std::collections::BTreeSet<&String> =
        explained.policies.iter().filter(|p| p.applies && p.forbids).map(|p| &p.owner).collect();
    Ok(json!({
        "path": known.artifact.path,
        "artifact": known.artifact,
        "action": action,
        "policy": policy.revision,
        "explanation": explained,
        "ask": owners,
        "requests": core.record.requests_for(&known.artifact)?,
    }))
}

/// What is known of the file at `path`, as far as `caller` may hear of it;
/// inspected now if it is new.
pub fn known(core: &Core, caller: Caller, path: &Path) -> Result<Known, String> {
    let shown = Shown(&path.to_string_lossy()).to_string();
    let key = current_key(path).filter(|_| caller.may_see(path));
    let key = key.ok_or_else(|| format!("`{shown}` is no regular file, or not yours to ask about"))?;
    if let Some(known) = core.record.known(path).filter(|known| known.key == key) {
        let model = core.record.model_of(&known.artifact.path);
        return Ok(Known { model, ..known });
    }
    let found =
        core.scans.run(Work::Named(vec![path.to_path_buf()]), &core.policies.current()).map_err(|e| e.to_string())?;
    // What lies elsewhere is not for us to keep.
    if core.scans.covers(path) {
        core.found(&found);
    }
    let fresh = found.report.artifacts.into_iter().find(|a| found.files.contains_key(&a.path));
    let artifact = fresh.ok_or_else(|| format!("`{shown}` cannot be inspected"))?;
    // Another file may have taken its place since the caller was let in.
    if found.files.get(&artifact.path).is_none_or(|(_, inspected)| *inspected != key) {
        return Err(format!("`{shown}` changed while it was looked at; ask again"));
    }
    let model = found.report.models.into_iter().find(|m| m.files.contains(&artifact.path));
    Ok(Known { key, artifact, decision: None, model })
}
