//! Single values by name: the last sweep, the last boot.

use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Doing, StateError, from_json, json, kind};

/// Longest value, bytes.
const VALUE_BYTES_MAX: usize = 1 << 20;

pub(crate) fn set(db: &Connection, key: &str, value: &impl Serialize) -> Result<(), StateError> {
    kind(key)?;
    let value = json("the fact", value, VALUE_BYTES_MAX)?;
    db.prepare_cached("INSERT INTO facts VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = ?2")
        .and_then(|mut q| q.execute(params![key, value]))
        .doing("write a fact")?;
    Ok(())
}

pub(crate) fn clear(db: &Connection, key: &str) -> Result<bool, StateError> {
    let gone = db
        .prepare_cached("DELETE FROM facts WHERE key = ?1")
        .and_then(|mut q| q.execute([key]))
        .doing("write a fact")?;
    Ok(gone > 0)
}

pub(crate) fn get<T: DeserializeOwned>(db: &Connection, key: &str) -> Result<Option<T>, StateError> {
    let text: Option<String> = db
        .prepare_cached("SELECT value FROM facts WHERE key = ?1")
        .and_then(|mut q| q.query_row([key], |r| r.get(0)).optional())
        .doing("read a fact")?;
    text.map(|text| from_json("a fact", &text)).transpose()
}
