//! What lies on endpoints.

use sha2::{Digest, Sha256 as Hasher};
use weighbridge_console_wire::{Delta, Fingerprint, ModelFile, RowDigest};
use weighbridge_types::Sha256;

use crate::convert::{bytes, json, name, named, of_json, time, whole};
use crate::{Database, Row, Statement, StoreError, Transaction, Value};

/// Rows written by one statement: SQLite takes 32,766 values.
const ROWS: usize = 2_000;
/// Paths asked for by one statement.
const PATHS: usize = 10_000;
const COLUMNS: &str = "path, sha256, size_bytes, format, verdict, severity, rules, effect, policies, first_seen";

/// What became of a delta.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It is in; the fingerprint of all rows now.
    Now(Fingerprint),
    /// It does not fit the rows that are here, whose fingerprint this is;
    /// nothing was changed, and the endpoint has to send all of them.
    Unfit(Fingerprint),
    /// There is no such endpoint that is in.
    Nobody,
}

/// Puts `delta`, which was checked, into the rows of `endpoint`.
///
/// # Errors
/// [`StoreError`]; nothing was changed then.
pub async fn apply(db: &Database, endpoint: &str, delta: &Delta) -> Result<Applied, StoreError> {
    let mut open = db.begin().await?;
    // Whoever else writes this endpoint's rows waits.
    let lock = "UPDATE endpoints SET inventory = inventory WHERE id = $1 AND status = 'active' RETURNING inventory";
    let Some(row) = open.row(&Statement::new(lock).bind(endpoint)).await? else { return Ok(Applied::Nobody) };
    let known: Fingerprint = row.get::<String>("inventory")?.parse().unwrap_or_default();
    let mut sum = match delta.base {
        Some(base) if base != known => return Ok(Applied::Unfit(known)),
        Some(base) => base,
        None => {
            open.execute(&Statement::new("DELETE FROM model_files WHERE endpoint = $1").bind(endpoint)).await?;
            Fingerprint::default()
        }
    };
    let gone = delta.removed.iter().map(String::as_str).chain(delta.put.iter().map(|row| row.path.as_str()));
    let gone: Vec<&str> = gone.collect();
    for paths in gone.chunks(PATHS) {
        for row in remove(&mut open, endpoint, paths).await? {
            sum = sum.without(row);
        }
    }
    for rows in delta.put.chunks(ROWS) {
        put(&mut open, endpoint, rows).await?;
        sum = rows.iter().fold(sum, |sum, row| sum.with(row.digest()));
    }
    if sum != delta.result {
        return Ok(Applied::Unfit(known));
    }
    let set = Statement::new("UPDATE endpoints SET inventory = $2 WHERE id = $1").bind(endpoint).bind(sum.to_string());
    open.execute(&set).await?;
    open.commit().await?;
    Ok(Applied::Now(sum))
}

/// Rows of `endpoint` in the order of their paths' digests, after one of them.
///
/// # Errors
/// [`StoreError`].
pub async fn page(
    db: &Database,
    endpoint: &str,
    after: Option<&Sha256>,
    most: u32,
) -> Result<Vec<ModelFile>, StoreError> {
    let mut statement = Statement::new("SELECT ");
    statement.push(COLUMNS).push(" FROM model_files WHERE endpoint = ").push_bind(endpoint);
    if let Some(after) = after {
        statement.push(" AND path_digest > ").push_bind(*after.as_bytes());
    }
    statement.push(" ORDER BY path_digest LIMIT ").push_bind(i64::from(most));
    db.rows(&statement).await?.iter().map(file).collect()
}

/// Takes rows out; their digests.
async fn remove(open: &mut Transaction, endpoint: &str, paths: &[&str]) -> Result<Vec<RowDigest>, StoreError> {
    let mut statement = Statement::new("DELETE FROM model_files WHERE endpoint = ");
    statement.push_bind(endpoint).push(" AND path_digest IN (");
    for (n, path) in paths.iter().enumerate() {
        if n > 0 {
            statement.push(", ");
        }
        statement.push_bind(digest(path));
    }
    statement.push(") RETURNING row_digest");
    let rows = open.rows(&statement).await?;
    rows.iter().map(|row| Ok(RowDigest::new(bytes(&row.get::<Vec<u8>>("row_digest")?)))).collect()
}

async fn put(open: &mut Transaction, endpoint: &str, rows: &[ModelFile]) -> Result<(), StoreError> {
    let mut statement = Statement::new("INSERT INTO model_files (endpoint, path_digest, row_digest, ");
    statement.push(COLUMNS).push(") VALUES ");
    let values = |row: &ModelFile| -> Vec<Value> {
        vec![
            endpoint.into(),
            digest(&row.path).into(),
            (*row.digest().as_bytes()).into(),
            row.path.clone().into(),
            row.sha256.map(|digest| digest.as_bytes().to_vec()).into(),
            whole(row.size_bytes).into(),
            row.format.clone().into(),
            name(&row.verdict).into(),
            row.severity.as_ref().map(name).into(),
            json(&row.rules).into(),
            row.effect.as_ref().map(name).into(),
            json(&row.policies).into(),
            row.first_seen.as_microsecond().into(),
        ]
    };
    statement.push_rows(rows.iter().map(values));
    open.execute(&statement).await?;
    Ok(())
}

/// A row as it was sent, as far as it is kept.
fn file(row: &Row) -> Result<ModelFile, StoreError> {
    Ok(ModelFile {
        path: row.get("path")?,
        sha256: row.get::<Option<Vec<u8>>>("sha256")?.map(|digest| Sha256::new(bytes(&digest))),
        size_bytes: u64::try_from(row.get::<i64>("size_bytes")?).unwrap_or_default(),
        format: row.get("format")?,
        verdict: named(&row.get::<String>("verdict")?, "verdict")?,
        severity: row.get::<Option<String>>("severity")?.map(|text| named(&text, "severity")).transpose()?,
        rules: of_json(&row.get::<String>("rules")?, "rules")?,
        effect: row.get::<Option<String>>("effect")?.map(|text| named(&text, "effect")).transpose()?,
        policies: of_json(&row.get::<String>("policies")?, "policies")?,
        first_seen: time(row.get("first_seen")?, "first_seen")?,
    })
}

fn digest(path: &str) -> [u8; 32] {
    Hasher::digest(path).into()
}
