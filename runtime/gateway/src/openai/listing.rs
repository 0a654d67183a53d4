//! `GET /v1/models`

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;
use utoipa::ToSchema;
use weighbridge_types::Sha256;

use super::MODEL_NAME_MAX;
use crate::app::Inner;
use crate::docs::Failures;
use crate::door::Visit;
use crate::models::ModelInfo;
use crate::problem::{Problem, Result};
use crate::ticket::Place;
use crate::upstream::Route;

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

fn routed(route: &Route) -> Model {
    Model {
        id: route.name().to_owned(),
        object: "model",
        created: 0,
        owned_by: format!("provider:{}", route.provider()),
        digest: None,
        context_length: None,
    }
}

/// Models that the caller may use, here and at providers.
#[utoipa::path(get, path = "/v1/models", tag = "openai", responses((status = 200, description = "The models", body = ModelList)))]
pub(crate) async fn all(State(app): State<Arc<Inner>>, visit: Visit) -> Json<ModelList> {
    let mut data: Vec<Model> = app.offered(&visit).map(|m| shown(&m)).collect();
    let routes = app.upstream.routes().filter(|r| app.models.find(r.name()).is_none());
    let may = routes.filter(|r| app.authority.route(&visit.caller, r.provider(), app.class(&visit)).allowed);
    data.extend(may.map(|route| routed(route)));
    Json(ModelList { object: "list", data })
}

/// One model that the caller may use.
#[utoipa::path(get, path = "/v1/models/{id}", tag = "openai", params(("id" = String, Path, description = "Its name", max_length = 512)), responses(
    (status = 200, description = "The model", body = Model),
    Failures,
))]
pub(crate) async fn one(State(app): State<Arc<Inner>>, visit: Visit, Path(id): Path<String>) -> Result<Json<Model>> {
    if id.len() > MODEL_NAME_MAX {
        return Err(Problem::no_model(&id));
    }
    Ok(Json(match app.look_up(&visit, &id)? {
        Place::Local(model) => shown(&model),
        Place::Provider(route) => routed(&route),
    }))
}
