//! `POST /api/embed`, and the older `POST /api/embeddings`

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::options::{KeepAlive, Options};
use crate::app::Inner;
use crate::body::Asked;
use crate::docs::PlainFailures;
use crate::door::Visit;
use crate::models::Work;
use crate::openai::{OneOrMany, TextOrTokens, embed_work, numbers, vectors};
use crate::problem::Result;
use crate::stream;

/// Texts to be turned into vectors.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct EmbedRequest {
    #[schema(max_length = 512)]
    pub model: String,
    pub input: OneOrMany,
    /// Cuts texts that are too long; true if absent.
    #[serde(default)]
    pub truncate: Option<bool>,
    #[serde(default)]
    #[schema(minimum = 1, maximum = 65536)]
    pub dimensions: Option<u32>,
    #[serde(default, deserialize_with = "crate::body::object")]
    pub options: Option<Options>,
    #[serde(default)]
    #[expect(dead_code, reason = "its type is checked, its value has no use")]
    pub keep_alive: Option<KeepAlive>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EmbedResponse {
    pub model: String,
    pub embeddings: Vec<Vec<f32>>,
    pub total_duration: u64,
    pub load_duration: u64,
    pub prompt_eval_count: u32,
}

/// One text to be turned into a vector.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct EmbedOneRequest {
    #[schema(max_length = 512)]
    pub model: String,
    pub prompt: String,
    #[serde(default, deserialize_with = "crate::body::object")]
    pub options: Option<Options>,
    #[serde(default)]
    #[expect(dead_code, reason = "its type is checked, its value has no use")]
    pub keep_alive: Option<KeepAlive>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EmbedOneResponse {
    pub embedding: Vec<f32>,
}

/// Turns texts into vectors.
#[utoipa::path(post, path = "/api/embed", tag = "ollama", request_body = EmbedRequest, responses(
    (status = 200, description = "The vectors, in the order of the texts", body = EmbedResponse),
    PlainFailures,
))]
pub(crate) async fn create(State(app): State<Arc<Inner>>, visit: Visit, asked: Asked<EmbedRequest>) -> Result {
    let started = std::time::Instant::now();
    let request = asked.value;
    drop(asked.bytes);
    let mut ticket = app.open(&visit, &request.model, "/api/embed", asked.room)?;
    let input = match request.input {
        OneOrMany::One(text) => TextOrTokens::Text(text),
        OneOrMany::Many(texts) => TextOrTokens::Texts(texts),
    };
    ticket.check(request.options.unwrap_or_default().check())?;
    let (work, count) = ticket.check(embed_work(input, request.dimensions, request.truncate.unwrap_or(true)))?;
    let mut answer = ticket.submit(vec![Work::Embed(work)], 1).await?;
    let (vectors, tokens) = vectors(&mut answer, count).await?;
    let body = EmbedResponse {
        model: request.model,
        embeddings: vectors.iter().map(|v| numbers(v)).collect(),
        total_duration: u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX),
        load_duration: 0,
        prompt_eval_count: tokens,
    };
    Ok(stream::whole(&answer, &body))
}

/// Turns one text into a vector; the older interface.
#[utoipa::path(post, path = "/api/embeddings", tag = "ollama", request_body = EmbedOneRequest, responses(
    (status = 200, description = "The vector", body = EmbedOneResponse),
    PlainFailures,
))]
pub(crate) async fn create_one(State(app): State<Arc<Inner>>, visit: Visit, asked: Asked<EmbedOneRequest>) -> Result {
    let request = asked.value;
    drop(asked.bytes);
    let mut ticket = app.open(&visit, &request.model, "/api/embeddings", asked.room)?;
    ticket.check(request.options.unwrap_or_default().check())?;
    let (work, count) = ticket.check(embed_work(TextOrTokens::Text(request.prompt), None, true))?;
    let mut answer = ticket.submit(vec![Work::Embed(work)], 1).await?;
    let (vectors, _) = vectors(&mut answer, count).await?;
    let embedding = vectors.first().map(|v| numbers(v)).unwrap_or_default();
    Ok(stream::whole(&answer, &EmbedOneResponse { embedding }))
}
