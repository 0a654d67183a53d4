//! Requests of users for approval.

use std::path::PathBuf;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use weighbridge_types::Sha256;

use crate::artifacts::{PAGE_MAX, path_bytes, path_of};
use crate::audit::time;
use crate::error::{Doing, StateError, bound};

/// Longest reason, note or name, bytes.
const TEXT_BYTES_MAX: usize = 4096;
/// Most open requests of one user.
const OPEN_MAX: u64 = 100;
/// Most answered requests that are kept, the newest.
const SETTLED_MAX: i64 = 10_000;
const READING: &str = "read the requests";
const WRITING: &str = "write the requests";
const COLUMNS: &str = "id, uid, user, sha256, path, reason, made, state, settled, by_whom, note";

/// What a user asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRequest {
    /// User id, as the kernel gave it.
    pub uid: u32,
    /// Name of the user.
    pub user: String,
    /// Digest of the file, where it is known.
    pub sha256: Option<Sha256>,
    /// The file.
    pub path: PathBuf,
    /// The user's own words.
    pub reason: String,
}

/// How a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RequestState {
    /// Nobody has answered.
    Open,
    /// Granted.
    Approved,
    /// Denied.
    Refused,
    /// Taken back by the user.
    Withdrawn,
}

impl RequestState {
    const ALL: [Self; 4] = [Self::Open, Self::Approved, Self::Refused, Self::Withdrawn];

    /// As in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Approved => "approved",
            Self::Refused => "refused",
            Self::Withdrawn => "withdrawn",
        }
    }

    fn code(self) -> i64 {
        match self {
            Self::Open => 0,
            Self::Approved => 1,
            Self::Refused => 2,
            Self::Withdrawn => 3,
        }
    }
}

/// A request and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its number.
    pub id: i64,
    /// Who asks for what.
    pub asked: NewRequest,
    /// When.
    pub made: Timestamp,
    /// How it stands.
    pub state: RequestState,
    /// When it was answered.
    pub settled: Option<Timestamp>,
    /// Who answered.
    pub by: Option<String>,
    /// What they said.
    pub note: Option<String>,
}

/// Files a request. Asking again for the same bytes gives the open request's number.
pub(crate) fn add(db: &Connection, now: Timestamp, new: &NewRequest) -> Result<i64, StateError> {
    bound("the user name", new.user.len(), TEXT_BYTES_MAX)?;
    bound("the reason", new.reason.len(), TEXT_BYTES_MAX)?;
    let (path, digest) = (path_bytes(&new.path)?, new.sha256.as_ref().map(Sha256::as_bytes));
    let same: Option<i64> = db
        .prepare_cached(
            "SELECT id FROM requests WHERE uid = ?1 AND state = 0 AND sha256 IS ?2 AND (?2 IS NOT NULL OR path = ?3)",
        )
        .and_then(|mut q| q.query_row(params![new.uid, digest, path], |r| r.get(0)).optional())
        .doing(READING)?;
    if let Some(id) = same {
        return Ok(id);
    }
    let open: u64 = db
        .query_row("SELECT count(*) FROM requests WHERE uid = ?1 AND state = 0", [new.uid], |r| r.get(0))
        .doing(READING)?;
    if open >= OPEN_MAX {
        return Err(StateError::TooManyRequests { uid: new.uid, max: OPEN_MAX });
    }
    db.execute(
        "INSERT INTO requests (uid, user, sha256, path, reason, made, state) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0)",
        params![new.uid, new.user, digest, path, new.reason, now.as_microsecond()],
    )
    .doing(WRITING)?;
    Ok(db.last_insert_rowid())
}

/// Answers an open request.
pub(crate) fn settle(
    db: &Connection,
    now: Timestamp,
    id: i64,
    state: RequestState,
    by: &str,
    note: Option<&str>,
) -> Result<Request, StateError> {
    bound("the name", by.len(), TEXT_BYTES_MAX)?;
    bound("the note", note.map_or(0, str::len), TEXT_BYTES_MAX)?;
    let before = get(db, id)?.ok_or(StateError::NoRequest { id })?;
    if before.state != RequestState::Open {
        return Err(StateError::Settled { id, state: before.state.name() });
    }
    db.execute(
        "UPDATE requests SET state = ?2, settled = ?3, by_whom = ?4, note = ?5 WHERE id = ?1",
        params![id, state.code(), now.as_microsecond(), by, note],
    )
    .doing(WRITING)?;
    // All that was answered is in the audit record; here the newest stay.
    db.execute(
        "DELETE FROM requests WHERE state <> 0 AND id <=
             (SELECT id FROM requests WHERE state <> 0 ORDER BY id DESC LIMIT 1 OFFSET ?1)",
        [SETTLED_MAX],
    )
    .doing(WRITING)?;
    get(db, id)?.ok_or(StateError::NoRequest { id })
}

pub(crate) fn get(db: &Connection, id: i64) -> Result<Option<Request>, StateError> {
    let mut query = db.prepare_cached(&format!("SELECT {COLUMNS} FROM requests WHERE id = ?1")).doing(READING)?;
    let mut rows = query.query([id]).doing(READING)?;
    rows.next().doing(READING)?.map(request).transpose()
}

pub(crate) fn page(
    db: &Connection,
    state: Option<RequestState>,
    after: Option<i64>,
    limit: usize,
) -> Result<Vec<Request>, StateError> {
    let sql =
        format!("SELECT {COLUMNS} FROM requests WHERE id > ?1 AND (?3 IS NULL OR state = ?3) ORDER BY id LIMIT ?2");
    let mut query = db.prepare_cached(&sql).doing(READING)?;
    let limit = i64::try_from(limit.min(PAGE_MAX)).unwrap_or(0);
    let mut rows = query.query(params![after.unwrap_or(0), limit, state.map(RequestState::code)]).doing(READING)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().doing(READING)? {
        found.push(request(row)?);
    }
    Ok(found)
}

fn request(row: &Row<'_>) -> Result<Request, StateError> {
    let (code, digest): (i64, Option<[u8; 32]>) = (row.get(7).doing(READING)?, row.get(3).doing(READING)?);
    let state = RequestState::ALL.into_iter().find(|s| s.code() == code);
    let settled: Option<i64> = row.get(8).doing(READING)?;
    Ok(Request {
        id: row.get(0).doing(READING)?,
        asked: NewRequest {
            uid: row.get(1).doing(READING)?,
            user: row.get(2).doing(READING)?,
            sha256: digest.map(Sha256::new),
            path: path_of(row.get(4).doing(READING)?),
            reason: row.get(5).doing(READING)?,
        },
        made: time(row.get(6).doing(READING)?)?,
        state: state.ok_or_else(|| StateError::Row { what: "a request", why: format!("{code} is no state") })?,
        settled: settled.map(time).transpose()?,
        by: row.get(9).doing(READING)?,
        note: row.get(10).doing(READING)?,
    })
}
