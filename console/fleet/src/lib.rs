//! What endpoints ask of the console: to come in, to check in, to tell what lies
//! on them and what happened, and to hear what they are to do.
//!
//! Trust boundary: an endpoint may be in an attacker's hands. It speaks for
//! itself alone: who it is follows from its certificate, whether it is still in
//! from the database, at each request. All it says is bounded before it is kept.
//!
//! Deliberately unknown here: sockets, TLS, people, pages.
#![forbid(unsafe_code)]

mod certificates;
mod check_in;
mod enrol;
mod message;
mod pace;
mod reports;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use jiff::SignedDuration;
use weighbridge_console_authority::Authority;
use weighbridge_console_store::Database;

pub use certificates::new_id;
pub use pace::Pace;

/// What can be set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Between two check-ins of an endpoint.
    pub interval: Duration,
    /// How long certificates of endpoints hold.
    pub certificates_hold: SignedDuration,
    /// Messages being read at the same time; others are told to come back.
    pub at_once: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { interval: Duration::from_secs(60), certificates_hold: SignedDuration::from_hours(24 * 14), at_once: 256 }
    }
}

/// The endpoints' side of a console. Cloning it is cheap.
#[derive(Clone)]
pub struct Fleet(Arc<Inner>);

struct Inner {
    db: Database,
    authority: Arc<Authority>,
    settings: Settings,
    pace: Pace,
}

impl Fleet {
    /// Over `db`.
    #[must_use]
    pub fn new(db: Database, authority: Arc<Authority>, settings: Settings) -> Self {
        let pace = Pace::new(settings.interval, settings.at_once);
        Self(Arc::new(Inner { db, authority, settings, pace }))
    }

    /// Its addresses. Requests must carry the `Peer` that sent them.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/endpoint/v1/enrol", post(enrol::enrol))
            .route("/endpoint/v1/renew", post(enrol::renew))
            .route("/endpoint/v1/check-in", post(check_in::check_in))
            .route("/endpoint/v1/inventory", post(reports::inventory))
            .route("/endpoint/v1/events", post(reports::events))
            .route("/endpoint/v1/receipts", post(reports::receipts))
            .with_state(self.clone())
    }
}
