//! `POST /v1/embeddings`

use std::sync::Arc;

use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use weighbridge_inference_wire::{Embed, Event};

use super::completions::{NO_TOKEN, TextOrTokens, are_tokens};
use crate::answer::{Answer, unasked};
use crate::app::Inner;
use crate::body::Asked;
use crate::docs::Failures;
use crate::door::Visit;
use crate::models::Work;
use crate::problem::{Problem, Result};
use crate::stream;
use crate::ticket::Place;

/// Most texts of one request, as OpenAI has it.
pub(crate) const TEXTS_MAX: usize = 2048;
const DIMENSIONS_MAX: u32 = 65_536;

/// Texts to be turned into vectors.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct EmbeddingsRequest {
    #[schema(max_length = 512)]
    pub model: String,
    /// Tokens are those of the model that is asked.
    pub input: TextOrTokens,
    #[serde(default)]
    pub encoding_format: Option<Encoding>,
    /// Keeps that many leading numbers.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 65536)]
    pub dimensions: Option<u32>,
    /// Cuts texts that are too long rather than refuse them.
    #[serde(default)]
    pub truncate: Option<bool>,
    #[serde(default)]
    #[expect(dead_code, reason = "its type is checked, its value has no use")]
    pub user: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Encoding {
    #[default]
    Float,
    /// Of `f32`, little-endian.
    Base64,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EmbeddingsResponse {
    pub object: &'static str,
    pub data: Vec<Embedding>,
    pub model: String,
    pub usage: EmbeddingsUsage,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Embedding {
    pub object: &'static str,
    pub index: usize,
    pub embedding: Vector,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Vector {
    Numbers(Vec<f32>),
    Text(String),
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EmbeddingsUsage {
    pub prompt_tokens: u32,
    pub total_tokens: u32,
}

/// Checks how many there are, and of what length.
pub(crate) fn work(input: TextOrTokens, dimensions: Option<u32>, truncate: bool) -> Result<(Embed, usize)> {
    let mut embed = Embed { texts: Vec::new(), tokens: Vec::new(), dimensions, truncate };
    match input {
        TextOrTokens::Text(text) => embed.texts.push(text),
        TextOrTokens::Texts(texts) => embed.texts = texts,
        TextOrTokens::Tokens(tokens) if tokens.is_empty() => {}
        TextOrTokens::Tokens(tokens) => embed.tokens.push(tokens),
        TextOrTokens::Lists(lists) => embed.tokens = lists,
    }
    let count = embed.texts.len().max(embed.tokens.len());
    if count == 0 || count > TEXTS_MAX {
        return Err(Problem::field("input", format!("`input` holds 1 to {TEXTS_MAX} texts, not {count}")));
    }
    if !embed.tokens.iter().all(|tokens| are_tokens(tokens)) {
        return Err(Problem::field("input", NO_TOKEN));
    }
    if embed.tokens.iter().any(Vec::is_empty) {
        return Err(Problem::field("input", "a list of tokens in `input` is empty"));
    }
    super::sampling::count("dimensions", dimensions, 1, DIMENSIONS_MAX)?;
    Ok((embed, count))
}

/// The vectors of `count` texts, each as its little-endian bytes.
pub(crate) async fn vectors(answer: &mut Answer, count: usize) -> Result<(Vec<Vec<u8>>, u32)> {
    let (event, usage) = answer.single().await?;
    let Event::Vectors { size, data } = event else { return Err(answer.ticket.refuse(unasked())) };
    let size = usize::try_from(size).unwrap_or_default().saturating_mul(4);
    let bytes = STANDARD.decode(data).unwrap_or_default();
    if size == 0 || Some(bytes.len()) != size.checked_mul(count) {
        return Err(answer.ticket.refuse(unasked()));
    }
    Ok((bytes.chunks_exact(size).map(<[u8]>::to_vec).collect(), usage.prompt_tokens))
}

/// `f32`, little-endian. What is no number counts as 0: JSON has no word for it.
pub(crate) fn numbers(bytes: &[u8]) -> Vec<f32> {
    let finite = |value: f32| if value.is_finite() { value } else { 0.0 };
    bytes.as_chunks::<4>().0.iter().map(|word| finite(f32::from_le_bytes(*word))).collect()
}

/// Turns texts into vectors.
#[utoipa::path(post, path = "/v1/embeddings", tag = "openai", request_body = EmbeddingsRequest, responses(
    (status = 200, description = "The vectors, in the order of the texts", body = EmbeddingsResponse),
    Failures,
))]
pub(crate) async fn create(State(app): State<Arc<Inner>>, visit: Visit, asked: Asked<EmbeddingsRequest>) -> Result {
    let request = asked.value;
    let mut ticket = app.open(&visit, &request.model, "/v1/embeddings", asked.room)?;
    if let Place::Provider(route) = ticket.place.clone() {
        return app.upstream.forward(ticket, &route, "/embeddings", &asked.bytes).await;
    }
    drop(asked.bytes);
    let truncate = request.truncate.unwrap_or(false);
    let (embed, count) = ticket.check(work(request.input, request.dimensions, truncate))?;
    let mut answer = ticket.submit(vec![Work::Embed(embed)], 1).await?;
    let (vectors, tokens) = vectors(&mut answer, count).await?;
    let encode = |bytes: &[u8]| match request.encoding_format.unwrap_or_default() {
        Encoding::Float => Vector::Numbers(numbers(bytes)),
        Encoding::Base64 => Vector::Text(STANDARD.encode(bytes)),
    };
    let one = |(index, bytes): (usize, &Vec<u8>)| Embedding { object: "embedding", index, embedding: encode(bytes) };
    let body = EmbeddingsResponse {
        object: "list",
        data: vectors.iter().enumerate().map(one).collect(),
        model: request.model,
        usage: EmbeddingsUsage { prompt_tokens: tokens, total_tokens: tokens },
    };
    Ok(stream::whole(&answer, &body))
}
