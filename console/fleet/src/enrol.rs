//! Coming in.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use weighbridge_console_http::Problem;
use weighbridge_console_store::enrolment::{self, Newcomer, Standing};
use weighbridge_console_wire::{Enrolled, Enrolment, EnrolmentAnswer, JoinToken, Renewal};

use crate::Fleet;
use crate::certificates::{issue, new_id, requested};
use crate::message::{Known, Told, out, store};

/// When an endpoint that waits for an administrator is to ask again, seconds.
const ASK_AGAIN_S: u32 = 30;

/// A token for a certificate.
pub async fn enrol(State(fleet): State<Fleet>, Told(asked): Told<Enrolment>) -> Result<Json<EnrolmentAnswer>, Problem> {
    let now = Timestamp::now();
    let requested = requested(&asked.request)?;
    let token: JoinToken = asked.token.parse().map_err(|_| no_token())?;
    let id = new_id();
    let newcomer = Newcomer {
        id: &id,
        key_digest: requested.key_digest(),
        machine: &asked.machine,
        key_storage: asked.key_storage,
    };
    let digest = Sha256::digest(token.secret).into();
    match enrolment::enrol(&fleet.0.db, digest, &newcomer, now).await.map_err(|e| store(&e))? {
        Standing::Active { id, team } => Ok(Json(EnrolmentAnswer::Enrolled(issue(&fleet, &requested, id, team, now)?))),
        Standing::Waiting { .. } => Ok(Json(EnrolmentAnswer::Waiting { retry_after_s: ASK_AGAIN_S })),
        Standing::Revoked => Err(out()),
        Standing::NoToken => Err(no_token()),
    }
}

/// The next certificate, for the same key or another.
pub async fn renew(
    State(fleet): State<Fleet>,
    Known(holder): Known,
    Told(asked): Told<Renewal>,
) -> Result<Json<Enrolled>, Problem> {
    let requested = requested(&asked.request)?;
    let renewed = enrolment::renew(&fleet.0.db, &holder.endpoint, requested.key_digest()).await;
    match renewed {
        Ok(Some(team)) => Ok(Json(issue(&fleet, &requested, holder.endpoint, team, Timestamp::now())?)),
        Ok(None) => Err(out()),
        Err(error) if error.is_duplicate() => {
            Err(Problem::new(StatusCode::CONFLICT, "key-in-use", "another endpoint has that key; make a new one"))
        }
        Err(error) => Err(store(&error)),
    }
}

fn no_token() -> Problem {
    let detail = "the enrolment token is unknown, used up, expired or taken back; ask an administrator for another";
    let problem = Problem::new(StatusCode::FORBIDDEN, "no-token", detail);
    Problem { field: Some("token".to_owned()), ..problem }
}
