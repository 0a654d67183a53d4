//! Requests as messages.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use weighbridge_console_http::{Bounds, Holder, Peer, Problem, read};
use weighbridge_console_store::StoreError;
use weighbridge_console_wire::{Check, PACKED_BYTES_MAX, REQUEST_BYTES_MAX};

use crate::Fleet;

const BOUNDS: Bounds = Bounds { packed: PACKED_BYTES_MAX, whole: REQUEST_BYTES_MAX };

/// Whoever sends a message more slowly than this takes the room of others.
const BODY_WITHIN: Duration = Duration::from_secs(30);

/// A message that keeps its limits.
pub struct Told<T>(pub T);

impl<T: DeserializeOwned + Check> FromRequest<Fleet> for Told<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, fleet: &Fleet) -> Result<Self, Problem> {
        // Held while the message is read and unpacked, which takes the memory.
        let _room = fleet.0.pace.enter()?;
        let (parts, body) = request.into_parts();
        let parsed = timeout(BODY_WITHIN, parse(&parts.headers, body)).await;
        parsed.unwrap_or_else(|_| Err(slow())).map(Self)
    }
}

async fn parse<T: DeserializeOwned + Check>(headers: &HeaderMap, body: Body) -> Result<T, Problem> {
    let bytes = read(headers, body, BOUNDS).await?;
    let message: T = serde_json::from_slice(&bytes)
        .map_err(|error| Problem::invalid(format!("the message cannot be read: {error}")))?;
    message.check().map_err(|error| Problem::invalid(error.to_string()))?;
    Ok(message)
}

/// An endpoint that showed its certificate.
pub struct Known(pub Holder);

impl FromRequestParts<Fleet> for Known {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Fleet) -> Result<Self, Problem> {
        let holder = parts.extensions.get::<Peer>().and_then(|peer| peer.holder.clone());
        holder.map(Self).ok_or_else(|| {
            let detail = "show the certificate that this console gave the endpoint; without one, enrol first";
            Problem::new(StatusCode::UNAUTHORIZED, "no-certificate", detail)
        })
    }
}

fn slow() -> Problem {
    let detail = format!("the message did not arrive within {} seconds; send less at once", BODY_WITHIN.as_secs());
    Problem::new(StatusCode::REQUEST_TIMEOUT, "too-slow", detail)
}

/// The endpoint is not in, or not any more.
pub fn out() -> Problem {
    let detail = "an administrator removed this endpoint, or has not let it in; ask for a new enrolment token";
    Problem::new(StatusCode::FORBIDDEN, "not-enrolled", detail)
}

/// The database did not do it. What it says is for the console's log.
pub fn store(error: &StoreError) -> Problem {
    eprintln!("weighbridge-console: {error}");
    if error.is_passing() {
        return Problem::busy(Duration::from_secs(30));
    }
    let detail = "the console failed; its log says why";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
}
