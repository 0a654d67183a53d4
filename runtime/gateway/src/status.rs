//! Whether it works, and how much.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::Inner;
use crate::docs;
use crate::models::ModelState;

pub(crate) fn routes() -> Router<Arc<Inner>> {
    Router::new()
        .route("/healthz", get(health))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/openapi.json", get(openapi))
}

/// Whether all models are loaded.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Readiness {
    ready: bool,
    /// Models that are not, with the reason.
    waiting: Vec<String>,
}

/// The gateway runs.
#[utoipa::path(get, path = "/healthz", tag = "status", responses((status = 200, description = "It does", body = String, content_type = "text/plain")))]
pub(crate) async fn health() -> &'static str {
    "ok\n"
}

/// Every model is loaded. Those that failed for good are not waited for.
#[utoipa::path(get, path = "/readyz", tag = "status", responses(
    (status = 200, description = "All are", body = Readiness),
    (status = 503, description = "Some are not yet", body = Readiness),
))]
pub(crate) async fn ready(State(app): State<Arc<Inner>>) -> Response {
    let waiting: Vec<String> = app
        .models
        .list()
        .iter()
        .filter_map(|model| match &model.state {
            ModelState::Loading(why) | ModelState::Restarting(why) => Some(format!("{}: {why}", model.id)),
            _ => None,
        })
        .collect();
    let ready = waiting.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, axum::Json(Readiness { ready, waiting })).into_response()
}

/// Figures for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "status", responses((status = 200, description = "Text format 0.0.4", body = String, content_type = "text/plain")))]
pub(crate) async fn metrics(State(app): State<Arc<Inner>>) -> Response {
    let text = app.metrics.text(app.models.as_ref());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

async fn openapi() -> Response {
    static TEXT: std::sync::LazyLock<String> = std::sync::LazyLock::new(docs::document);
    ([(header::CONTENT_TYPE, "application/json")], TEXT.as_str()).into_response()
}
