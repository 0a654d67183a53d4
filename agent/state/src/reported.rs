//! What a console knows of the inventory, and what it has yet to hear.

use std::path::PathBuf;

use rusqlite::{Connection, OptionalExtension, params};

use crate::artifacts::{self, PAGE_MAX, StoredArtifact, path_bytes, path_of};
use crate::error::{Doing, StateError};

const READING: &str = "read what is to be reported";
const WRITING: &str = "write what was reported";

/// A path of the inventory that changed since a console heard of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Unreported {
    /// Number of the change; a later one of the same path has a higher one.
    pub seq: i64,
    /// Which path.
    pub path: PathBuf,
    /// What is there now.
    pub now: Option<StoredArtifact>,
    /// Digest under which the console knows it.
    pub reported: Option<[u8; 32]>,
}

pub(crate) fn unreported(db: &Connection, limit: usize) -> Result<Vec<Unreported>, StateError> {
    let mut query = db
        .prepare_cached(
            "SELECT u.seq, u.path, r.digest FROM unreported u LEFT JOIN reported r ON r.path = u.path
             ORDER BY u.seq LIMIT ?1",
        )
        .doing(READING)?;
    let mut rows = query.query([i64::try_from(limit.min(PAGE_MAX)).unwrap_or(0)]).doing(READING)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().doing(READING)? {
        let path = path_of(row.get(1).doing(READING)?);
        let now = artifacts::get(db, &path)?;
        found.push(Unreported { seq: row.get(0).doing(READING)?, path, now, reported: row.get(2).doing(READING)? });
    }
    Ok(found)
}

/// Notes that the console knows `change` under `digest`, or that nothing is there
/// any more. A change that came meanwhile stays to be reported.
pub(crate) fn reported(db: &Connection, change: &Unreported, digest: Option<[u8; 32]>) -> Result<(), StateError> {
    let path = path_bytes(&change.path)?;
    db.prepare_cached("DELETE FROM unreported WHERE seq = ?1")
        .and_then(|mut q| q.execute([change.seq]))
        .doing(WRITING)?;
    match digest {
        Some(digest) => db
            .prepare_cached("INSERT INTO reported VALUES (?1, ?2) ON CONFLICT DO UPDATE SET digest = ?2")
            .and_then(|mut q| q.execute(params![path, digest])),
        None => db.prepare_cached("DELETE FROM reported WHERE path = ?1").and_then(|mut q| q.execute([path])),
    }
    .doing(WRITING)?;
    if digest.is_none() {
        return Ok(());
    }
    // It went while the console heard of it for the first time: nobody noted that
    // it has to hear of the end as well.
    let is_there = db
        .prepare_cached("SELECT 1 FROM artifacts WHERE path = ?1")
        .and_then(|mut q| q.query_row([path], |_| Ok(())).optional())
        .doing(READING)?;
    if is_there.is_none() {
        db.prepare_cached("INSERT INTO unreported (path) VALUES (?1) ON CONFLICT DO NOTHING")
            .and_then(|mut q| q.execute([path]))
            .doing(WRITING)?;
    }
    Ok(())
}

/// Forgets what the console knows: it hears everything again.
pub(crate) fn anew(db: &Connection) -> Result<(), StateError> {
    db.execute_batch(
        "DELETE FROM reported; DELETE FROM unreported;
         INSERT INTO unreported (path) SELECT path FROM artifacts ORDER BY path;",
    )
    .doing(WRITING)
}
