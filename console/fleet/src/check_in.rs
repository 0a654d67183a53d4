//! The regular sign of life.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use weighbridge_console_http::Problem;
use weighbridge_console_store::{enrolment, orders};
use weighbridge_console_wire::{CheckIn, Instructions, ORDERS_MAX};

use crate::Fleet;
use crate::message::{Known, Told, out, store};

pub async fn check_in(
    State(fleet): State<Fleet>,
    Known(holder): Known,
    Told(told): Told<CheckIn>,
) -> Result<Json<Instructions>, Problem> {
    let (db, now) = (&fleet.0.db, Timestamp::now());
    let seen = enrolment::seen(db, &holder.endpoint, &told, now).await.map_err(|e| store(&e))?;
    let seen = seen.ok_or_else(out)?;
    let orders = orders::open(db, &holder.endpoint, now, ORDERS_MAX).await.map_err(|e| store(&e))?;
    Ok(Json(Instructions {
        next_in_s: fleet.0.pace.next_s(),
        now,
        inventory: seen.inventory,
        team: seen.team,
        policy_version: None,
        orders,
        renew: holder.is_due(now),
    }))
}
