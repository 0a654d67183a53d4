//! The interface of Ollama ("API"), so that its clients only change a port.
//! Models come through approval, not through it.

pub(crate) mod chat;
pub(crate) mod embed;
pub(crate) mod generate;
pub(crate) mod info;
mod options;

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{any, delete, get, post};
use jiff::Timestamp;

use crate::app::Inner;
use crate::problem::{Problem, Result};

/// The version of the interface that is followed; clients ask for a least one.
const VERSION: &str = "0.12.0";

pub(crate) fn routes() -> Router<Arc<Inner>> {
    Router::new()
        .route("/", get(|| async { "Weighbridge is running" }))
        .route("/api/chat", post(chat::create))
        .route("/api/generate", post(generate::create))
        .route("/api/embed", post(embed::create))
        .route("/api/embeddings", post(embed::create_one))
        .route("/api/tags", get(info::tags))
        .route("/api/show", post(info::show))
        .route("/api/ps", get(info::running))
        .route("/api/version", get(info::version))
        .route("/api/pull", post(managed))
        .route("/api/push", post(managed))
        .route("/api/create", post(managed))
        .route("/api/copy", post(managed))
        .route("/api/delete", delete(managed))
        .route("/api/blobs/{digest}", any(managed))
}

async fn managed() -> Result {
    let message = "models are approved by policy, not pulled, made or deleted through this interface; `weighbridge request MODEL --reason \"…\"` asks for one";
    Err(Problem::new(StatusCode::FORBIDDEN, "managed_by_policy", message))
}

/// RFC 3339, as Ollama writes times.
fn now() -> String {
    Timestamp::now().to_string()
}

fn nanoseconds(microseconds: u64) -> u64 {
    microseconds.saturating_mul(1000)
}
