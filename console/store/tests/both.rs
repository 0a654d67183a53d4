//! Every statement does the same in SQLite and in PostgreSQL.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use weighbridge_console_store::enrolment::{self, NewToken, Newcomer, Standing};
use weighbridge_console_store::events::{self, Wanted};
use weighbridge_console_store::inventory::{self, Applied};
use weighbridge_console_store::orders;
use weighbridge_console_store::{Database, Statement, StoreError, Value};
use weighbridge_console_wire::{
    Batch, CheckIn, Command, Delta, Fingerprint, KeyStorage, Machine, ModelFile, Order, Outcome, Receipt,
};
use weighbridge_types::Severity;

use common::Server;

async fn sqlite(folder: &tempfile::TempDir) -> Database {
    Database::sqlite(&folder.path().join("console.db")).await.unwrap()
}

fn team(id: &str) -> Statement {
    Statement::new("INSERT INTO teams (id, name, created) VALUES ($1, $2, $3)")
        .bind(id)
        .bind("'; DROP TABLE teams; --")
        .bind(7_i64)
}

async fn behaves(db: &Database) {
    assert_eq!(db.execute(&team("a")).await.unwrap(), 1);
    let again = db.execute(&team("a")).await.unwrap_err();
    assert!(again.is_duplicate() && !again.is_passing(), "{again}");
    let names = Statement::new("SELECT id, name, created FROM teams WHERE id = $1").bind("a");
    let row = db.row(&names).await.unwrap().unwrap();
    assert_eq!(row.get::<String>("name").unwrap(), "'; DROP TABLE teams; --");
    assert_eq!(row.get::<i64>("created").unwrap(), 7);
    assert!(row.get::<i64>("nothing").is_err());

    // Nothing of a transaction that is dropped, all of one that is committed.
    let mut open = db.begin().await.unwrap();
    open.execute(&team("dropped")).await.unwrap();
    assert!(open.row(&Statement::new("SELECT id FROM teams WHERE id = $1").bind("dropped")).await.unwrap().is_some());
    drop(open);
    let mut open = db.begin().await.unwrap();
    let mut many = Statement::new("INSERT INTO teams (id, name, created) VALUES ");
    many.push_rows((0..200).map(|n| vec![format!("t{n:03}").into(), "n".into(), Value::from(n)]));
    many.push(" ON CONFLICT (id) DO UPDATE SET name = excluded.name RETURNING id");
    assert_eq!(open.rows(&many).await.unwrap().len(), 200);
    open.commit().await.unwrap();
    let count = Statement::new("SELECT COUNT(*) AS n, CAST(SUM(created) AS BIGINT) AS s FROM teams");
    let row = db.row(&count).await.unwrap().unwrap();
    assert_eq!((row.get::<i64>("n").unwrap(), row.get::<i64>("s").unwrap()), (201, 7 + 199 * 200 / 2));

    // Pages by key, in the same order on both: bytes, not a language's rules.
    let page = Statement::new("SELECT id FROM teams WHERE (created, id) > ($1, $2) ORDER BY created, id LIMIT $3");
    let page = db.rows(&page.bind(10_i64).bind("t010").bind(2_i64)).await.unwrap();
    let ids: Vec<String> = page.iter().map(|row| row.get("id").unwrap()).collect();
    assert_eq!(ids, ["t011", "t012"]);

    // Bytes, absent values, yes and no.
    let token = "INSERT INTO enrolment_tokens (id, digest, team, quota, created, created_by, expires) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let token = |id: &str, team: &str| {
        let bound = Statement::new(token).bind(id).bind([7_u8; 32]).bind(team).bind(1_i64);
        bound.bind(0_i64).bind("admin").bind(9_i64)
    };
    db.execute(&token("k", "a")).await.unwrap();
    let read = Statement::new("SELECT digest, revoked FROM enrolment_tokens WHERE digest = $1").bind([7_u8; 32]);
    let row = db.row(&read).await.unwrap().unwrap();
    assert_eq!((row.get::<Vec<u8>>("digest").unwrap(), row.get::<bool>("revoked").unwrap()), (vec![7; 32], false));
    assert!(db.execute(&token("l", "nowhere")).await.is_err(), "there is no such team");
    let text = "INSERT INTO endpoints (id, team, status, host, machine_id, system, system_version, architecture, \
                agent_version, key_storage, key_digest, enrolled, last_seen, mode, inventory) \
                VALUES ($1, 'a', 'active', '', '', '', '', '', '', '', $2, 0, $3, $4, '')";
    let endpoint = Statement::new(text).bind("e").bind([201_u8; 32]).bind(Value::Int(None)).bind(Value::Text(None));
    db.execute(&endpoint).await.unwrap();
    let row = db.row(&Statement::new("SELECT last_seen, mode FROM endpoints")).await.unwrap().unwrap();
    assert_eq!(
        (row.get::<Option<i64>>("last_seen").unwrap(), row.get::<Option<String>>("mode").unwrap()),
        (None, None)
    );
}

fn file(path: &str, size_bytes: u64) -> ModelFile {
    let text = json!({"path": path, "size_bytes": size_bytes, "format": "gguf", "verdict": "suspicious", "severity": "high",
        "sha256": "ab".repeat(32), "rules": ["a", "b"], "effect": "deny", "first_seen": "2026-11-22T05:00:00.123456789Z"});
    serde_json::from_value(text).unwrap()
}

/// What turns `before` into `after`.
fn delta(before: &[ModelFile], after: &[ModelFile]) -> Delta {
    let put = after.iter().filter(|row| !before.contains(row)).cloned().collect();
    let gone = before.iter().filter(|row| !after.iter().any(|a| a.path == row.path));
    Delta {
        base: Some(Fingerprint::of(before)),
        result: Fingerprint::of(after),
        put,
        removed: gone.map(|row| row.path.clone()).collect(),
    }
}

/// As `behaves` left it: an endpoint `e`.
async fn follows_an_inventory(db: &Database) {
    let rows = async || {
        let mut rows = inventory::page(db, "e", None, 10_000).await.unwrap();
        rows.sort_by(|a, b| a.path.cmp(&b.path));
        rows.iter().map(|row| (row.path.clone(), row.size_bytes)).collect::<Vec<_>>()
    };
    let first: Vec<ModelFile> = (0..4_500).map(|n| file(&format!("/m/{n:04}'; DROP"), n)).collect();
    let all = Delta { result: Fingerprint::of(&first), put: first.clone(), ..Delta::default() };
    assert_eq!(inventory::apply(db, "nobody", &all).await.unwrap(), Applied::Nobody);
    assert_eq!(inventory::apply(db, "e", &all).await.unwrap(), Applied::Now(all.result));
    assert_eq!(rows().await.len(), 4_500);
    let read = inventory::page(db, "e", None, 1).await.unwrap();
    assert_eq!((read[0].rules.clone(), read[0].severity), (vec!["a".to_owned(), "b".to_owned()], first[0].severity));

    // Some change, some go, some come.
    let mut second = first.clone();
    second.truncate(4_000);
    second[7].size_bytes = 1 << 40;
    second.push(file("/new", 1));
    let change = delta(&first, &second);
    assert_eq!((change.put.len(), change.removed.len()), (2, 500));
    assert_eq!(inventory::apply(db, "e", &change).await.unwrap(), Applied::Now(change.result));
    assert_eq!(rows().await, second.iter().map(|r| (r.path.clone(), r.size_bytes)).collect::<Vec<_>>());
    // The same again does not fit, nor does one that lies about its result; nothing changes.
    assert_eq!(inventory::apply(db, "e", &change).await.unwrap(), Applied::Unfit(change.result));
    let lie = Delta { result: Fingerprint::default(), ..delta(&second, &first) };
    assert_eq!(inventory::apply(db, "e", &lie).await.unwrap(), Applied::Unfit(change.result));
    assert_eq!(rows().await.len(), 4_001);
    // Everything anew, in two messages.
    let (one, two) = first.split_at(1_000);
    let begin = Delta { result: Fingerprint::of(one), put: one.to_vec(), ..Delta::default() };
    assert_eq!(inventory::apply(db, "e", &begin).await.unwrap(), Applied::Now(begin.result));
    let rest = Delta { base: Some(begin.result), result: all.result, put: two.to_vec(), ..Delta::default() };
    assert_eq!(inventory::apply(db, "e", &rest).await.unwrap(), Applied::Now(all.result));
}

fn machine(id: &str) -> Machine {
    Machine { host: "build-7".to_owned(), machine_id: id.to_owned(), ..Machine::default() }
}

/// An endpoint with the number and the key `n` on the machine `on` asks with the token 9.
async fn ask(db: &Database, n: u8, on: &str, second: i64) -> Standing {
    let (id, machine) = (format!("ep{n}"), machine(on));
    let newcomer = Newcomer { id: &id, key_digest: [n; 32], machine: &machine, key_storage: KeyStorage::Software };
    enrolment::enrol(db, [9; 32], &newcomer, Timestamp::from_second(second).unwrap()).await.unwrap()
}

async fn lets_endpoints_in(db: &Database) {
    let at = |second| Timestamp::from_second(second).unwrap();
    enrolment::add_team(db, "research", "Research", at(0)).await.unwrap();
    assert!(enrolment::add_team(db, "research", "Again", at(0)).await.unwrap_err().is_duplicate());
    let token = NewToken { id: "t9", digest: [9; 32], team: "research", quota: 3, expires: at(100), by: "ann" };
    enrolment::add_token(db, &token, at(0)).await.unwrap();
    assert!(
        enrolment::add_token(db, &NewToken { id: "x", digest: [8; 32], team: "none", ..token }, at(0)).await.is_err()
    );

    let active = |n: u8| Standing::Active { id: format!("ep{n}"), team: "research".to_owned() };
    assert_eq!(ask(db, 1, "m1", 1).await, active(1));
    assert_eq!(ask(db, 1, "m1", 500).await, active(1), "whoever is in is told so, token or not");
    assert_eq!(ask(db, 2, "m1", 2).await, Standing::Waiting { id: "ep2".to_owned() }, "that machine is known");
    // The last place, for two at once.
    let (a, b) = tokio::join!(ask(db, 3, "m3", 3), ask(db, 4, "m4", 3));
    assert!([&a, &b].iter().filter(|s| ***s == Standing::NoToken).count() == 1, "{a:?} {b:?}");
    assert_eq!(ask(db, 5, "m5", 4).await, Standing::NoToken, "it is used up");

    let token = NewToken { id: "t9b", quota: 9, digest: [9; 32], ..token };
    assert!(enrolment::add_token(db, &token, at(0)).await.unwrap_err().is_duplicate());
    assert!(enrolment::approve(db, "ep2").await.unwrap() && !enrolment::approve(db, "ep2").await.unwrap());
    assert_eq!((ask(db, 2, "m1", 5).await, ask(db, 1, "m1", 5).await), (active(2), Standing::Revoked));
    assert!(enrolment::revoke_token(db, "t9").await.unwrap() && !enrolment::revoke_token(db, "t0").await.unwrap());

    let told =
        json!({"agent_version": "0.1.0", "now": "1970-01-01T00:00:07Z", "mode": "guard", "inventory": "0".repeat(64)});
    let told: CheckIn = serde_json::from_value(told).unwrap();
    let seen = enrolment::seen(db, "ep2", &told, at(5)).await.unwrap().unwrap();
    assert_eq!((seen.team.as_str(), seen.inventory), ("research", Fingerprint::default()));
    for nobody in ["ep1", "ep9"] {
        assert_eq!(enrolment::seen(db, nobody, &told, at(5)).await.unwrap(), None, "{nobody}");
    }
    let row = Statement::new("SELECT clock_skew, mode FROM endpoints WHERE id = 'ep2'");
    let row = db.row(&row).await.unwrap().unwrap();
    assert_eq!(
        (row.get::<i64>("clock_skew").unwrap(), row.get::<String>("mode").unwrap()),
        (2_000_000, "guard".to_owned())
    );
    assert!(enrolment::revoke(db, "ep2").await.unwrap());
    assert_eq!(enrolment::seen(db, "ep2", &told, at(6)).await.unwrap(), None);
}

/// As `lets_endpoints_in` left it: an endpoint `ep1` that is out; `ep6` comes.
async fn keeps_events(db: &Database) {
    let at = |second: i64| Timestamp::from_second(second).unwrap();
    let day = |n: i64| at(20_000 * 86_400 + n * 86_400);
    let token = NewToken { id: "t6", digest: [6; 32], team: "research", quota: 1, expires: day(1), by: "ann" };
    enrolment::add_token(db, &token, at(0)).await.unwrap();
    let machine = machine("m6");
    let newcomer = Newcomer { id: "ep6", key_digest: [66; 32], machine: &machine, key_storage: KeyStorage::Tpm };
    enrolment::enrol(db, [6; 32], &newcomer, at(1)).await.unwrap();
    events::maintain(db, day(0), SignedDuration::from_hours(24)).await.unwrap();
    events::maintain(db, day(0), SignedDuration::from_hours(24)).await.unwrap();
    let batch = |ids: std::ops::Range<u64>, epoch: &str| -> Batch {
        let event = |id: u64| {
            let severity = if id.is_multiple_of(2) { "high" } else { "info" };
            json!({"id": id, "time": "2026-11-22T05:00:00.5Z", "severity": severity, "kind": "seen'; --", "body": {"n": id}})
        };
        let text = json!({"epoch": epoch, "events": ids.map(event).collect::<Vec<_>>()}).to_string();
        serde_json::from_str(&text).unwrap()
    };
    assert_eq!(events::take(db, "ep1", &batch(0..3, "e"), day(0)).await.unwrap(), None, "it is out");
    // Number nought counts, too; what was kept is not kept again; epochs begin anew.
    for (ids, epoch, when, through) in [
        (0..1, "e", 0, 0),
        (0..1_000, "e", 0, 999),
        (500..1_000, "e", 1, 999),
        (900..5_500, "e", 1, 5_499),
        (0..2, "f", 9, 1),
    ] {
        assert_eq!(events::take(db, "ep6", &batch(ids, epoch), day(when)).await.unwrap(), Some(through), "{epoch}");
    }
    let count = async || {
        db.row(&Statement::new("SELECT COUNT(*) AS n FROM events")).await.unwrap().unwrap().get::<i64>("n").unwrap()
    };
    assert_eq!(count().await, 5_502);
    let wanted =
        Wanted { endpoint: Some("ep6"), kind: Some("seen'; --"), severity: Some(Severity::High), before: None };
    let newest = events::page(db, wanted, 2).await.unwrap();
    assert_eq!(newest.iter().map(|e| e.body.as_str()).collect::<Vec<_>>(), [r#"{"n":0}"#, r#"{"n":5498}"#]);
    assert_eq!((newest[0].received, newest[0].severity), (day(9), Severity::High));
    let older = Wanted { before: Some(newest[1].number), ..wanted };
    assert_eq!(events::page(db, older, 1).await.unwrap()[0].body, r#"{"n":5496}"#);
    assert_eq!(events::page(db, Wanted { kind: Some("none"), ..wanted }, 1).await.unwrap(), []);
    // Whole days go.
    events::maintain(db, day(2), SignedDuration::from_hours(24)).await.unwrap();
    assert_eq!(count().await, 5_502 - 1_000);
    events::maintain(db, day(100), SignedDuration::from_hours(24)).await.unwrap();
    assert_eq!(count().await, 0);
    assert_eq!(events::take(db, "ep6", &batch(0..2, "f"), day(100)).await.unwrap(), Some(1), "gone is not new");
    assert_eq!(count().await, 0);

    let order = |id: &str, second: i64| Order { id: id.to_owned(), expires: at(second), command: Command::Unknown };
    for (id, second) in [("o1", 100_000), ("o2", 200_000), ("o3", 300_000)] {
        assert!(orders::give(db, "ep6", &order(id, second), "ann", at(second - 1_000)).await.unwrap());
    }
    assert!(orders::give(db, "ep6", &order("o1", 1), "ann", at(0)).await.unwrap_err().is_duplicate());
    assert!(!orders::give(db, "ep1", &order("o4", 1), "ann", at(0)).await.unwrap(), "it is out");
    let open = orders::open(db, "ep6", at(190_000), 2).await.unwrap();
    assert_eq!(open.iter().map(|o| o.id.as_str()).collect::<Vec<_>>(), ["o2", "o3"], "o1 ended a day ago");
    let receipt = Receipt { id: "o2".to_owned(), time: at(0), outcome: Outcome::Expired, detail: "late".to_owned() };
    assert!(orders::end(db, "ep6", &receipt, at(1)).await.unwrap());
    assert!(!orders::end(db, "ep6", &Receipt { outcome: Outcome::Done, ..receipt.clone() }, at(2)).await.unwrap());
    assert_eq!(orders::outcome(db, "o2").await.unwrap(), Some((Outcome::Expired, "late".to_owned())));
    assert_eq!(orders::outcome(db, "o3").await.unwrap(), None);
}

#[tokio::test]
async fn one_file() {
    let folder = tempfile::tempdir().unwrap();
    let db = sqlite(&folder).await;
    behaves(&db).await;
    follows_an_inventory(&db).await;
    lets_endpoints_in(&db).await;
    keeps_events(&db).await;
    // It is all there when it is opened again.
    let again = sqlite(&folder).await;
    let count = again.row(&Statement::new("SELECT COUNT(*) AS n FROM teams")).await.unwrap().unwrap();
    assert_eq!(count.get::<i64>("n").unwrap(), 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server() {
    let Some(server) = Server::start() else { return };
    // Several consoles begin at once.
    let (a, b, c) = tokio::join!(server.open(), server.open(), server.open());
    behaves(&a).await;
    follows_an_inventory(&a).await;
    lets_endpoints_in(&a).await;
    keeps_events(&a).await;
    b.close().await;
    c.close().await;
}

/// Tables and columns, in the order of their names.
async fn columns(db: &Database, statement: &'static str) -> Vec<(String, String, bool)> {
    let rows = db.rows(&Statement::new(statement)).await.unwrap();
    rows.iter().map(|r| (r.get("t").unwrap(), r.get("c").unwrap(), r.get::<i64>("n").unwrap() != 0)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn both_have_the_same_tables() {
    let Some(server) = Server::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let ours = "SELECT m.name AS t, c.name AS c, c.\"notnull\" OR c.pk > 0 AS n FROM sqlite_master m, \
                pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE '\\_sqlx%' ESCAPE '\\' \
                AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY t, c";
    let theirs = "SELECT table_name::TEXT AS t, column_name::TEXT AS c, (is_nullable = 'NO')::INT::BIGINT AS n \
                  FROM information_schema.columns WHERE table_schema = 'public' AND table_name NOT LIKE '\\_sqlx%' \
                  AND table_name NOT LIKE 'events\\_%' ORDER BY table_name COLLATE \"C\", column_name COLLATE \"C\"";
    let sqlite = columns(&sqlite(&folder).await, ours).await;
    assert_eq!(sqlite, columns(&server.open().await, theirs).await);
    assert!(sqlite.len() > 30);
}

#[tokio::test]
async fn what_is_no_database_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = Database::sqlite(&folder.path().join("no/such/folder/console.db")).await.unwrap_err();
    assert!(matches!(nowhere, StoreError::Database { .. }), "{nowhere}");
    std::fs::write(folder.path().join("text"), "this is no database, whatever its name").unwrap();
    assert!(Database::sqlite(&folder.path().join("text")).await.is_err());
    let odd = Database::postgres("mysql://user:secret@host/name").await.unwrap_err().to_string();
    assert!(!odd.contains("secret"), "{odd}");
    let none = Database::postgres("postgres://user:secret@127.0.0.1:9/name").await.unwrap_err();
    assert!(none.is_passing() && !none.to_string().contains("secret"), "{none}");
}
