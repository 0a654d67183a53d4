//! What Ollama tells of its models.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::VERSION;
use crate::app::Inner;
use crate::body::Asked;
use crate::docs::PlainFailures;
use crate::door::Visit;
use crate::models::{ModelInfo, ModelState};
use crate::openai::MODEL_NAME_MAX;
use crate::problem::{Problem, Result};

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Tags {
    pub models: Vec<Tag>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Tag {
    pub name: String,
    pub model: String,
    pub modified_at: String,
    pub size: u64,
    pub digest: String,
    pub details: Details,
    /// Of a model that runs: it stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_vram: Option<u64>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Details {
    pub parent_model: &'static str,
    pub format: &'static str,
    pub family: String,
    pub families: Vec<String>,
    pub parameter_size: String,
    pub quantization_level: String,
}

/// As Ollama shortens it: `494M`, `1.5B`.
fn parameters(count: u64) -> String {
    const BILLION: u64 = 1_000_000_000;
    match count {
        0 => String::new(),
        1..1_000_000 => format!("{}K", count / 1000),
        1_000_000..BILLION => format!("{}M", count / 1_000_000),
        _ => format!("{}.{}B", count / BILLION, count % BILLION / (BILLION / 10)),
    }
}

fn details(model: &ModelInfo) -> Details {
    let facts = model.facts.clone().unwrap_or_default();
    Details {
        parent_model: "",
        format: "onnx",
        family: facts.architecture.clone(),
        families: vec![facts.architecture],
        parameter_size: parameters(facts.parameters),
        quantization_level: facts.quantization,
    }
}

fn tag(model: &ModelInfo, runs: bool) -> Tag {
    Tag {
        name: model.id.clone(),
        model: model.id.clone(),
        modified_at: model.created.to_string(),
        size: model.size_bytes,
        digest: model.digest.map(|d| d.to_string()).unwrap_or_default(),
        details: details(model),
        expires_at: runs.then_some("9999-12-31T23:59:59Z"),
        size_vram: runs.then_some(0),
    }
}

/// Models that the caller may use.
#[utoipa::path(get, path = "/api/tags", tag = "ollama", responses((status = 200, description = "The models", body = Tags)))]
pub(crate) async fn tags(State(app): State<Arc<Inner>>, visit: Visit) -> Json<Tags> {
    Json(Tags { models: app.offered(&visit).map(|m| tag(&m, false)).collect() })
}

/// Those of them that are loaded.
#[utoipa::path(get, path = "/api/ps", tag = "ollama", responses((status = 200, description = "The models", body = Tags)))]
pub(crate) async fn running(State(app): State<Arc<Inner>>, visit: Visit) -> Json<Tags> {
    let loaded = app.offered(&visit).filter(|m| m.state == ModelState::Ready);
    Json(Tags { models: loaded.map(|m| tag(&m, true)).collect() })
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Version {
    pub version: &'static str,
}

/// The version of the interface that is followed.
#[utoipa::path(get, path = "/api/version", tag = "ollama", responses((status = 200, description = "It", body = Version)))]
pub(crate) async fn version() -> Json<Version> {
    Json(Version { version: VERSION })
}

#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct ShowRequest {
    #[serde(default)]
    #[schema(max_length = 512)]
    pub model: Option<String>,
    /// The older name of `model`; some clients send both.
    #[serde(default)]
    #[schema(max_length = 512)]
    pub name: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Show {
    pub modelfile: String,
    pub parameters: String,
    pub template: String,
    pub details: Details,
    #[schema(value_type = Object)]
    pub model_info: Map<String, Value>,
    pub capabilities: Vec<&'static str>,
    pub modified_at: String,
}

/// What is known of a model.
#[utoipa::path(post, path = "/api/show", tag = "ollama", request_body = ShowRequest, responses(
    (status = 200, description = "The model", body = Show),
    PlainFailures,
))]
pub(crate) async fn show(State(app): State<Arc<Inner>>, visit: Visit, asked: Asked<ShowRequest>) -> Result<Json<Show>> {
    let ShowRequest { model, name } = asked.value;
    if model.iter().chain(&name).any(|name| name.chars().count() > MODEL_NAME_MAX) {
        return Err(Problem::field("model", format!("a name has at most {MODEL_NAME_MAX} characters")));
    }
    let named = model.or(name);
    let name = named.ok_or_else(|| Problem::field("model", "`model` is missing; name one that /api/tags lists"))?;
    let model = app.look_up_local(&visit, &name)?;
    let facts = model.facts.clone().unwrap_or_default();
    let mut info = Map::new();
    let family = &facts.architecture;
    info.insert("general.architecture".to_owned(), family.clone().into());
    info.insert("general.parameter_count".to_owned(), facts.parameters.into());
    info.insert(format!("{family}.context_length"), facts.context_length.into());
    if let Some(size) = facts.embedding_size {
        info.insert(format!("{family}.embedding_length"), size.into());
    }
    let can =
        [("completion", facts.generates), ("tools", facts.calls_tools), ("embedding", facts.embedding_size.is_some())];
    let digest = model.digest.map(|d| format!("sha256:{d}")).unwrap_or_default();
    Ok(Json(Show {
        modelfile: format!("# approved by policy\n# {digest}\nFROM {}\n", model.id),
        parameters: String::new(),
        template: facts.template.clone().unwrap_or_default(),
        details: details(&model),
        model_info: info,
        capabilities: can.into_iter().filter(|(_, does)| *does).map(|(name, _)| name).collect(),
        modified_at: model.created.to_string(),
    }))
}
