//! What the console knows and has yet to hear, from the state.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::value::RawValue;
use weighbridge_console_wire::{Batch, Delta, EVENTS_MAX, Event, Fingerprint, Load, ModelFile, RowDigest};
use weighbridge_state::{State, StateError, Unreported};
use weighbridge_types::Sha256;

use super::rows;
use crate::core::Core;

/// Fact: the fingerprint of the rows that the console knows.
const KNOWN: &str = "console.inventory";
/// Fact: the name of the queue's numbers; a state that is begun anew has another.
const EPOCH: &str = "console.epoch";
/// Most bytes of events sent at once, roughly.
const BATCH_BYTES: usize = 2 << 20;
/// Most changes sent at once.
const CHANGES: usize = 2_000;

/// Changes of the inventory that go together.
pub struct Changes {
    /// The rows that the console knows.
    pub base: Fingerprint,
    /// What becomes of them; without the base.
    pub delta: Delta,
    /// Each with its digest afterwards.
    noted: Vec<(Unreported, Option<RowDigest>)>,
}

impl Changes {
    /// Nothing is there.
    pub fn none() -> Self {
        Self { base: Fingerprint::default(), delta: Delta::default(), noted: Vec::new() }
    }
}

/// The rows that the console knows, as far as we know.
pub fn known(core: &Core) -> Result<Fingerprint, String> {
    core.record.with(|state| Ok(state.fact::<Fingerprint>(KNOWN)?.unwrap_or_default()))
}

/// The console knows nothing any more.
pub fn anew(core: &Core) -> Result<(), String> {
    core.record.with(|state| {
        state.transaction(Timestamp::now(), |t| {
            t.report_anew()?;
            t.set_fact(KNOWN, &Fingerprint::default())
        })
    })
}

/// The next changes that the console has to hear of; none if it knows all.
pub fn changes(core: &Core) -> Result<Option<Changes>, String> {
    core.record.with(|state| {
        let base: Fingerprint = state.fact(KNOWN)?.unwrap_or_default();
        let waiting = state.unreported(CHANGES)?;
        if waiting.is_empty() {
            return Ok(None);
        }
        let mut changes = Changes { base, ..Changes::none() };
        let mut sum = base;
        for change in waiting {
            let row: Option<ModelFile> = change.now.as_ref().map(rows::row);
            if let Some(before) = change.reported {
                sum = sum.without(RowDigest::new(before));
            }
            let digest = row.as_ref().map(ModelFile::digest);
            match row {
                Some(row) => changes.delta.put.push(row),
                None => changes.delta.removed.push(rows::path(&change.path)),
            }
            sum = digest.map_or(sum, |digest| sum.with(digest));
            changes.noted.push((change, digest));
        }
        changes.delta.result = sum;
        Ok(Some(changes))
    })
}

/// The console knows `changes`.
pub fn changes_taken(core: &Core, changes: &Changes) -> Result<(), String> {
    core.record.with(|state| {
        state.transaction(Timestamp::now(), |t| {
            for (change, digest) in &changes.noted {
                t.reported(change, digest.map(|digest| *digest.as_bytes()))?;
            }
            t.set_fact(KNOWN, &changes.delta.result)
        })
    })
}

/// The oldest events that wait; none if there are none.
pub fn events(core: &Core) -> Result<Option<Batch>, String> {
    core.record.with(|state| {
        let mut events = Vec::new();
        let mut bytes = 0_usize;
        for event in state.peek(EVENTS_MAX)? {
            bytes = bytes.saturating_add(event.body.len());
            if bytes > BATCH_BYTES && !events.is_empty() {
                break;
            }
            // The state keeps JSON only.
            let Ok(body) = RawValue::from_string(event.body) else { continue };
            events.push(Event {
                id: u64::try_from(event.id).unwrap_or_default(),
                time: event.created,
                severity: event.severity,
                kind: event.kind,
                body,
            });
        }
        if events.is_empty() {
            return Ok(None);
        }
        Ok(Some(Batch { epoch: epoch(state)?, events }))
    })
}

/// The console keeps all events up to this number.
pub fn events_taken(core: &Core, through: u64) -> Result<(), String> {
    let through = i64::try_from(through).unwrap_or(i64::MAX);
    core.record.with(|state| state.transaction(Timestamp::now(), |t| t.acknowledge(through).map(|_| ())))
}

/// How long the oldest event waits.
pub fn oldest_event(core: &Core) -> Option<Duration> {
    let oldest = core.record.with(|state| Ok(state.outbox()?.oldest)).ok()??;
    Duration::try_from(Timestamp::now().duration_since(oldest)).ok()
}

/// Events that had to go before the console heard of them.
pub fn dropped(core: &Core) -> u64 {
    let outbox = core.record.with(|state| state.outbox());
    outbox.map_or(0, |outbox| outbox.dropped.iter().map(|(_, count)| count).sum())
}

/// Newest entry of the audit record.
pub fn head(core: &Core) -> Option<(u64, Sha256)> {
    let head = core.record.with(|state| state.head()).ok()??;
    Some((head.seq, head.hash))
}

/// What this process takes.
pub fn load() -> Load {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    Load { resident_bytes: kilobytes.unwrap_or(0).saturating_mul(1024), cores: 0.0 }
}

/// Something between 0 and 1.
pub fn chance() -> f64 {
    let random = RandomState::new().hash_one(std::time::Instant::now());
    f64::from(u32::try_from(random >> 32).unwrap_or_default()) / f64::from(u32::MAX)
}

fn epoch(state: &State) -> Result<String, StateError> {
    if let Some(epoch) = state.fact::<String>(EPOCH)? {
        return Ok(epoch);
    }
    let random = || RandomState::new().hash_one(std::time::Instant::now());
    let epoch = format!("{:016x}{:016x}", random(), random());
    state.transaction(Timestamp::now(), |t| t.set_fact(EPOCH, &epoch))?;
    Ok(epoch)
}
