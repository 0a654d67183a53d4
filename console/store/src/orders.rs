//! What endpoints are to do.

use jiff::Timestamp;
use weighbridge_console_wire::{Command, Order, Outcome, Receipt};

use crate::convert::{json, name, of_json, time};
use crate::{Database, Statement, StoreError};

/// Gives `order` to an endpoint. False if there is no such endpoint that is in.
///
/// # Errors
/// [`StoreError::is_duplicate`] if its number was used before.
pub async fn give(db: &Database, endpoint: &str, order: &Order, by: &str, now: Timestamp) -> Result<bool, StoreError> {
    let sql = "INSERT INTO orders (id, endpoint, command, created, created_by, expires) \
               SELECT $1, id, $3, $4, $5, $6 FROM endpoints WHERE id = $2 AND status = 'active'";
    let statement = Statement::new(sql)
        .bind(order.id.as_str())
        .bind(endpoint)
        .bind(json(&order.command))
        .bind(now.as_microsecond())
        .bind(by)
        .bind(order.expires.as_microsecond());
    Ok(db.execute(&statement).await? > 0)
}

/// Orders of an endpoint without a receipt, the oldest first. Those that came
/// too late are among them for a day: it says so in its receipt.
///
/// # Errors
/// [`StoreError`].
pub async fn open(db: &Database, endpoint: &str, now: Timestamp, most: usize) -> Result<Vec<Order>, StoreError> {
    let sql = "SELECT id, command, expires FROM orders WHERE endpoint = $1 AND ended IS NULL AND expires > $2 \
               ORDER BY created, id LIMIT $3";
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let earliest = now.as_microsecond().saturating_sub(86_400_000_000);
    let rows = db.rows(&Statement::new(sql).bind(endpoint).bind(earliest).bind(most)).await?;
    let orders = rows.iter().map(|row| {
        Ok(Order {
            id: row.get("id")?,
            expires: time(row.get("expires")?, "expires")?,
            command: of_json::<Command>(&row.get::<String>("command")?, "command")?,
        })
    });
    orders.collect()
}

/// Notes what became of an order of `endpoint`. The first receipt counts; false
/// if there was one, or no such order of that endpoint.
///
/// # Errors
/// [`StoreError`].
pub async fn end(db: &Database, endpoint: &str, receipt: &Receipt, now: Timestamp) -> Result<bool, StoreError> {
    let sql =
        "UPDATE orders SET ended = $3, outcome = $4, detail = $5 WHERE id = $1 AND endpoint = $2 AND ended IS NULL";
    let statement = Statement::new(sql)
        .bind(receipt.id.as_str())
        .bind(endpoint)
        .bind(now.as_microsecond())
        .bind(name(&receipt.outcome))
        .bind(receipt.detail.as_str());
    Ok(db.execute(&statement).await? > 0)
}

/// What became of an order, and its words; none while nobody knows.
///
/// # Errors
/// [`StoreError`].
pub async fn outcome(db: &Database, id: &str) -> Result<Option<(Outcome, String)>, StoreError> {
    let statement = Statement::new("SELECT outcome, detail FROM orders WHERE id = $1 AND ended IS NOT NULL").bind(id);
    let Some(row) = db.row(&statement).await? else { return Ok(None) };
    let outcome = crate::convert::named(&row.get::<String>("outcome")?, "outcome")?;
    Ok(Some((outcome, row.get("detail")?)))
}
