//! What happened on an endpoint.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use weighbridge_types::Severity;

use crate::WireError;
use crate::limits::{Check, at_most, entries, name};

/// Most events of one batch.
pub const EVENTS_MAX: usize = 1_000;
/// Longest body of one event, bytes.
pub const BODY_BYTES_MAX: usize = 1 << 20;

/// Events in the order of their numbers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Batch {
    /// Of the state they come from: numbers begin anew where it was lost.
    pub epoch: String,
    /// The events.
    pub events: Vec<Event>,
}

/// Something that happened.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Event {
    /// Its number; numbers grow, with gaps, and none is used twice in an epoch.
    pub id: u64,
    /// When, by the endpoint's clock.
    pub time: Timestamp,
    /// How much it matters.
    pub severity: Severity,
    /// What it is about: `decision`, `denied`, `action`, `download`, …
    pub kind: String,
    /// Everything, for machines; an object.
    pub body: Box<RawValue>,
}

/// What a console has of an endpoint's events, safe from a crash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// Of [`Batch::epoch`].
    pub epoch: String,
    /// All events up to this number; the endpoint need not keep them.
    pub through: u64,
}

impl Check for Batch {
    fn check(&self) -> Result<(), WireError> {
        name("epoch", &self.epoch)?;
        entries("events", &self.events, EVENTS_MAX)?;
        let mut last = None;
        for event in &self.events {
            if last.is_some_and(|last| event.id <= last) {
                let reason = format!("has {} after {}; numbers grow", event.id, last.unwrap_or_default());
                return Err(WireError::Field { field: "events.id", reason });
            }
            last = Some(event.id);
            name("events.kind", &event.kind)?;
            at_most("events.body", event.body.get().len(), BODY_BYTES_MAX, "bytes")?;
            if !event.body.get().starts_with('{') {
                return Err(WireError::Field { field: "events.body", reason: "is no object".to_owned() });
            }
        }
        Ok(())
    }
}

impl Check for Accepted {
    fn check(&self) -> Result<(), WireError> {
        name("epoch", &self.epoch)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn batch(ids: &[u64], body: &serde_json::Value) -> Batch {
        let event =
            |id: &u64| json!({"id": id, "time": "2026-11-22T05:00:00Z", "severity": "low", "kind": "x", "body": body});
        serde_json::from_str(&json!({"epoch": "e", "events": ids.iter().map(event).collect::<Vec<_>>()}).to_string())
            .unwrap()
    }

    #[test]
    fn numbers_grow_and_bodies_are_objects() {
        assert_eq!(batch(&[1, 2, 9], &json!({"a": 1})).check(), Ok(()));
        for (ids, body) in [(&[2, 2][..], json!({})), (&[3, 1], json!({})), (&[1], json!([1])), (&[1], json!("x"))] {
            assert!(batch(ids, &body).check().is_err(), "{ids:?} {body}");
        }
        let long = batch(&[1], &json!({"a": "x".repeat(BODY_BYTES_MAX)}));
        assert!(long.check().unwrap_err().to_string().starts_with("`events.body` has"));
    }
}
