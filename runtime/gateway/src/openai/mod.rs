//! The interface of OpenAI ("API Reference"), as far as text models have use
//! for it, and reranking as Cohere and Jina have it.

pub(crate) mod chat;
mod chat_stream;
pub(crate) mod completions;
mod completions_stream;
pub(crate) mod embeddings;
pub(crate) mod listing;
mod logprobs;
mod messages;
pub(crate) mod rerank;
pub(crate) mod responses;
mod responses_input;
mod responses_stream;
mod sampling;
mod usage;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use crate::app::Inner;

pub(crate) fn routes() -> Router<Arc<Inner>> {
    Router::new()
        .route("/v1/models", get(listing::all))
        .route("/v1/models/{*id}", get(listing::one))
        .route("/v1/chat/completions", post(chat::create))
        .route("/v1/completions", post(completions::create))
        .route("/v1/embeddings", post(embeddings::create))
        .route("/v1/responses", post(responses::create))
        .route("/v1/rerank", post(rerank::create))
        .route("/rerank", post(rerank::create))
}

pub(crate) use completions::TextOrTokens;
pub(crate) use embeddings::{numbers, vectors, work as embed_work};
pub(crate) use messages::{Function, tools};
pub(crate) use sampling::{Drawing, OneOrMany, schema_of, stops};

/// Seconds since 1970, as OpenAI counts.
pub(crate) fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// Longest name of a model that is looked up, bytes.
pub(crate) const MODEL_NAME_MAX: usize = 512;
