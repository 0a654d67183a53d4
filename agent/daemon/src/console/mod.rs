//! Tells the console what lies here and what happened, and does what it orders.
//! Without one, or without a way to it, nothing else changes.

mod ledger;
mod orders;
mod rows;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use jiff::Timestamp;
use serde_json::Value;
use weighbridge_console_wire::{Accepted, Check, CheckIn, Delta, Instructions, InventoryAnswer, Receipts, WireError};
use weighbridge_reporting::{Answer, Client, Identity, ReportError};
use weighbridge_types::Severity;

use crate::core::Core;
use crate::events::{Event, Kind};

/// Time between looks at whether there is something to do.
const PAUSE: Duration = Duration::from_millis(500);
/// Time between looks for an identity, while there is none.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long events wait for others to go with.
const GATHER: Duration = Duration::from_secs(2);
/// First pause after the console was not reached, and the longest.
const RETRY_FIRST: Duration = Duration::from_secs(5);
const RETRY_MAX: Duration = Duration::from_secs(600);
/// Where the identity is kept, below the state.
pub const FOLDER: &str = "console";

/// Reports until told to stop. `sweep` begins a sweep.
pub fn run(core: &Arc<Core>, sweep: &Sender<()>) {
    let folder = core.config.state.join(FOLDER);
    let mut retry = Retry::default();
    while !core.stop.load(Ordering::Relaxed) {
        match Identity::open(&folder) {
            Ok(None) => pause(core, LOOK_EVERY),
            Ok(Some(identity)) => {
                let error = converse(core, identity, sweep, &mut retry);
                if let Some(error) = error {
                    retry.failed(core, &error);
                    pause(core, retry.pause(&error));
                }
            }
            Err(error) => {
                retry.failed(core, &error);
                pause(core, retry.pause(&error));
            }
        }
    }
}

/// How often it failed, and whether that was told.
#[derive(Default)]
struct Retry {
    times: u32,
    told: bool,
}

impl Retry {
    fn failed(&mut self, core: &Core, error: &ReportError) {
        self.times = self.times.saturating_add(1);
        // A network that is away for a moment is no news.
        if !self.told && (self.times >= 3 || error.is_final()) {
            self.told = true;
            core.fault("the console does not hear from this machine", error);
        }
    }

    fn reached(&mut self, core: &Core) {
        if std::mem::take(self).told {
            let text = "the console hears from this machine again";
            core.tell(&Event::new(Severity::Info, Kind::Daemon, text, Value::Null));
        }
    }

    fn pause(&self, error: &ReportError) -> Duration {
        if error.is_final() {
            return RETRY_MAX;
        }
        let grown = RETRY_FIRST.saturating_mul(1_u32 << self.times.saturating_sub(1).min(10)).min(RETRY_MAX);
        match error {
            ReportError::Refused { retry_after: Some(after), .. } => (*after).min(RETRY_MAX),
            // Whole fleets that lost their console do not come back at once.
            _ => grown.mul_f64(0.5 + ledger::chance() / 2.0),
        }
    }
}

/// Speaks with one console until something goes wrong; none if told to stop.
fn converse(core: &Arc<Core>, mut identity: Identity, sweep: &Sender<()>, retry: &mut Retry) -> Option<ReportError> {
    let mut client = match identity.client() {
        Ok(client) => client,
        Err(error) => return Some(error),
    };
    loop {
        let heard = match round(core, &mut client, sweep) {
            Ok(heard) => heard,
            Err(error) => return Some(error),
        };
        retry.reached(core);
        if heard.renew {
            match identity.renew(&mut client).and_then(|()| identity.client()) {
                Ok(renewed) => client = renewed,
                Err(error) => return Some(error),
            }
        }
        let next = Instant::now() + Duration::from_secs(u64::from(heard.next_in_s));
        while Instant::now() < next {
            if core.stop.load(Ordering::Relaxed) {
                return None;
            }
            std::thread::sleep(PAUSE);
            if ledger::oldest_event(core).is_some_and(|age| age > GATHER)
                && let Err(error) = tell_events(core, &mut client)
            {
                return Some(error);
            }
        }
    }
}

/// A check-in, and what follows from it.
fn round(core: &Arc<Core>, client: &mut Client, sweep: &Sender<()>) -> Result<Instructions, ReportError> {
    tell_events(core, client)?;
    let known = ledger::known(core).map_err(local)?;
    let told = CheckIn {
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        now: Timestamp::now(),
        mode: core.mode(),
        policy_version: Some(core.policies.current().revision.clone()).filter(|revision| !revision.is_empty()),
        inventory: known,
        events_waiting: 0,
        events_dropped: ledger::dropped(core),
        record: ledger::head(core),
        capabilities: Vec::new(),
        load: ledger::load(),
    };
    let Answer::Done(heard) = client.tell::<Instructions>("check-in", &told)? else {
        return Err(ReportError::Answer("it finds that a check-in does not fit".to_owned()));
    };
    heard.check()?;
    if heard.inventory != known {
        ledger::anew(core).map_err(local)?;
    }
    tell_inventory(core, client, heard.inventory == known)?;
    let receipts = orders::carry_out(core, &heard.orders, sweep);
    if !receipts.is_empty() {
        client.tell::<()>("receipts", &Receipts { receipts })?;
    }
    Ok(heard)
}

/// Events, the oldest first, until none wait.
fn tell_events(core: &Core, client: &mut Client) -> Result<(), ReportError> {
    while let Some(batch) = ledger::events(core).map_err(local)? {
        let Answer::Done(accepted) = client.tell::<Accepted>("events", &batch)? else {
            return Err(ReportError::Answer("it finds that events do not fit".to_owned()));
        };
        accepted.check()?;
        let last = batch.events.last().map_or(0, |event| event.id);
        if accepted.epoch != batch.epoch || accepted.through < last {
            return Err(ReportError::Answer("it did not take the events that were sent".to_owned()));
        }
        ledger::events_taken(core, last).map_err(local)?;
    }
    Ok(())
}

/// Rows that changed, until the console knows all. `follows`: it knows what it
/// was told before.
fn tell_inventory(core: &Core, client: &mut Client, mut follows: bool) -> Result<(), ReportError> {
    loop {
        let Some(changes) = ledger::changes(core).map_err(local)? else {
            if follows {
                return Ok(());
            }
            // There is nothing here, and the console is to know that.
            let nothing = Delta::default();
            client.tell::<InventoryAnswer>("inventory", &nothing)?;
            return ledger::changes_taken(core, &ledger::Changes::none()).map_err(local);
        };
        let delta = Delta { base: follows.then_some(changes.base), ..changes.delta.clone() };
        match client.tell::<InventoryAnswer>("inventory", &delta)? {
            Answer::Done(_) => ledger::changes_taken(core, &changes).map_err(local)?,
            Answer::Unfit(_) if follows => {
                // Another hears the same console, or an older state was restored.
                ledger::anew(core).map_err(local)?;
                follows = false;
                continue;
            }
            Answer::Unfit(_) => return Err(ReportError::Answer("it does not take the inventory".to_owned())),
        }
        follows = true;
    }
}

/// A failure of our own state, as one of reporting: it is tried again.
fn local(reason: String) -> ReportError {
    ReportError::Message(WireError::Field { field: "state", reason })
}

fn pause(core: &Core, time: Duration) {
    let until = Instant::now() + time;
    while Instant::now() < until && !core.stop.load(Ordering::Relaxed) {
        std::thread::sleep(PAUSE);
    }
}
