//! What endpoints tell.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use weighbridge_console_http::Problem;
use weighbridge_console_store::inventory::Applied;
use weighbridge_console_store::{events as kept, inventory as rows, orders};
use weighbridge_console_wire::{Accepted, Batch, Delta, InventoryAnswer, Receipts};

use crate::Fleet;
use crate::message::{Known, Told, out, store};

/// Rows that changed. 409 with what is known where they do not fit.
pub async fn inventory(
    State(fleet): State<Fleet>,
    Known(holder): Known,
    Told(delta): Told<Delta>,
) -> Result<(StatusCode, Json<InventoryAnswer>), Problem> {
    match rows::apply(&fleet.0.db, &holder.endpoint, &delta).await.map_err(|e| store(&e))? {
        Applied::Now(inventory) => Ok((StatusCode::OK, Json(InventoryAnswer { inventory }))),
        Applied::Unfit(inventory) => Ok((StatusCode::CONFLICT, Json(InventoryAnswer { inventory }))),
        Applied::Nobody => Err(out()),
    }
}

/// What happened. Whoever is answered need not keep it.
pub async fn events(
    State(fleet): State<Fleet>,
    Known(holder): Known,
    Told(batch): Told<Batch>,
) -> Result<Json<Accepted>, Problem> {
    let taken = kept::take(&fleet.0.db, &holder.endpoint, &batch, Timestamp::now()).await;
    let through = taken.map_err(|e| store(&e))?.ok_or_else(out)?;
    Ok(Json(Accepted { epoch: batch.epoch, through }))
}

/// What became of orders.
pub async fn receipts(
    State(fleet): State<Fleet>,
    Known(holder): Known,
    Told(told): Told<Receipts>,
) -> Result<StatusCode, Problem> {
    let now = Timestamp::now();
    for receipt in &told.receipts {
        orders::end(&fleet.0.db, &holder.endpoint, receipt, now).await.map_err(|e| store(&e))?;
    }
    Ok(StatusCode::NO_CONTENT)
}
