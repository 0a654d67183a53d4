//! `POST /v2/models/{model}/infer`

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use weighbridge_inference_wire::{Event, Infer, Tensor, TensorType};

use super::tensors::{from_binary, from_json, to_binary, to_json};
use crate::answer::unasked;
use crate::app::Inner;
use crate::body::{Read, must_be_json, parse, read};
use crate::docs::PlainFailures;
use crate::door::Visit;
use crate::models::Work;
use crate::problem::{Problem, Result};
use crate::stream;

/// Most tensors either way.
const TENSORS_MAX: usize = 1024;
/// Length of the JSON before the binary data ("Binary Tensor Data Extension").
const LENGTH: &str = "inference-header-content-length";

#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct InferRequest {
    /// Repeated in the answer.
    #[serde(default)]
    #[schema(max_length = 1024)]
    pub id: Option<String>,
    #[schema(min_items = 1, max_items = 1024)]
    pub inputs: Vec<InputTensor>,
    /// All if absent.
    #[serde(default)]
    #[schema(max_items = 1024)]
    pub outputs: Option<Vec<WantedOutput>>,
    #[serde(default, deserialize_with = "crate::body::object")]
    pub parameters: Option<Parameters>,
}

#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct InputTensor {
    pub name: String,
    #[schema(max_items = 16)]
    pub shape: Vec<i64>,
    pub datatype: DataType,
    #[serde(default, deserialize_with = "crate::body::object")]
    pub parameters: Option<Parameters>,
    /// Elements, flat or nested; absent if they follow in binary.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Value>>)]
    pub data: Option<Value>,
}

#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct WantedOutput {
    pub name: String,
    #[serde(default, deserialize_with = "crate::body::object")]
    pub parameters: Option<Parameters>,
}

/// Those of the extension for binary data; others are ignored.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(crate) struct Parameters {
    /// Length of an input in the binary data.
    #[serde(default)]
    pub binary_data_size: Option<u64>,
    /// Whether an output comes in binary.
    #[serde(default)]
    pub binary_data: Option<bool>,
    /// Whether all do that do not say.
    #[serde(default)]
    pub binary_data_output: Option<bool>,
}

/// Types of elements.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum DataType {
    Bool,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Int8,
    Int16,
    Int32,
    Int64,
    Fp16,
    Fp32,
    Fp64,
    Bytes,
}

macro_rules! same_names {
    ($($name:ident),*) => {
        impl From<DataType> for TensorType {
            fn from(of: DataType) -> Self {
                match of { $(DataType::$name => Self::$name),* }
            }
        }
        impl From<TensorType> for DataType {
            fn from(of: TensorType) -> Self {
                match of { $(TensorType::$name => Self::$name),* }
            }
        }
    };
}
same_names!(Bool, Uint8, Uint16, Uint32, Uint64, Int8, Int16, Int32, Int64, Fp16, Fp32, Fp64, Bytes);

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InferResponse {
    model_name: String,
    model_version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    outputs: Vec<OutputTensor>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OutputTensor {
    name: String,
    datatype: DataType,
    shape: Vec<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<BinarySize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Value>>)]
    data: Option<Vec<Value>>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BinarySize {
    binary_data_size: usize,
}

/// Runs a model on tensors. With `Inference-Header-Content-Length`, binary
/// data follows the JSON.
#[utoipa::path(post, path = "/v2/models/{model}/infer", tag = "open inference", request_body = InferRequest, params(("model" = String, Path, max_length = 512)), responses(
    (status = 200, description = "The outputs", content((InferResponse = "application/json"), (Vec<u8> = "application/octet-stream"))),
    PlainFailures,
))]
pub(crate) async fn create(
    State(app): State<Arc<Inner>>,
    visit: Visit,
    Path(name): Path<String>,
    request: Request,
) -> Result {
    let (parts, body) = request.into_parts();
    let room = app.room.hold(&visit.caller.shown());
    let Read { bytes, room } = read(body, &parts.headers, &app.config.limits, room).await?;
    let length = json_length(&parts.headers, bytes.len())?;
    // Triton's own client does not say what it sends.
    if length.is_none() && parts.headers.contains_key(header::CONTENT_TYPE) {
        must_be_json(&parts.headers)?;
    }
    let length = length.unwrap_or(bytes.len()).min(bytes.len());
    let (head, binary) = (bytes.slice(..length), bytes.slice(length..));
    let request: InferRequest = parse(&head, &app.config.limits).await?;
    let mut ticket = app.open(&visit, &name, "/v2/models/{model}/infer", room)?;
    let model = ticket.local()?;
    let (id, wanted) = (request.id.clone(), wanted(&request));
    let work = ticket.check(request.work(&binary))?;
    drop((bytes, head, binary));
    let mut answer = ticket.submit(vec![Work::Infer(work)], 1).await?;
    let (event, _) = answer.single().await?;
    let Event::Tensors { outputs } = event else { return Err(answer.ticket.refuse(unasked())) };
    let (outputs, binary) = match written(&outputs, &wanted) {
        Ok(written) => written,
        Err(problem) => return Err(answer.ticket.refuse(problem)),
    };
    let head = InferResponse { model_name: model.id.clone(), model_version: super::VERSION, id, outputs };
    let mut response = stream::whole(&answer, &head);
    if !binary.is_empty() {
        let json = serde_json::to_vec(&head).map_err(|_| unasked())?;
        let headers = response.headers_mut();
        headers.insert(LENGTH, HeaderValue::from(json.len()));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        *response.body_mut() = Body::from([json, binary].concat());
    }
    Ok(response)
}

pub(super) async fn create_of_version(
    app: State<Arc<Inner>>,
    visit: Visit,
    Path((name, version)): Path<(String, String)>,
    request: Request,
) -> Result<Response> {
    super::one_version(&version)?;
    create(app, visit, Path(name), request).await
}

fn json_length(headers: &HeaderMap, all: usize) -> Result<Option<usize>> {
    let Some(value) = headers.get(LENGTH) else { return Ok(None) };
    let length = value.to_str().ok().and_then(|text| text.parse::<usize>().ok()).filter(|length| *length <= all);
    let message = "Inference-Header-Content-Length is no length within the body";
    length.map(Some).ok_or_else(|| Problem::field("Inference-Header-Content-Length", message))
}

/// Outputs by name with whether they come in binary, and whether others do.
fn wanted(request: &InferRequest) -> (Vec<(String, Option<bool>)>, bool) {
    let named = request.outputs.iter().flatten();
    let one = |o: &WantedOutput| (o.name.clone(), o.parameters.as_ref().and_then(|p| p.binary_data));
    let all = request.parameters.as_ref().and_then(|p| p.binary_data_output).unwrap_or(false);
    (named.map(one).collect(), all)
}

impl InferRequest {
    fn work(self, mut binary: &[u8]) -> Result<Infer> {
        let outputs = self.outputs.unwrap_or_default();
        if self.inputs.is_empty() || self.inputs.len() > TENSORS_MAX || outputs.len() > TENSORS_MAX {
            return Err(Problem::field("inputs", format!("there are 1 to {TENSORS_MAX} inputs and outputs")));
        }
        let mut inputs = Vec::with_capacity(self.inputs.len());
        for input in self.inputs {
            let size = input.parameters.and_then(|p| p.binary_data_size);
            let shown = input.name.escape_debug().to_string();
            inputs.push(match (size, input.data) {
                (Some(size), None) => {
                    let split = usize::try_from(size).ok().and_then(|size| binary.split_at_checked(size));
                    let (bytes, rest) = split.ok_or_else(|| {
                        Problem::field("inputs", format!("the binary data ends before that of `{shown}`"))
                    })?;
                    binary = rest;
                    from_binary(input.name, input.datatype.into(), &input.shape, bytes)?
                }
                (None, Some(data)) => from_json(input.name, input.datatype.into(), &input.shape, &data)?,
                _ => {
                    let message = format!("`{shown}` has either `data` or `binary_data_size`");
                    return Err(Problem::field("inputs", message));
                }
            });
        }
        if !binary.is_empty() {
            let message = format!("{} bytes of binary data belong to no input", binary.len());
            return Err(Problem::field("inputs", message));
        }
        Ok(Infer { inputs, outputs: outputs.into_iter().map(|o| o.name).collect() })
    }
}

/// Outputs in JSON, and the binary data of those that come so.
fn written(
    outputs: &[Tensor],
    (named, all): &(Vec<(String, Option<bool>)>, bool),
) -> Result<(Vec<OutputTensor>, Vec<u8>)> {
    let mut binary = Vec::new();
    let mut list = Vec::with_capacity(outputs.len().min(TENSORS_MAX));
    for tensor in outputs {
        let bytes = to_binary(tensor).ok_or_else(unasked)?;
        let asked = named.iter().find(|(name, _)| *name == tensor.name).and_then(|(_, binary)| *binary);
        let mut output = OutputTensor {
            name: tensor.name.clone(),
            datatype: tensor.element.into(),
            shape: tensor.shape.clone(),
            parameters: None,
            data: None,
        };
        if asked.unwrap_or(*all) {
            output.parameters = Some(BinarySize { binary_data_size: bytes.len() });
            binary.extend_from_slice(&bytes);
        } else {
            let data = to_json(tensor.element, &bytes).ok_or_else(|| {
                let message =
                    format!("JSON cannot hold output `{}`; ask for `binary_data`", tensor.name.escape_debug());
                Problem::field("outputs", message)
            })?;
            output.data = Some(data);
        }
        list.push(output);
    }
    Ok((list, binary))
}
