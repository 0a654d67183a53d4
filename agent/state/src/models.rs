//! The last grouping of artifacts into models, one per root.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};
use weighbridge_types::Model;

use crate::artifacts::{PAGE_MAX, path_bytes, path_of};
use crate::error::{Doing, StateError, from_json, json};

/// Longest description of one model, bytes.
const MODEL_BYTES_MAX: usize = 16 << 20;
const READING: &str = "read the models";
const WRITING: &str = "write the models";

/// A model as the last scan of its root grouped it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredModel {
    /// Its place in the listing.
    pub id: i64,
    /// The root it was found below.
    pub root: PathBuf,
    /// The model.
    pub model: Model,
}

pub(crate) fn replace(db: &Connection, root: &Path, models: &[Model]) -> Result<(), StateError> {
    let root = path_bytes(root)?;
    db.execute("DELETE FROM models WHERE root = ?1", [root]).doing(WRITING)?;
    let mut insert = db.prepare_cached("INSERT INTO models (root, model) VALUES (?1, ?2)").doing(WRITING)?;
    for model in models {
        insert.execute(params![root, json("the model", model, MODEL_BYTES_MAX)?]).doing(WRITING)?;
    }
    Ok(())
}

pub(crate) fn page(db: &Connection, after: Option<i64>, limit: usize) -> Result<Vec<StoredModel>, StateError> {
    let mut query =
        db.prepare_cached("SELECT id, root, model FROM models WHERE id > ?1 ORDER BY id LIMIT ?2").doing(READING)?;
    let limit = i64::try_from(limit.min(PAGE_MAX)).unwrap_or(0);
    let mut rows = query.query([after.unwrap_or(0), limit]).doing(READING)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().doing(READING)? {
        let text: String = row.get(2).doing(READING)?;
        found.push(StoredModel {
            id: row.get(0).doing(READING)?,
            root: path_of(row.get(1).doing(READING)?),
            model: from_json("a model", &text)?,
        });
    }
    Ok(found)
}
