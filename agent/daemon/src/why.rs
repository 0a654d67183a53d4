//! Why a file may or may not be used: what it is, what policy says, who can
//! change that.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use weighbridge_platform::file::FileKey;
use weighbridge_policy::{Action, Principal};
use weighbridge_types::Shown;

use crate::control::Caller;
use crate::core::Core;
use crate::judgement::judge;
use crate::reach;
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
    let file = reach::open(path, caller.uid, caller.is_administrator())
        .map_err(|e| format!("`{shown}` is no regular file, or not yours to ask about ({e})"))?;
    let key = |file: &File| file.metadata().map(|m| FileKey::from(&m)).map_err(|e| format!("`{shown}`: {e}"));
    let asked = key(&file)?;
    if let Some(known) = core.record.known(path).filter(|known| known.key == asked) {
        let model = core.record.model_of(&known.artifact.path);
        return Ok(Known { model, ..known });
    }
    let file = Arc::new(file);
    let work = Work::Open(Arc::clone(&file), path.to_path_buf());
    let found = core.scans.run(work, &core.policies.current()).map_err(|e| e.to_string())?;
    // What lies elsewhere is not for us to keep.
    if core.scans.covers(path) {
        core.found(&found);
    }
    if key(&file)? != asked {
        return Err(format!("`{shown}` changed while it was looked at; ask again"));
    }
    let artifact = found.report.artifacts.into_iter().next();
    let artifact = artifact.ok_or_else(|| format!("`{shown}` is no model"))?;
    let model = found.report.models.into_iter().find(|m| m.files.contains(&artifact.path));
    Ok(Known { key: asked, artifact, decision: None, model })
}
