//! Events that wait for a console.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use weighbridge_types::Severity;

use crate::artifacts::PAGE_MAX;
use crate::audit::time;
use crate::error::{Doing, StateError, bound, kind as check_kind};

/// Longest body of one event, bytes.
pub(crate) const BODY_BYTES_MAX: usize = 1 << 20;
/// What a row costs beside its body, roughly, bytes.
const ROW_BYTES: usize = 64;
const READING: &str = "read the queue of events";
const WRITING: &str = "write the queue of events";

/// How much may wait. When it is more, the oldest event of the lowest severity
/// goes, and is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutboxLimits {
    /// Events.
    pub events: u64,
    /// Bytes of their bodies and rows.
    pub bytes: u64,
}

impl Default for OutboxLimits {
    /// 100,000 events, 64 MiB: days of an ordinary endpoint offline.
    fn default() -> Self {
        Self { events: 100_000, bytes: 64 << 20 }
    }
}

/// An event that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its number; numbers grow and are never used twice.
    pub id: i64,
    /// How much it matters.
    pub severity: Severity,
    /// When it was put here.
    pub created: Timestamp,
    /// What it tells of.
    pub kind: String,
    /// JSON.
    pub body: String,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queued {
    /// Its number.
    pub id: i64,
    /// Events that had to go for it; it may be among them.
    pub dropped: u64,
}

/// How the queue stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxStatus {
    /// Events that wait.
    pub events: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the oldest was put here.
    pub oldest: Option<Timestamp>,
    /// Events dropped since the state began, by severity; those without any are left out.
    pub dropped: Vec<(Severity, u64)>,
}

fn code(severity: Severity) -> i64 {
    match severity {
        Severity::Info => 0,
        Severity::Low => 1,
        Severity::Medium => 2,
        Severity::High => 3,
        Severity::Critical => 4,
    }
}

fn severity_of(number: i64) -> Result<Severity, StateError> {
    let known = Severity::ALL.into_iter().find(|s| code(*s) == number);
    known.ok_or_else(|| StateError::Row { what: "a severity", why: format!("{number} is none") })
}

pub(crate) fn enqueue(
    db: &Connection,
    now: Timestamp,
    limits: OutboxLimits,
    severity: Severity,
    kind: &str,
    body: &str,
) -> Result<Queued, StateError> {
    check_kind(kind)?;
    bound("the event", body.len(), BODY_BYTES_MAX)?;
    let bytes = i64::try_from(body.len().saturating_add(kind.len()).saturating_add(ROW_BYTES)).unwrap_or(i64::MAX);
    db.prepare_cached("INSERT INTO outbox (severity, created, bytes, kind, body) VALUES (?1, ?2, ?3, ?4, ?5)")
        .and_then(|mut q| q.execute(params![code(severity), now.as_microsecond(), bytes, kind, body]))
        .doing(WRITING)?;
    let id = db.last_insert_rowid();
    let mut dropped: u64 = 0;
    while over(db, limits)? {
        if !drop_one(db)? {
            break;
        }
        dropped = dropped.saturating_add(1);
    }
    Ok(Queued { id, dropped })
}

fn over(db: &Connection, limits: OutboxLimits) -> Result<bool, StateError> {
    let (events, bytes) = totals(db)?;
    Ok(events > limits.events || bytes > limits.bytes)
}

fn totals(db: &Connection) -> Result<(u64, u64), StateError> {
    db.prepare_cached("SELECT events, bytes FROM outbox_totals")
        .and_then(|mut q| q.query_row([], |r| Ok((r.get(0)?, r.get(1)?))))
        .doing(READING)
}

fn drop_one(db: &Connection) -> Result<bool, StateError> {
    let least: Option<(i64, i64)> = db
        .prepare_cached("SELECT id, severity FROM outbox ORDER BY severity, id LIMIT 1")
        .and_then(|mut q| q.query_row([], |r| Ok((r.get(0)?, r.get(1)?))).optional())
        .doing(READING)?;
    let Some((id, severity)) = least else { return Ok(false) };
    db.prepare_cached("DELETE FROM outbox WHERE id = ?1").and_then(|mut q| q.execute([id])).doing(WRITING)?;
    db.prepare_cached("INSERT INTO outbox_dropped VALUES (?1, 1) ON CONFLICT DO UPDATE SET events = events + 1")
        .and_then(|mut q| q.execute([severity]))
        .doing(WRITING)?;
    Ok(true)
}

pub(crate) fn peek(db: &Connection, n: usize) -> Result<Vec<Event>, StateError> {
    let mut query = db
        .prepare_cached("SELECT id, severity, created, kind, body FROM outbox ORDER BY id LIMIT ?1")
        .doing(READING)?;
    let mut rows = query.query([i64::try_from(n.min(PAGE_MAX)).unwrap_or(0)]).doing(READING)?;
    let mut events = Vec::new();
    while let Some(row) = rows.next().doing(READING)? {
        events.push(Event {
            id: row.get(0).doing(READING)?,
            severity: severity_of(row.get(1).doing(READING)?)?,
            created: time(row.get(2).doing(READING)?)?,
            kind: row.get(3).doing(READING)?,
            body: row.get(4).doing(READING)?,
        });
    }
    Ok(events)
}

pub(crate) fn acknowledge(db: &Connection, up_to: i64) -> Result<u64, StateError> {
    let gone =
        db.prepare_cached("DELETE FROM outbox WHERE id <= ?1").and_then(|mut q| q.execute([up_to])).doing(WRITING)?;
    Ok(u64::try_from(gone).unwrap_or(u64::MAX))
}

pub(crate) fn status(db: &Connection) -> Result<OutboxStatus, StateError> {
    let (events, bytes) = totals(db)?;
    let oldest: Option<i64> =
        db.query_row("SELECT created FROM outbox ORDER BY id LIMIT 1", [], |r| r.get(0)).optional().doing(READING)?;
    let mut query =
        db.prepare_cached("SELECT severity, events FROM outbox_dropped ORDER BY severity").doing(READING)?;
    let mut rows = query.query([]).doing(READING)?;
    let mut dropped = Vec::new();
    while let Some(row) = rows.next().doing(READING)? {
        dropped.push((severity_of(row.get(0).doing(READING)?)?, row.get(1).doing(READING)?));
    }
    Ok(OutboxStatus { events, bytes, oldest: oldest.map(time).transpose()?, dropped })
}
