//! What endpoints may say, and what they hear.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::io::Write;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::BodyExt;
use jiff::{SignedDuration, Timestamp};
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tower::ServiceExt;
use weighbridge_console_authority::Authority;
use weighbridge_console_fleet::{Fleet, Settings};
use weighbridge_console_http::{Holder, Peer};
use weighbridge_console_store::enrolment::{self, NewToken};
use weighbridge_console_store::{Database, events, inventory, orders};
use weighbridge_console_wire::{Command, Delta, Fingerprint, JoinToken, ModelFile, Order, Outcome};

struct Console {
    db: Database,
    router: Router,
    token: String,
    _folder: tempfile::TempDir,
}

async fn console() -> Console {
    let folder = tempfile::tempdir().unwrap();
    let now = Timestamp::now();
    let db = Database::sqlite(&folder.path().join("console.db")).await.unwrap();
    let authority = Arc::new(Authority::open(&folder.path().join("authority"), now).unwrap());
    enrolment::add_team(&db, "research", "Research", now).await.unwrap();
    let token = JoinToken { authority: authority.fingerprint(), secret: [7; 32] };
    let new = NewToken {
        id: "t",
        digest: Sha256::digest(token.secret).into(),
        team: "research",
        quota: 2,
        expires: now + SignedDuration::from_hours(1),
        by: "ann",
    };
    enrolment::add_token(&db, &new, now).await.unwrap();
    let router = Fleet::new(db.clone(), authority, Settings::default()).router();
    Console { db, router, token: token.to_string(), _folder: folder }
}

impl Console {
    async fn send(&self, endpoint: Option<&str>, path: &str, body: Body, packed: bool) -> (StatusCode, Value) {
        let now = Timestamp::now();
        let holder = endpoint.map(|endpoint| Holder {
            endpoint: endpoint.to_owned(),
            issued: now - SignedDuration::from_hours(1),
            expires: now + SignedDuration::from_hours(1),
        });
        let peer = Peer { address: "192.0.2.1:7".parse().unwrap(), holder };
        let mut request = Request::post(format!("/endpoint/v1/{path}")).extension(peer);
        if packed {
            request = request.header("content-encoding", "gzip");
        }
        let answer = self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    async fn tell(&self, endpoint: &str, path: &str, message: &Value) -> (StatusCode, Value) {
        self.send(Some(endpoint), path, Body::from(message.to_string()), false).await
    }

    /// Asks to come in as a machine with a key.
    async fn enrol(&self, machine: &str, key: &KeyPair) -> (StatusCode, Value) {
        let request = CertificateParams::default().serialize_request(key).unwrap().pem().unwrap();
        let asked = json!({"version": 1, "token": self.token, "request": request, "machine":
            {"host": "<script>alert(1)</script>", "machine_id": machine, "system": "linux", "agent_version": "0.1.0"}});
        self.send(None, "enrol", Body::from(asked.to_string()), false).await
    }

    async fn newcomer(&self, machine: &str) -> String {
        let (status, answer) = self.enrol(machine, &KeyPair::generate().unwrap()).await;
        assert_eq!((status, &answer["status"]), (StatusCode::OK, &json!("enrolled")), "{answer}");
        answer["endpoint"].as_str().unwrap().to_owned()
    }
}

fn check_in() -> Value {
    json!({"agent_version": "0.1.0", "now": Timestamp::now(), "mode": "guard", "inventory": Fingerprint::default()})
}

fn file(path: &str) -> ModelFile {
    let file = json!({"path": path, "size_bytes": 7, "format": "gguf", "verdict": "clean", "first_seen": "2026-11-22T05:00:00Z"});
    serde_json::from_value(file).unwrap()
}

#[tokio::test]
async fn a_token_lets_in_as_many_as_it_says_and_copies_wait() {
    let console = console().await;
    let key = KeyPair::generate().unwrap();
    let (status, answer) = console.enrol("m1", &key).await;
    assert_eq!((status, &answer["team"]), (StatusCode::OK, &json!("research")), "{answer}");
    assert!(answer["certificates"].as_str().unwrap().contains("BEGIN CERTIFICATE"));
    // The answer was lost: the same key gets the same number.
    assert_eq!(console.enrol("m1", &key).await.1["endpoint"], answer["endpoint"]);
    // Another key on a machine that is known.
    let copy = KeyPair::generate().unwrap();
    assert_eq!(console.enrol("m1", &copy).await.1, json!({"status": "waiting", "retry_after_s": 30}));
    let (status, refused) = console.enrol("m3", &KeyPair::generate().unwrap()).await;
    assert_eq!((status, &refused["field"]), (StatusCode::FORBIDDEN, &json!("token")), "{refused}");
    assert_eq!(refused["type"], "urn:weighbridge:problem:no-token");
    for body in ["", "{}", r#"{"version": 9}"#, "[1]", "\u{0}"] {
        let (status, problem) = console.send(None, "enrol", Body::from(body), false).await;
        assert_eq!((status, problem["status"].as_u64()), (StatusCode::BAD_REQUEST, Some(400)), "{body}: {problem}");
    }
}

#[tokio::test]
async fn an_endpoint_speaks_for_itself_alone_and_only_while_it_is_in() {
    let console = console().await;
    let (one, two) = (console.newcomer("m1").await, console.newcomer("m2").await);
    let (status, heard) = console.tell(&one, "check-in", &check_in()).await;
    assert_eq!((status, &heard["team"]), (StatusCode::OK, &json!("research")), "{heard}");
    assert!((54..=66).contains(&heard["next_in_s"].as_u64().unwrap()));

    // It says that it is another: nobody asked.
    let batch = json!({"epoch": "e", "endpoint": two, "events": [
        {"id": 1, "time": "2026-11-22T05:00:00Z", "severity": "high", "kind": "denied", "body": {"endpoint": two}}]});
    console.tell(&one, "events", &batch).await;
    let kept = events::page(&console.db, events::Wanted::default(), 10).await.unwrap();
    assert_eq!(kept.iter().map(|e| &e.endpoint).collect::<Vec<_>>(), [&one]);

    for path in ["check-in", "inventory", "events", "receipts", "renew"] {
        let (status, problem) = console.send(None, path, Body::from(check_in().to_string()), false).await;
        assert_eq!((status, &problem["title"]), (StatusCode::UNAUTHORIZED, &json!("Unauthorized")), "{path}");
    }
    enrolment::revoke(&console.db, &one).await.unwrap();
    let request = CertificateParams::default().serialize_request(&KeyPair::generate().unwrap()).unwrap().pem().unwrap();
    for (path, message) in [
        ("check-in", check_in()),
        ("inventory", json!(Delta::default())),
        ("events", batch),
        ("renew", json!({"request": request})),
    ] {
        let (status, problem) = console.tell(&one, path, &message).await;
        assert_eq!(
            (status, &problem["type"]),
            (StatusCode::FORBIDDEN, &json!("urn:weighbridge:problem:not-enrolled")),
            "{path}"
        );
    }
    assert_eq!(console.tell(&two, "check-in", &check_in()).await.0, StatusCode::OK);
}

#[tokio::test]
async fn events_are_kept_once_however_often_they_are_sent() {
    let console = console().await;
    let one = console.newcomer("m1").await;
    let batch = |ids: std::ops::Range<u64>| {
        let event = |id: u64| json!({"id": id, "time": "2026-11-22T05:00:00Z", "severity": "low", "kind": "seen", "body": {"n": id}});
        json!({"epoch": "e", "events": ids.map(event).collect::<Vec<_>>()})
    };
    for (ids, through) in [(1..4, 3), (1..4, 3), (2..9, 8), (0..2, 8), (9..9, 8)] {
        let (status, answer) = console.tell(&one, "events", &batch(ids.clone())).await;
        assert_eq!((status, answer), (StatusCode::OK, json!({"epoch": "e", "through": through})), "{ids:?}");
    }
    // At the same time, as after a lost connection.
    let again = batch(5..20);
    let (a, b) = tokio::join!(console.tell(&one, "events", &again), console.tell(&one, "events", &again));
    assert_eq!((a.1["through"].as_u64(), b.1["through"].as_u64()), (Some(19), Some(19)));
    let kept =
        events::page(&console.db, events::Wanted { endpoint: Some(&one), ..Default::default() }, 100).await.unwrap();
    let mut bodies: Vec<u64> =
        kept.iter().map(|e| serde_json::from_str::<Value>(&e.body).unwrap()["n"].as_u64().unwrap()).collect();
    bodies.reverse();
    assert_eq!(bodies, (1..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_inventory_is_followed_and_asked_for_anew_where_it_does_not_fit() {
    let console = console().await;
    let one = console.newcomer("m1").await;
    let rows = [file("/a"), file("/b\u{202e}'\"<img src=x>")];
    let all = Delta { result: Fingerprint::of(&rows), put: rows.to_vec(), ..Delta::default() };
    let packed = {
        let mut to = GzEncoder::new(Vec::new(), Compression::fast());
        to.write_all(json!(all).to_string().as_bytes()).unwrap();
        to.finish().unwrap()
    };
    let (status, answer) = console.send(Some(&one), "inventory", Body::from(packed), true).await;
    assert_eq!((status, &answer["inventory"]), (StatusCode::OK, &json!(all.result)), "{answer}");
    assert_eq!(console.tell(&one, "check-in", &check_in()).await.1["inventory"], json!(all.result));
    let odd = Delta { base: Some(Fingerprint::default()), ..Delta::default() };
    let (status, answer) = console.tell(&one, "inventory", &json!(odd)).await;
    assert_eq!((status, &answer["inventory"]), (StatusCode::CONFLICT, &json!(all.result)));
    assert_eq!(inventory::page(&console.db, &one, None, 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn bodies_that_grow_or_never_end_are_refused() {
    let console = console().await;
    let one = console.newcomer("m1").await;
    let bomb = {
        let mut to = GzEncoder::new(Vec::new(), Compression::best());
        (0..64).for_each(|_| to.write_all(&vec![b' '; 1 << 20]).unwrap());
        to.finish().unwrap()
    };
    assert!(bomb.len() < 100_000);
    assert_eq!(console.send(Some(&one), "events", Body::from(bomb), true).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    let large = vec![b' '; (16 << 20) + 1];
    assert_eq!(console.send(Some(&one), "events", Body::from(large), false).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    let deep = "[".repeat(1 << 20);
    let (status, problem) = console.send(Some(&one), "events", Body::from(deep), false).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{problem}");
}

#[tokio::test]
async fn who_never_ends_a_message_is_told_so_and_gives_its_room_back() {
    let console = console().await;
    tokio::time::pause();
    let endless = Body::from_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>());
    let (status, problem) = console.send(None, "enrol", endless, false).await;
    assert_eq!((status, &problem["type"]), (StatusCode::REQUEST_TIMEOUT, &json!("urn:weighbridge:problem:too-slow")));
}

#[tokio::test]
async fn orders_are_given_until_there_is_a_receipt_from_whom_they_are_for() {
    let console = console().await;
    let (one, two) = (console.newcomer("m1").await, console.newcomer("m2").await);
    let now = Timestamp::now();
    let order = Order {
        id: "o1".to_owned(),
        expires: now + SignedDuration::from_hours(1),
        command: Command::Rescan { path: None },
    };
    assert!(orders::give(&console.db, &one, &order, "ann", now).await.unwrap());
    assert!(
        !orders::give(&console.db, "nobody", &Order { id: "o2".to_owned(), ..order.clone() }, "ann", now)
            .await
            .unwrap()
    );
    for _ in 0..2 {
        let heard = console.tell(&one, "check-in", &check_in()).await.1;
        assert_eq!(heard["orders"][0]["command"], json!({"do": "rescan"}), "{heard}");
    }
    assert!(console.tell(&two, "check-in", &check_in()).await.1.get("orders").is_none());
    let receipt = |outcome: &str| json!({"receipts": [{"id": "o1", "time": now, "outcome": outcome, "detail": "<b>"}]});
    assert_eq!(console.tell(&two, "receipts", &receipt("failed")).await.0, StatusCode::NO_CONTENT);
    assert_eq!(orders::outcome(&console.db, "o1").await.unwrap(), None, "it was not for that one");
    for outcome in ["done", "failed"] {
        assert_eq!(console.tell(&one, "receipts", &receipt(outcome)).await.0, StatusCode::NO_CONTENT);
    }
    assert_eq!(orders::outcome(&console.db, "o1").await.unwrap(), Some((Outcome::Done, "<b>".to_owned())));
    assert!(console.tell(&one, "check-in", &check_in()).await.1.get("orders").is_none());
}
