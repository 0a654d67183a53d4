//! The Open Inference Protocol, version 2 ("Predict Protocol - Version 2"),
//! with its extension for binary tensor data.

pub(crate) mod infer;
mod tensors;

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::Inner;
use crate::docs::PlainFailures;
use crate::door::Visit;
use crate::models::ModelState;
use crate::problem::{Problem, Result};

pub(crate) fn routes() -> Router<Arc<Inner>> {
    Router::new()
        .route("/v2", get(server))
        .route("/v2/", get(server))
        .route("/v2/health/live", get(live))
        .route("/v2/health/ready", get(ready))
        .route("/v2/models/{model}", get(model))
        .route("/v2/models/{model}/ready", get(model_ready))
        .route("/v2/models/{model}/infer", post(infer::create))
        .route("/v2/models/{model}/versions/{version}", get(model_of_version))
        .route("/v2/models/{model}/versions/{version}/ready", get(model_ready_of_version))
        .route("/v2/models/{model}/versions/{version}/infer", post(infer::create_of_version))
}

/// The only version of every model: another is another model.
const VERSION: &str = "1";

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Server {
    name: &'static str,
    version: &'static str,
    extensions: [&'static str; 1],
}

/// What serves here.
#[utoipa::path(get, path = "/v2", tag = "open inference", responses((status = 200, description = "This", body = Server)))]
pub(crate) async fn server() -> Json<Server> {
    Json(Server { name: "weighbridge", version: env!("CARGO_PKG_VERSION"), extensions: ["binary_tensor_data"] })
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Live {
    live: bool,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Ready {
    ready: bool,
}

/// The gateway runs.
#[utoipa::path(get, path = "/v2/health/live", tag = "open inference", responses((status = 200, description = "It does", body = Live)))]
pub(crate) async fn live() -> Json<Live> {
    Json(Live { live: true })
}

/// Every model is loaded.
#[utoipa::path(get, path = "/v2/health/ready", tag = "open inference", responses(
    (status = 200, description = "All are", body = Ready),
    (status = 503, description = "Some are not yet", body = Ready),
))]
pub(crate) async fn ready(State(app): State<Arc<Inner>>) -> (StatusCode, Json<Ready>) {
    told(app.models.list().iter().all(|m| !matches!(m.state, ModelState::Loading(_) | ModelState::Restarting(_))))
}

fn told(ready: bool) -> (StatusCode, Json<Ready>) {
    (if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(Ready { ready }))
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ModelMetadata {
    name: String,
    versions: [&'static str; 1],
    platform: &'static str,
    inputs: Vec<TensorMetadata>,
    outputs: Vec<TensorMetadata>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TensorMetadata {
    name: String,
    datatype: String,
    /// -1 for any length.
    shape: Vec<i64>,
}

fn one_version(version: &str) -> Result<()> {
    if version == VERSION {
        return Ok(());
    }
    Err(Problem::new(StatusCode::NOT_FOUND, "model_not_found", format!("models have version {VERSION} alone")))
}

/// Inputs and outputs of a model.
#[utoipa::path(get, path = "/v2/models/{model}", tag = "open inference", params(("model" = String, Path, max_length = 512)), responses(
    (status = 200, description = "They", body = ModelMetadata),
    PlainFailures,
))]
pub(crate) async fn model(
    State(app): State<Arc<Inner>>,
    visit: Visit,
    Path(name): Path<String>,
) -> Result<Json<ModelMetadata>> {
    let model = app.look_up_local(&visit, &name)?;
    let facts = model.facts.clone().unwrap_or_default();
    let all = |list: Vec<(String, String, Vec<i64>)>| {
        list.into_iter().map(|(name, datatype, shape)| TensorMetadata { name, datatype, shape }).collect()
    };
    Ok(Json(ModelMetadata {
        name: model.id.clone(),
        versions: [VERSION],
        platform: "onnx_onnxruntime",
        inputs: all(facts.inputs),
        outputs: all(facts.outputs),
    }))
}

async fn model_of_version(
    app: State<Arc<Inner>>,
    visit: Visit,
    Path((name, version)): Path<(String, String)>,
) -> Result<Json<ModelMetadata>> {
    one_version(&version)?;
    model(app, visit, Path(name)).await
}

/// Whether a model is loaded.
#[utoipa::path(get, path = "/v2/models/{model}/ready", tag = "open inference", params(("model" = String, Path, max_length = 512)), responses(
    (status = 200, description = "It is", body = Ready),
    PlainFailures,
))]
pub(crate) async fn model_ready(
    State(app): State<Arc<Inner>>,
    visit: Visit,
    Path(name): Path<String>,
) -> Result<(StatusCode, Json<Ready>)> {
    let model = app.look_up_local(&visit, &name)?;
    match &model.state {
        ModelState::Ready => Ok(told(true)),
        ModelState::Loading(why) | ModelState::Restarting(why) | ModelState::Failed(why) | ModelState::Revoked(why) => {
            let message = format!("model `{}` is not ready: {why}", model.id);
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "model_unavailable", message))
        }
    }
}

async fn model_ready_of_version(
    app: State<Arc<Inner>>,
    visit: Visit,
    Path((name, version)): Path<(String, String)>,
) -> Result<(StatusCode, Json<Ready>)> {
    one_version(&version)?;
    model_ready(app, visit, Path(name)).await
}
