//! What administrators have this machine do. Policy stays what it is: nothing
//! here allows what it denies.

use std::sync::Arc;

use crossbeam_channel::Sender;
use jiff::Timestamp;
use serde_json::json;
use weighbridge_console_wire::{Command, Order, Outcome, Receipt};
use weighbridge_state::StoredArtifact;
use weighbridge_types::{Severity, Sha256};

use super::rows;
use crate::actions::open_inspected;
use crate::core::Core;
use crate::events::{Event, Kind};
use crate::record::Why;

/// Fact: numbers of the last orders that were carried out.
const DONE: &str = "console.orders";
const DONE_MAX: usize = 1_000;
/// Longest text of a receipt, bytes.
const DETAIL_MAX: usize = 1_000;

/// Does what was ordered, each order once; what became of each.
pub fn carry_out(core: &Arc<Core>, orders: &[Order], sweep: &Sender<()>) -> Vec<Receipt> {
    let mut done: Vec<(String, Outcome, String)> =
        core.record.with(|state| Ok(state.fact(DONE)?.unwrap_or_default())).unwrap_or_default();
    let mut receipts = Vec::new();
    for order in orders {
        // The receipt was lost: the order is not carried out again.
        let before = done.iter().find(|(id, ..)| *id == order.id).cloned();
        let (outcome, detail) = match before {
            Some((_, outcome, detail)) => (outcome, detail),
            None => {
                let (outcome, detail) = one(core, order, sweep);
                tell(core, order, outcome, &detail);
                done.push((order.id.clone(), outcome, detail.clone()));
                let excess = done.len().saturating_sub(DONE_MAX);
                done.drain(..excess);
                let kept = core.record.with(|state| state.transaction(Timestamp::now(), |t| t.set_fact(DONE, &done)));
                if let Err(error) = kept {
                    core.fault("cannot record an order", &error);
                }
                (outcome, detail)
            }
        };
        receipts.push(Receipt { id: order.id.clone(), time: Timestamp::now(), outcome, detail });
    }
    receipts
}

fn one(core: &Arc<Core>, order: &Order, sweep: &Sender<()>) -> (Outcome, String) {
    if order.expires <= Timestamp::now() {
        return (Outcome::Expired, "it came too late".to_owned());
    }
    let done = match &order.command {
        Command::Rescan { .. } => {
            // One that waits already is as good.
            let _ = sweep.try_send(());
            Ok("a sweep was begun".to_owned())
        }
        Command::Quarantine { path, sha256 } => {
            if !core.config.actions.quarantine {
                return (Outcome::Refused, "this machine's configuration allows no quarantine".to_owned());
            }
            quarantine(core, path, sha256)
        }
        Command::Restore { item } => {
            core.record.restore(item, None).map(|place| format!("it is at {}", place.to_string_lossy()))
        }
        Command::CollectEvidence { path, sha256 } => evidence(core, path, sha256),
        _ => return (Outcome::Refused, "this version does not know that order".to_owned()),
    };
    match done {
        Ok(detail) => (Outcome::Done, detail),
        Err(reason) => (Outcome::Failed, reason.chars().take(DETAIL_MAX / 4).collect()),
    }
}

/// Takes the very file away that the administrator saw.
fn quarantine(core: &Arc<Core>, path: &str, sha256: &Sha256) -> Result<String, String> {
    let known = find(core, path, sha256)?;
    let why = Why {
        text: "an administrator ordered it".to_owned(),
        policies: Vec::new(),
        detail: json!({ "verdict": known.artifact.verdict }),
    };
    let file = open_inspected(&known.path, known.key).map_err(|e| e.to_string())?;
    let id = core.record.quarantine(&file, &known.path, why)?;
    core.gone(&[known.path]);
    Ok(format!("it is in quarantine as {id}"))
}

/// The fact sheet, as an event of its own: the findings in it say where in the
/// file their evidence is.
fn evidence(core: &Arc<Core>, path: &str, sha256: &Sha256) -> Result<String, String> {
    let known = find(core, path, sha256)?;
    let body = json!({ "action": "collect_evidence", "artifact": known.artifact, "decision": known.decision });
    let text = format!("evidence of {}", known.artifact.path);
    core.tell(&Event::new(Severity::Info, Kind::Action, text, body));
    Ok("the fact sheet was sent as an event".to_owned())
}

/// The file with this content that the console knows as `path`.
fn find(core: &Core, path: &str, sha256: &Sha256) -> Result<StoredArtifact, String> {
    let same = core.record.by_digest(sha256)?.into_iter().find(|stored| rows::path(&stored.path) == path);
    same.ok_or_else(|| "no such file is known here any more".to_owned())
}

fn tell(core: &Core, order: &Order, outcome: Outcome, detail: &str) {
    let body =
        json!({ "action": "order", "order": order.id, "command": order.command, "outcome": outcome, "detail": detail });
    let severity = if outcome == Outcome::Done { Severity::Info } else { Severity::Medium };
    core.tell(&Event::new(severity, Kind::Action, format!("an order of the console: {detail}"), body));
}
