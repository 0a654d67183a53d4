//! A policy that changes while models are served.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use weighbridge_gateway::PolicyAuthority;
use weighbridge_types::Shown;

use super::load::{Loaded, Loader};
use crate::commands::decide;

/// Time between looks at the policy.
const EVERY: Duration = Duration::from_secs(1);
/// Most files of a policy looked at for changes.
const FILES_MAX: usize = 10_000;

/// Takes a changed policy over, and stops what it no longer allows.
pub fn watch(folder: &Path, authority: &PolicyAuthority, loader: &Loader, served: &[Loaded], stop: &AtomicBool) {
    // It may have changed while models were being loaded: once it is read in any case.
    let (mut seen, mut broken, mut version) = (BTreeMap::new(), BTreeMap::new(), 1_u64);
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(EVERY);
        let now = marks(folder);
        if now == seen {
            continue;
        }
        let policy = match decide::load(folder) {
            Ok(policy) => policy,
            Err(e) => {
                // It is tried again; said once.
                if now != broken {
                    eprintln!("weighbridge: the policy was changed and cannot be used, the last one stays: {e}");
                    broken = now;
                }
                continue;
            }
        };
        version = version.saturating_add(1);
        for model in served {
            // What allows it now may end sooner, or later, than what did before.
            let renewed = loader
                .decide_again(&policy, model)
                .and_then(|approved| loader.supervisor.renew(approved).map_err(|e| e.to_string()));
            if let Err(reason) = renewed
                && loader.supervisor.revoke_model(&model.name, &reason)
            {
                eprintln!("weighbridge: `{}` is served no more: {}", Shown(&model.name), Shown(&reason));
            }
        }
        authority.replace(policy, version.to_string());
        seen = now;
    }
}

/// Names, lengths and times of the policy's files.
fn marks(folder: &Path) -> BTreeMap<PathBuf, (u64, Option<SystemTime>)> {
    let mut out = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let Ok(meta) = entry.metadata() else { continue };
            if meta.is_dir() && folders.len() + out.len() < FILES_MAX {
                folders.push(entry.path());
            } else if out.len() < FILES_MAX {
                out.insert(entry.path(), (meta.len(), meta.modified().ok()));
            }
        }
    }
    out
}
