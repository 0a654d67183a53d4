use axum::http::StatusCode;
use jiff::Timestamp;
use weighbridge_console_authority::{AuthorityError, Requested};
use weighbridge_console_http::Problem;
use weighbridge_console_wire::Enrolled;

use crate::Fleet;

/// A number that nobody guesses and nobody has: 128 random bits.
///
/// # Panics
/// Never: the system's source of randomness does not fail once it runs.
#[must_use]
pub fn new_id() -> String {
    let mut bytes = [0; 16];
    // AWS-LC ends the process rather than give bytes that are not random.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads a request for a certificate.
pub fn requested(pem: &str) -> Result<Requested, Problem> {
    Requested::read(pem).map_err(|error| Problem { field: Some("request".to_owned()), ..refused(&error) })
}

/// A certificate for an endpoint that is in.
pub fn issue(
    fleet: &Fleet,
    requested: &Requested,
    id: String,
    team: String,
    now: Timestamp,
) -> Result<Enrolled, Problem> {
    let issued = fleet.0.authority.endpoint(requested, &id, now, fleet.0.settings.certificates_hold);
    let issued = issued.map_err(|error| refused(&error))?;
    Ok(Enrolled { endpoint: id, certificates: issued.chain, expires: issued.expires, team })
}

fn refused(error: &AuthorityError) -> Problem {
    match error {
        AuthorityError::Request(_) | AuthorityError::Key => Problem::invalid(error.to_string()),
        other => {
            eprintln!("weighbridge-console: {other}");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the console failed; its log says why")
        }
    }
}
