//! `GET /v1/models`

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;
use utoipa::ToSchema;
use weighbridge_types::Sha256;

use super::MODEL_NAME_MAX;
use crate::app::Inner;
use crate::docs::ErrorBody;
use crate::door::Visit;
use crate::models::ModelInfo;
use crate::problem::{Problem, Result};

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ModelList {
    pub object: &'static str,
    pub data: Vec<Model>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Model {
    pub id: String,
    pub object: &'static str,
    /// Seconds since 1970.
    pub created: i64,
    /// `weighbridge`, or `provider:NAME`.
    pub owned_by: String,
    /// SHA-256 of the approved bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub digest: Option<Sha256>,
    /// Longest sequence, tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_length: Option<usize>,
}

fn shown(model: &ModelInfo) -> Model {
    Model {
        id: model.id.clone(),
        object: "model",
        created: model.created.as_second(),
        owned_by: "weighbridge".to_owned(),
        digest: model.digest,
        context_length: model.facts.as_ref().map(|f| f.context_length),
    }
}

/// Models that the caller may use, here and at providers.
#[utoipa::path(get, path = "/v1/models", tag = "openai", responses((status = 200, description = "The models", body = ModelList)))]
pub(crate) async fn all(State(app): State<Arc<Inner>>, visit: Visit) -> Json<ModelList> {
    let class = visit.data_class.as_deref().or(app.config.data_class.as_deref());
    let local = app.models.list().into_iter().filter(|m| app.authority.infer(&visit.caller, m).allowed);
    let mut data: Vec<Model> = local.map(|m| shown(&m)).collect();
    let routes = app.upstream.routes().filter(|r| app.models.find(r.name()).is_none());
    let may = routes.filter(|r| app.authority.route(&visit.caller, r.provider(), class).allowed);
    data.extend(may.map(|route| Model {
        id: route.name().to_owned(),
        object: "model",
        created: 0,
        owned_by: format!("provider:{}", route.provider()),
        digest: None,
        context_length: None,
    }));
    Json(ModelList { object: "list", data })
}

/// One model.
#[utoipa::path(get, path = "/v1/models/{id}", tag = "openai", params(("id" = String, Path, description = "Its name", max_length = 512)), responses(
    (status = 200, description = "The model", body = Model),
    (status = 400, description = "The name cannot be read", body = ErrorBody),
    (status = 404, description = "There is none", body = ErrorBody),
))]
pub(crate) async fn one(State(app): State<Arc<Inner>>, Path(id): Path<String>) -> Result<Json<Model>> {
    if id.len() > MODEL_NAME_MAX {
        return Err(Problem::no_model(&id));
    }
    let model = app.models.find(&id).ok_or_else(|| Problem::no_model(&id))?;
    Ok(Json(shown(&model)))
}
