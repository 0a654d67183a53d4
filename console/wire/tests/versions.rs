//! What version 1 wrote is read for ever, and what a newer one adds is no
//! hindrance. The samples in `tests/v1` are never changed; new ones are added.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use weighbridge_console_wire::{
    Accepted, Batch, Check, CheckIn, Delta, Enrolment, EnrolmentAnswer, Fingerprint, Instructions, Receipts, Renewal,
};

/// The sample as it is, with a field nobody knows, and written again.
fn holds<T: DeserializeOwned + Serialize>(name: &str, check: impl Fn(&T)) {
    let path = format!("{}/tests/v1/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let read: T = serde_json::from_str(&text).unwrap();
    check(&read);
    let sample: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), sample, "{name} is written as it was read");
    let mut newer = sample;
    newer.as_object_mut().unwrap().insert("of_a_later_version".to_owned(), json!({"x": [1]}));
    check(&serde_json::from_value(newer).unwrap_or_else(|e| panic!("{name}: {e}")));
}

#[test]
fn samples_of_version_1_are_read() {
    holds::<Enrolment>("enrolment", |m| assert_eq!(m.check(), Ok(())));
    holds::<EnrolmentAnswer>("enrolled", |m| assert!(matches!(m, EnrolmentAnswer::Enrolled(_)) && m.check().is_ok()));
    holds::<EnrolmentAnswer>("waiting", |m| {
        assert_eq!(m, &EnrolmentAnswer::Waiting { retry_after_s: 60 });
        assert_eq!(m.check(), Ok(()));
    });
    holds::<CheckIn>("check-in", |m| assert_eq!(m.check(), Ok(())));
    holds::<Instructions>("instructions", |m| assert_eq!((m.check(), m.orders.len()), (Ok(()), 4)));
    holds::<Renewal>("renewal", |m| assert_eq!(m.check(), Ok(())));
    holds::<Delta>("delta", |m| {
        assert_eq!(m.check(), Ok(()));
        assert_eq!(Fingerprint::of(&m.put), m.result, "fingerprints stay what they were");
    });
    holds::<Batch>("batch", |m| assert_eq!(m.check(), Ok(())));
    holds::<Accepted>("accepted", |m| assert_eq!((m.check(), m.through), (Ok(()), 17)));
    holds::<Receipts>("receipts", |m| assert_eq!(m.check(), Ok(())));
}

#[test]
fn what_an_older_side_does_not_send_has_a_default() {
    let least = json!({"agent_version": "0.0.9", "now": "2026-11-22T05:00:00Z", "mode": "observe", "inventory": "0".repeat(64)});
    let read: CheckIn = serde_json::from_value(least).unwrap();
    assert_eq!((read.check(), read.events_waiting, read.record), (Ok(()), 0, None));
    let least = json!({"next_in_s": 60, "now": "2026-11-22T05:00:00Z", "inventory": "0".repeat(64), "team": "default"});
    let read: Instructions = serde_json::from_value(least).unwrap();
    assert!(read.orders.is_empty() && !read.renew);
}

#[test]
fn a_console_cannot_make_endpoints_wait_for_ever_or_not_at_all() {
    for wait in [0, 86_401, u32::MAX] {
        let waiting = EnrolmentAnswer::Waiting { retry_after_s: wait };
        assert!(waiting.check().unwrap_err().to_string().contains("`retry_after_s`"), "{wait}");
        let next = json!({"next_in_s": wait, "now": "2026-11-22T05:00:00Z", "inventory": "0".repeat(64), "team": "a"});
        let next: Instructions = serde_json::from_value(next).unwrap();
        assert!(next.check().unwrap_err().to_string().contains("`next_in_s`"), "{wait}");
    }
}
