//! An endpoint and a real console, over TLS.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use weighbridge_console_authority::Authority;
use weighbridge_console_fleet::{Fleet, Settings};
use weighbridge_console_http::{Limits, Tls, serve};
use weighbridge_console_store::enrolment::{self, NewToken};
use weighbridge_console_store::{Database, events};
use weighbridge_console_wire::{Accepted, Instructions, JoinToken, Machine};
use weighbridge_reporting::{Address, Answer, Client, Identity, ReportError, Step, enrol};

struct Console {
    runtime: Runtime,
    db: Database,
    address: Address,
    token: JoinToken,
    folder: tempfile::TempDir,
}

fn start(certificates_hold: SignedDuration) -> Console {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let now = Timestamp::now();
    let authority = Arc::new(Authority::open(&folder.path().join("authority"), now).unwrap());
    let token = JoinToken { authority: authority.fingerprint(), secret: [3; 32] };
    let (db, listener) = runtime.block_on(async {
        let db = Database::sqlite(&folder.path().join("console.db")).await.unwrap();
        enrolment::add_team(&db, "default", "Default", now).await.unwrap();
        let expires = now + SignedDuration::from_hours(1);
        let digest = Sha256::digest(token.secret).into();
        let new = NewToken { id: "t", digest, team: "default", quota: 5, expires, by: "ann" };
        enrolment::add_token(&db, &new, now).await.unwrap();
        (db, TcpListener::bind("127.0.0.1:0").await.unwrap())
    });
    let address = listener.local_addr().unwrap().to_string().parse().unwrap();
    let tls = Tls::new(&authority, &[], None, now).unwrap().server(&authority).unwrap();
    let settings = Settings { certificates_hold, ..Settings::default() };
    let router = Fleet::new(db.clone(), authority, settings).router();
    runtime.spawn(serve(listener, tls, router, Limits::default(), std::future::pending()));
    Console { runtime, db, address, token, folder }
}

fn machine(id: &str) -> Machine {
    let of = |text: &str| text.to_owned();
    Machine { host: of("h"), machine_id: of(id), system: of("linux"), agent_version: of("0.1.0"), ..Machine::default() }
}

impl Console {
    fn place(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn enrolled(&self, name: &str) -> Identity {
        match enrol(&self.place(name), &self.address, &self.token.to_string(), machine(name)).unwrap() {
            Step::Done(identity) => identity,
            Step::Waiting(_) => panic!("it waits"),
        }
    }
}

fn check_in(client: &mut Client) -> Result<Instructions, ReportError> {
    let told = json!({"agent_version": "0.1.0", "now": Timestamp::now(), "mode": "guard", "inventory": "0".repeat(64)});
    match client.tell("check-in", &told)? {
        Answer::Done(instructions) => Ok(instructions),
        Answer::Unfit(_) => panic!("a check-in fits always"),
    }
}

#[test]
fn an_endpoint_comes_in_checks_in_tells_and_renews() {
    let console = start(SignedDuration::from_hours(24));
    let mut identity = console.enrolled("m1");
    let again = Identity::open(&console.place("m1")).unwrap().unwrap();
    assert_eq!((again.endpoint(), again.address()), (identity.endpoint(), identity.address()));
    let mut client = again.client().unwrap();
    let heard = check_in(&mut client).unwrap();
    assert_eq!((heard.team.as_str(), heard.renew), ("default", false));

    // Large enough to be packed.
    let event = |id: u64| json!({"id": id, "time": "2026-11-22T05:00:00Z", "severity": "low", "kind": "seen", "body": {"x": "y".repeat(200)}});
    let batch = json!({"epoch": "e", "events": (1..400).map(event).collect::<Vec<_>>()});
    for _ in 0..2 {
        let accepted: Answer<Accepted> = client.tell("events", &batch).unwrap();
        assert_eq!(accepted, Answer::Done(Accepted { epoch: "e".to_owned(), through: 399 }));
    }
    let wanted = events::Wanted { endpoint: Some(identity.endpoint()), ..Default::default() };
    assert_eq!(console.runtime.block_on(events::page(&console.db, wanted, 1_000)).unwrap().len(), 399);
    let odd = json!({"base": "1".repeat(64), "result": "0".repeat(64)});
    assert!(matches!(client.tell::<Value>("inventory", &odd).unwrap(), Answer::Unfit(_)));
    let receipts = json!({"receipts": []});
    assert_eq!(client.tell::<()>("receipts", &receipts).unwrap(), Answer::Done(()));

    let before = std::fs::read_to_string(console.place("m1").join("key.pem")).unwrap();
    identity.renew(&mut client).unwrap();
    assert_ne!(std::fs::read_to_string(console.place("m1").join("key.pem")).unwrap(), before);
    for mut client in
        [identity.client().unwrap(), Identity::open(&console.place("m1")).unwrap().unwrap().client().unwrap()]
    {
        check_in(&mut client).unwrap();
    }
}

#[test]
fn a_renewal_that_is_cut_short_at_any_point_leaves_an_identity() {
    let console = start(SignedDuration::from_hours(24));
    let mut identity = console.enrolled("m1");
    let place = console.place("m1");
    // The answer never came: the key that was asked for is asked for again.
    let key = |name: &str| std::fs::read_to_string(place.join(name)).unwrap();
    std::fs::write(place.join("key.next.pem"), rcgen_key()).unwrap();
    let next = key("key.next.pem");
    check_in(&mut Identity::open(&place).unwrap().unwrap().client().unwrap()).unwrap();
    let mut client = identity.client().unwrap();
    identity.renew(&mut client).unwrap();
    assert_eq!(key("key.pem"), next);
    // It came, and the keys were not renamed yet.
    std::fs::rename(place.join("key.pem"), place.join("key.next.pem")).unwrap();
    std::fs::write(place.join("key.pem"), rcgen_key()).unwrap();
    check_in(&mut Identity::open(&place).unwrap().unwrap().client().unwrap()).unwrap();
    // No key at all: told, with what to do.
    std::fs::remove_file(place.join("key.next.pem")).unwrap();
    let lost = Identity::open(&place).unwrap().unwrap().client().err().unwrap();
    assert!(lost.is_final() && lost.to_string().contains("enrol again"), "{lost}");
}

fn rcgen_key() -> String {
    let elsewhere = tempfile::tempdir().unwrap();
    let nobody: Address = "127.0.0.1:9".parse().unwrap();
    let token = JoinToken { authority: [0; 32], secret: [0; 32] };
    assert!(enrol(elsewhere.path(), &nobody, &token.to_string(), Machine::default()).is_err());
    std::fs::read_to_string(elsewhere.path().join("key.pem")).unwrap()
}

#[test]
fn certificates_are_renewed_before_they_end() {
    let console = start(SignedDuration::from_secs(2));
    let identity = console.enrolled("m1");
    // An hour of its time is before now, for clocks that are behind.
    assert!(check_in(&mut identity.client().unwrap()).unwrap().renew);
    std::thread::sleep(Duration::from_millis(3_100));
    let late = check_in(&mut identity.client().unwrap()).unwrap_err();
    assert!(matches!(late, ReportError::Network { .. }) && !late.is_final(), "{late}");
}

#[test]
fn only_the_console_that_the_token_names_is_told_the_secret() {
    let console = start(SignedDuration::from_hours(1));
    let other = JoinToken { authority: [9; 32], ..console.token.clone() };
    let refused = enrol(&console.place("m1"), &console.address, &other.to_string(), machine("m1")).unwrap_err();
    assert!(matches!(&refused, ReportError::Network { reason, .. } if reason.contains("UnknownIssuer")), "{refused}");
    assert!(Identity::open(&console.place("m1")).unwrap().is_none());
    for bad in ["", "wbe1.x.y"] {
        assert!(matches!(
            enrol(Path::new("/nowhere"), &console.address, bad, machine("m")),
            Err(ReportError::Message(_))
        ));
    }
}

#[test]
fn an_endpoint_that_was_thrown_out_hears_so_and_a_copy_waits() {
    let console = start(SignedDuration::from_hours(1));
    let identity = console.enrolled("m1");
    let mut client = identity.client().unwrap();
    check_in(&mut client).unwrap();
    let copy = enrol(&console.place("copy"), &console.address, &console.token.to_string(), machine("m1")).unwrap();
    assert!(matches!(copy, Step::Waiting(after) if after == Duration::from_secs(30)));
    console.runtime.block_on(enrolment::revoke(&console.db, identity.endpoint())).unwrap();
    let out = check_in(&mut client).unwrap_err();
    assert!(out.is_final() && out.to_string().contains("removed this endpoint"), "{out}");
}

#[test]
fn a_console_that_is_away_is_told_of_when_it_is_back() {
    let console = start(SignedDuration::from_hours(1));
    let identity = console.enrolled("m1");
    let mut client = identity.client().unwrap();
    check_in(&mut client).unwrap();
    let port = console.address.port();
    console.runtime.shutdown_timeout(Duration::from_secs(5));
    assert!(matches!(check_in(&mut client), Err(ReportError::Network { .. })));
    // Something else listens there meanwhile: it is not believed.
    let listener = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let thread = std::thread::spawn(move || drop(listener.accept()));
    assert!(matches!(check_in(&mut client), Err(ReportError::Network { .. })));
    thread.join().unwrap();
}
