//! What happened on endpoints.

use jiff::{SignedDuration, Timestamp};
use weighbridge_console_wire::{Batch, Event};
use weighbridge_types::Severity;

use crate::convert::{time, whole};
use crate::{Database, Row, Statement, StoreError, Value};

/// Rows written by one statement.
const ROWS: usize = 4_000;
const DAY_US: i64 = 86_400_000_000;
/// Partitions made ahead, days.
const AHEAD: i64 = 3;
/// Rows deleted by one statement, so that whoever writes waits only a moment.
const DELETED: i64 = 10_000;

/// An event, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// In the order in which all events of all endpoints came.
    pub number: i64,
    /// When it came here.
    pub received: Timestamp,
    /// From whom.
    pub endpoint: String,
    /// When it happened, by the endpoint's clock.
    pub happened: Timestamp,
    /// How much it matters.
    pub severity: Severity,
    /// What it is about.
    pub kind: String,
    /// JSON.
    pub body: String,
}

/// Which events are wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// Of one endpoint.
    pub endpoint: Option<&'a str>,
    /// Of one kind.
    pub kind: Option<&'a str>,
    /// That matter at least so much.
    pub severity: Option<Severity>,
    /// Older than the one of this number.
    pub before: Option<i64>,
}

/// Takes `batch`, which was checked, from `endpoint`: each event once, however
/// often it is sent. All events up to the number that comes back are kept; none
/// if the endpoint is not in.
///
/// # Errors
/// [`StoreError`]; nothing of the batch is kept then.
pub async fn take(db: &Database, endpoint: &str, batch: &Batch, now: Timestamp) -> Result<Option<u64>, StoreError> {
    let mut open = db.begin().await?;
    let active = Statement::new("SELECT id FROM endpoints WHERE id = $1 AND status = 'active'").bind(endpoint);
    if open.row(&active).await?.is_none() {
        return Ok(None);
    }
    // Whoever else brings events of this endpoint waits.
    let lock = "INSERT INTO event_cursors (endpoint, epoch, through) VALUES ($1, $2, -1) \
                ON CONFLICT (endpoint, epoch) DO UPDATE SET through = event_cursors.through RETURNING through";
    let lock = Statement::new(lock).bind(endpoint).bind(batch.epoch.as_str());
    let through: i64 = match open.row(&lock).await? {
        Some(row) => row.get("through")?,
        None => return Err(StoreError::Damaged { column: "through" }),
    };
    let fresh: Vec<&Event> = batch.events.iter().filter(|event| whole(event.id) > through).collect();
    for events in fresh.chunks(ROWS) {
        let mut insert =
            Statement::new("INSERT INTO events (received, endpoint, happened, severity, kind, body) VALUES ");
        insert.push_rows(events.iter().map(|event| row(endpoint, event, now)));
        open.execute(&insert).await?;
    }
    let last = fresh.last().map_or(through, |event| whole(event.id));
    let set = Statement::new("UPDATE event_cursors SET through = $3 WHERE endpoint = $1 AND epoch = $2");
    open.execute(&set.bind(endpoint).bind(batch.epoch.as_str()).bind(last)).await?;
    open.commit().await?;
    Ok(Some(u64::try_from(last).unwrap_or_default()))
}

fn row(endpoint: &str, event: &Event, now: Timestamp) -> Vec<Value> {
    vec![
        now.as_microsecond().into(),
        endpoint.into(),
        event.time.as_microsecond().into(),
        rank(event.severity).into(),
        event.kind.as_str().into(),
        event.body.get().into(),
    ]
}

/// The newest first.
///
/// # Errors
/// [`StoreError`].
pub async fn page(db: &Database, wanted: Wanted<'_>, most: u32) -> Result<Vec<Kept>, StoreError> {
    let mut statement =
        Statement::new("SELECT number, received, endpoint, happened, severity, kind, body FROM events WHERE TRUE");
    if let Some(endpoint) = wanted.endpoint {
        statement.push(" AND endpoint = ").push_bind(endpoint);
    }
    if let Some(kind) = wanted.kind {
        statement.push(" AND kind = ").push_bind(kind);
    }
    if let Some(severity) = wanted.severity {
        statement.push(" AND severity >= ").push_bind(rank(severity));
    }
    if let Some(before) = wanted.before {
        statement.push(" AND number < ").push_bind(before);
    }
    statement.push(" ORDER BY number DESC LIMIT ").push_bind(i64::from(most));
    db.rows(&statement).await?.iter().map(kept).collect()
}

fn kept(row: &Row) -> Result<Kept, StoreError> {
    let severity = row.get::<i64>("severity")?;
    let severity = Severity::ALL.into_iter().find(|s| rank(*s) == severity);
    Ok(Kept {
        number: row.get("number")?,
        received: time(row.get("received")?, "received")?,
        endpoint: row.get("endpoint")?,
        happened: time(row.get("happened")?, "happened")?,
        severity: severity.ok_or(StoreError::Damaged { column: "severity" })?,
        kind: row.get("kind")?,
        body: row.get("body")?,
    })
}

/// Makes room for the days to come, and deletes the events of days that are
/// wholly older than `keep`. How many rows went; of partitions, that is not
/// counted.
///
/// # Errors
/// [`StoreError`].
pub async fn maintain(db: &Database, now: Timestamp, keep: SignedDuration) -> Result<u64, StoreError> {
    let today = now.as_microsecond().div_euclid(DAY_US);
    let first = now.checked_sub(keep).unwrap_or(Timestamp::MIN).as_microsecond().div_euclid(DAY_US);
    if db.is_sqlite() {
        return delete_before(db, first * DAY_US).await;
    }
    for day in today..=today + AHEAD {
        let mut statement = Statement::new("CREATE TABLE IF NOT EXISTS events_day_");
        statement.push_number(day).push(" PARTITION OF events FOR VALUES FROM (").push_number(day * DAY_US);
        statement.push(") TO (").push_number((day + 1) * DAY_US).push(")");
        match db.execute(&statement).await {
            Ok(_) => {}
            // Another console made it, or events of that day lie in
            // `events_other` already: they stay there.
            Err(error) if error.is_conflicting_definition() => {}
            Err(error) => return Err(error),
        }
    }
    let partitions = "SELECT CAST(c.relname AS TEXT) AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
                      WHERE i.inhparent = 'events'::regclass";
    for row in db.rows(&Statement::new(partitions)).await? {
        let day = row.get::<String>("name")?.strip_prefix("events_day_").and_then(|day| day.parse::<i64>().ok());
        if let Some(day) = day.filter(|day| *day < first) {
            let mut statement = Statement::new("DROP TABLE IF EXISTS events_day_");
            statement.push_number(day);
            db.execute(&statement).await?;
        }
    }
    delete_before(db, first * DAY_US).await
}

async fn delete_before(db: &Database, time: i64) -> Result<u64, StoreError> {
    let mut gone = 0;
    loop {
        let sql = "DELETE FROM events WHERE (number, received) IN \
                   (SELECT number, received FROM events WHERE received < $1 ORDER BY received LIMIT $2)";
        let count = db.execute(&Statement::new(sql).bind(time).bind(DELETED)).await?;
        gone += count;
        if count < DELETED.unsigned_abs() {
            return Ok(gone);
        }
    }
}

const fn rank(severity: Severity) -> i64 {
    match severity {
        Severity::Info => 0,
        Severity::Low => 1,
        Severity::Medium => 2,
        Severity::High => 3,
        Severity::Critical => 4,
    }
}
