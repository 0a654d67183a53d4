//! Whatever is done to the record is found.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "helpers of tests are tests")]

mod common;

use std::path::Path;

use common::at;
use rusqlite::Connection;
use rusqlite::types::Value;
use serde_json::json;
use weighbridge_state::audit::{Broken, Fault, Head, PublicKey, Verification, verify_export};
use weighbridge_state::{State, View};

/// A closed record of `n` entries in `dir`, the first being `audit.started`.
fn record(dir: &Path, n: u64) {
    let state = State::open_at(dir, Default::default(), at(0)).unwrap();
    for i in 2..=n {
        let second = i64::try_from(i).unwrap();
        state
            .transaction(at(second), |t| {
                t.audit("decision", &json!({"file": format!("/models/{i}"), "effect": "deny"}))
            })
            .unwrap();
    }
    state.close(at(100_000)).unwrap();
}

fn verify(dir: &Path, against: Option<&Head>) -> Verification {
    View::open(dir).unwrap().verify(1..=u64::MAX, against).unwrap()
}

fn export(dir: &Path) -> Vec<u8> {
    let mut out = Vec::new();
    View::open(dir).unwrap().export(&mut out, 1..=u64::MAX).unwrap();
    out
}

fn check(export: &[u8], dir: &Path, against: Option<&Head>) -> Verification {
    verify_export(&mut &*export, PublicKey::read(dir).unwrap(), against).unwrap()
}

/// What an attacker with the file and without the key can do.
fn tamper(dir: &Path, f: impl FnOnce(&Connection)) {
    let db = Connection::open(dir.join("state.db")).unwrap();
    db.execute_batch("DROP TRIGGER IF EXISTS audit_unchanged; DROP TRIGGER IF EXISTS audit_undeleted;").unwrap();
    f(&db);
}

fn broken_at(verification: Verification) -> (u64, Fault) {
    match verification {
        Verification::Broken(Broken { seq, what }) => (seq, what),
        Verification::Whole(v) => panic!("passed as whole: {v:?}"),
    }
}

fn whole(verification: Verification) -> weighbridge_state::audit::Verified {
    match verification {
        Verification::Whole(v) => v,
        Verification::Broken(b) => panic!("{b}"),
    }
}

#[test]
fn a_record_left_alone_is_whole_in_the_database_and_exported() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path(), 300);
    let verified = whole(verify(dir.path(), None));
    assert_eq!((verified.entries, verified.last, verified.clock_back), (300, 300, 0));
    // One in 64 entries or 60 seconds, and the last; entries come each second here.
    assert!((5..=8).contains(&verified.heads), "{} heads", verified.heads);
    assert_eq!(whole(check(&export(dir.path()), dir.path(), None)), verified);
    let head = View::open(dir.path()).unwrap().head().unwrap().unwrap();
    assert_eq!(head.seq, 300);
    assert_eq!(Head::from_json(&head.to_json()), Some(head.clone()));
    whole(verify(dir.path(), Some(&head)));
    let part = View::open(dir.path()).unwrap().verify(100..=150, None).unwrap();
    assert_eq!(whole(part).entries, 51);
}

#[test]
fn every_flipped_byte_of_an_entry_is_found_and_named() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path(), 70);
    tamper(dir.path(), |db| {
        for seq in [2_u64, 33, 70] {
            for column in ["at", "kind", "body", "previous", "hash"] {
                let was: Value =
                    db.query_row(&format!("SELECT {column} FROM audit WHERE seq = ?1"), [seq], |r| r.get(0)).unwrap();
                for changed in flips(&was) {
                    let set = format!("UPDATE audit SET {column} = ?2 WHERE seq = ?1");
                    assert_eq!(db.execute(&set, (seq, &changed)).unwrap(), 1);
                    let (found, what) = broken_at(verify(dir.path(), None));
                    assert_eq!(found, seq, "{column}: {what}");
                    db.execute(&set, (seq, &was)).unwrap();
                }
            }
        }
    });
    whole(verify(dir.path(), None));
}

/// `value` with each of its bytes flipped, one after the other.
fn flips(value: &Value) -> Vec<Value> {
    let of = |bytes: &[u8]| -> Vec<Vec<u8>> {
        (0..bytes.len())
            .map(|i| {
                let mut bytes = bytes.to_vec();
                bytes[i] ^= 0x01;
                bytes
            })
            .collect()
    };
    match value {
        Value::Integer(n) => of(&n.to_be_bytes())
            .into_iter()
            .map(|b| Value::Integer(i64::from_be_bytes(b.try_into().unwrap())))
            .collect(),
        Value::Text(text) => {
            of(text.as_bytes()).into_iter().map(|b| Value::Text(String::from_utf8(b).unwrap())).collect()
        }
        Value::Blob(bytes) => of(bytes).into_iter().map(Value::Blob).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_flipped_byte_of_a_head_is_found() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path(), 70);
    tamper(dir.path(), |db| {
        for column in ["at", "hash", "signature"] {
            let get = format!("SELECT {column} FROM heads WHERE seq = 70");
            let was: Value = db.query_row(&get, [], |r| r.get(0)).unwrap();
            for changed in flips(&was) {
                let set = format!("UPDATE heads SET {column} = ?1 WHERE seq = 70");
                assert_eq!(db.execute(&set, [&changed]).unwrap(), 1);
                assert_eq!(broken_at(verify(dir.path(), None)), (70, Fault::Head));
                db.execute(&set, [&was]).unwrap();
            }
        }
        db.execute("DELETE FROM heads WHERE seq = 70", []).unwrap();
        assert_eq!(broken_at(verify(dir.path(), None)), (70, Fault::Unsigned));
    });
}

#[test]
fn every_flipped_byte_of_an_export_is_found() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path(), 5);
    let whole_export = export(dir.path());
    for i in 0..whole_export.len() {
        for flip in [0x01, 0x20, 0x80] {
            let mut changed = whole_export.clone();
            changed[i] ^= flip;
            broken_at(check(&changed, dir.path(), None));
        }
    }
    let lines: Vec<&[u8]> = whole_export.split_inclusive(|b| *b == b'\n').collect();
    for i in 0..lines.len() {
        // Of two heads the later one says all that the earlier said: without the
        // earlier, or with one twice, the record is no less whole.
        let is_head = lines[i].starts_with(b"{\"type\":\"head\"");
        let without = [&lines[..i], &lines[i + 1..]].concat().concat();
        if !is_head || i == lines.len() - 1 {
            broken_at(check(&without, dir.path(), None));
        }
        let mut twice = lines.clone();
        twice.insert(i, lines[i]);
        if !is_head {
            broken_at(check(&twice.concat(), dir.path(), None));
        }
    }
    let elsewhere = tempfile::tempdir().unwrap();
    record(elsewhere.path(), 5);
    broken_at(check(&whole_export, elsewhere.path(), None));
}

#[test]
fn removed_moved_and_inserted_entries_are_found() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path(), 70);
    let backup = std::fs::read(dir.path().join("state.db")).unwrap();
    let case = |what: &str, sql: &str, seq: u64, fault: Fault| {
        std::fs::write(dir.path().join("state.db"), &backup).unwrap();
        tamper(dir.path(), |db| db.execute_batch(sql).unwrap());
        assert_eq!(broken_at(verify(dir.path(), None)), (seq, fault), "{what}");
        let exported = export(dir.path());
        assert_eq!(broken_at(check(&exported, dir.path(), None)).0, seq, "{what}, exported");
    };
    case("removed", "DELETE FROM audit WHERE seq = 40", 40, Fault::Missing);
    case("the first removed", "DELETE FROM audit WHERE seq = 1", 1, Fault::Missing);
    case(
        "two exchanged",
        "UPDATE audit SET seq = -1 WHERE seq = 40; UPDATE audit SET seq = 40 WHERE seq = 41;
         UPDATE audit SET seq = 41 WHERE seq = -1;",
        40,
        Fault::Altered,
    );
    case(
        "one inserted, the rest renumbered",
        "UPDATE audit SET seq = -seq - 1 WHERE seq >= 40; UPDATE audit SET seq = -seq WHERE seq < 0;
         INSERT INTO audit SELECT 40, at, kind, '{}', previous, hash FROM audit WHERE seq = 39;",
        40,
        Fault::Altered,
    );
}

#[test]
fn a_chain_hashed_anew_fails_at_its_heads() {
    use sha2::Digest;
    let dir = tempfile::tempdir().unwrap();
    record(dir.path(), 70);
    // The whole encoding, as docs/audit.md has it, written down a second time.
    let hash = |seq: u64, at: i64, kind: &str, body: &str, previous: &[u8]| {
        let mut bytes = vec![0_u8];
        let mut put = |part: &[u8]| {
            bytes.extend((part.len() as u64).to_be_bytes());
            bytes.extend(part);
        };
        put(b"weighbridge-audit-entry/1");
        bytes.extend(seq.to_be_bytes());
        bytes.extend(at.to_be_bytes());
        for part in [kind.as_bytes(), body.as_bytes(), previous] {
            bytes.extend((part.len() as u64).to_be_bytes());
            bytes.extend(part);
        }
        sha2::Sha256::digest(bytes).to_vec()
    };
    tamper(dir.path(), |db| {
        let row = |seq: u64| -> (i64, String, String, Vec<u8>, Vec<u8>) {
            db.query_row("SELECT at, kind, body, previous, hash FROM audit WHERE seq = ?1", [seq], |r| {
                Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?))
            })
            .unwrap()
        };
        let (at, kind, body, previous, was) = row(66);
        assert_eq!(hash(66, at, &kind, &body, &previous), was, "the encoding is not the documented one");
        let mut previous = row(65).4;
        for seq in 66..=70_u64 {
            let (at, kind, mut body, ..) = row(seq);
            if seq == 66 {
                body = body.replace("deny", "allow");
            }
            let now = hash(seq, at, &kind, &body, &previous);
            db.execute(
                "UPDATE audit SET body = ?2, previous = ?3, hash = ?4 WHERE seq = ?1",
                (seq, &body, &previous, &now),
            )
            .unwrap();
            previous = now;
        }
        assert_eq!(broken_at(verify(dir.path(), None)), (70, Fault::OtherThanHead));
        std::fs::remove_file(dir.path().join("audit.head")).unwrap();
        assert_eq!(broken_at(verify(dir.path(), None)), (70, Fault::Head));
    });
}

#[test]
fn a_tail_cut_off_is_found_by_the_head_beside_and_by_one_from_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path(), 200);
    let kept = View::open(dir.path()).unwrap().head().unwrap().unwrap();
    let backup = export(dir.path());
    tamper(dir.path(), |db| {
        db.execute_batch("DELETE FROM audit WHERE seq > 190; DELETE FROM heads WHERE seq > 190").unwrap()
    });
    assert_eq!(broken_at(verify(dir.path(), None)), (191, Fault::CutOff { head: 200 }));
    std::fs::remove_file(dir.path().join("audit.head")).unwrap();
    assert_eq!(broken_at(verify(dir.path(), None)), (190, Fault::Unsigned));
    // Cut exactly at a head that was kept: only a head from elsewhere tells.
    let mut at = 0;
    tamper(dir.path(), |db| {
        at = db.query_row("SELECT max(seq) FROM heads", [], |r| r.get::<_, u64>(0)).unwrap();
        db.execute("DELETE FROM audit WHERE seq > ?1", [at]).unwrap();
    });
    assert_eq!(whole(verify(dir.path(), None)).last, at);
    assert_eq!(broken_at(verify(dir.path(), Some(&kept))), (at + 1, Fault::CutOff { head: 200 }));

    let cut = backup.split_inclusive(|b| *b == b'\n').take(2).collect::<Vec<_>>().concat();
    assert_eq!(broken_at(check(&cut, dir.path(), None)), (1, Fault::Unsigned));
    assert_eq!(broken_at(check(&backup[..backup.len() - 1], dir.path(), None)).0, 201);
    let mut forged = kept.clone();
    forged.seq = 10;
    assert_eq!(broken_at(verify(dir.path(), Some(&forged))), (10, Fault::ForgedHead));
}

#[test]
fn an_older_database_put_back_is_told_when_it_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path(), 20);
    let older = std::fs::read(dir.path().join("state.db")).unwrap();
    let state = State::open_at(dir.path(), Default::default(), at(200_000)).unwrap();
    assert_eq!(state.opening().rolled_back, None);
    for _ in 0..5 {
        state.transaction(at(200_001), |t| t.audit("decision", &json!({}))).unwrap();
    }
    state.close(at(200_002)).unwrap();
    std::fs::write(dir.path().join("state.db"), older).unwrap();
    assert_eq!(broken_at(verify(dir.path(), None)), (21, Fault::CutOff { head: 25 }));
    let state = State::open_at(dir.path(), Default::default(), at(300_000)).unwrap();
    assert_eq!(state.opening().rolled_back.as_ref().map(|h| h.seq), Some(25));
    let last = state.entries(20, 10).unwrap();
    assert_eq!(last.iter().map(|e| e.kind.as_str()).collect::<Vec<_>>(), ["audit.rolled-back"]);
}

#[test]
fn a_clock_set_back_is_recorded_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let state = State::open_at(dir.path(), Default::default(), at(1000)).unwrap();
    for second in [1001, 500, 501, -5_000_000] {
        state.transaction(at(second), |t| t.audit("decision", &json!({}))).unwrap();
    }
    let verified = whole(state.verify(1..=u64::MAX, None).unwrap());
    assert_eq!((verified.entries, verified.clock_back, verified.clock_back_at), (5, 2, Some(3)));
    assert_eq!(state.entries(2, 1).unwrap()[0].at, at(500));
    drop(state);
    assert_eq!(whole(check(&export(dir.path()), dir.path(), None)), verified);
}

#[test]
fn many_entries_in_one_transaction_are_signed_along_the_way() {
    let dir = tempfile::tempdir().unwrap();
    let state = State::open_at(dir.path(), Default::default(), at(0)).unwrap();
    state
        .transaction(at(1), |t| {
            for i in 0..1000 {
                t.audit("decision", &i)?;
            }
            Ok(())
        })
        .unwrap();
    let verified = whole(state.verify(1..=u64::MAX, None).unwrap());
    assert_eq!(verified.last, 1001);
    assert!(verified.heads >= 1001 / 64);
}

#[test]
fn an_export_of_a_part_stands_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path(), 200);
    let mut out = Vec::new();
    View::open(dir.path()).unwrap().export(&mut out, 100..=120).unwrap();
    let verified = whole(check(&out, dir.path(), None));
    assert!(verified.entries >= 21 && verified.last >= 120, "{verified:?}");
}
