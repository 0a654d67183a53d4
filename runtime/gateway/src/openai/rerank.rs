//! `POST /v1/rerank`, `POST /rerank`: as Cohere ("Rerank API") and Jina
//! ("Reranker API") have it.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use weighbridge_inference_wire::{Event, Rerank};

use crate::answer::unasked;
use crate::app::Inner;
use crate::body::Asked;
use crate::docs::Failures;
use crate::door::Visit;
use crate::models::Work;
use crate::problem::{Problem, Result};
use crate::stream;

/// Most documents of one request, as the engine has it.
const DOCUMENTS_MAX: usize = 4096;

/// Documents to be ordered by a query.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct RerankRequest {
    #[schema(max_length = 512)]
    pub model: String,
    pub query: String,
    #[schema(min_items = 1, max_items = 4096)]
    pub documents: Vec<Document>,
    /// Only the best.
    #[serde(default)]
    #[schema(minimum = 1)]
    pub top_n: Option<u32>,
    /// Repeats the documents in the answer.
    #[serde(default)]
    pub return_documents: Option<bool>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged, expecting = "a text or an object with a `text`")]
pub(crate) enum Document {
    Text(String),
    Object(DocumentText),
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct DocumentText {
    pub text: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RerankResponse {
    pub id: String,
    pub model: String,
    /// Best first.
    pub results: Vec<Ranked>,
    pub usage: RerankUsage,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Ranked {
    /// Place among the documents of the request.
    pub index: usize,
    pub relevance_score: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document: Option<DocumentText>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RerankUsage {
    pub prompt_tokens: u32,
    pub total_tokens: u32,
}

/// Orders documents by how well they answer a query.
#[utoipa::path(post, path = "/v1/rerank", tag = "openai", request_body = RerankRequest, responses(
    (status = 200, description = "The documents' scores, best first", body = RerankResponse),
    Failures,
))]
pub(crate) async fn create(State(app): State<Arc<Inner>>, visit: Visit, asked: Asked<RerankRequest>) -> Result {
    let request = asked.value;
    drop(asked.bytes);
    let mut ticket = app.open(&visit, &request.model, "/v1/rerank", asked.room)?;
    let count = request.documents.len();
    let fits = match count {
        1..=DOCUMENTS_MAX => super::sampling::count("top_n", request.top_n, 1, super::sampling::MOST).map(|_| ()),
        _ => Err(Problem::field("documents", format!("`documents` holds 1 to {DOCUMENTS_MAX} texts, not {count}"))),
    };
    ticket.check(fits)?;
    let text = |document| match document {
        Document::Text(text) | Document::Object(DocumentText { text }) => text,
    };
    let documents: Vec<String> = request.documents.into_iter().map(text).collect();
    let id = format!("rerank-{}", ticket.id());
    let work = Work::Rerank(Rerank { query: request.query, documents: documents.clone() });
    let mut answer = ticket.submit(vec![work], 1).await?;
    let (event, usage) = answer.single().await?;
    let scores = match event {
        Event::Scores { scores } if scores.len() == count => scores,
        _ => return Err(answer.ticket.refuse(unasked())),
    };
    let shows = request.return_documents.unwrap_or(false);
    let mut results: Vec<Ranked> = scores
        .into_iter()
        .zip(documents)
        .enumerate()
        .map(|(index, (score, text))| Ranked {
            index,
            relevance_score: if score.is_finite() { score } else { f32::MIN },
            document: shows.then_some(DocumentText { text }),
        })
        .collect();
    results.sort_by(|a, b| b.relevance_score.total_cmp(&a.relevance_score));
    results.truncate(request.top_n.and_then(|n| usize::try_from(n).ok()).unwrap_or(count));
    let tokens = usage.prompt_tokens;
    let usage = RerankUsage { prompt_tokens: tokens, total_tokens: tokens };
    Ok(stream::whole(&answer, &RerankResponse { id, model: request.model, results, usage }))
}
