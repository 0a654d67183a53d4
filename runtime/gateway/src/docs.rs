//! The interface described for programs: OpenAPI 3.1.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{IntoResponses, Modify, OpenApi, ToSchema};

use crate::{kserve, ollama, openai, status};

/// What went wrong, as OpenAI tells it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    error: ErrorDetail,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorDetail {
    /// For people: what failed, on what, what to do next.
    message: String,
    #[serde(rename = "type")]
    kind: String,
    /// Which field is at fault.
    param: Option<String>,
    code: Option<String>,
}

/// What went wrong, as Ollama and the Open Inference Protocol tell it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PlainError {
    error: String,
}

/// A server-sent event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SentEvent {
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<String>,
    /// JSON; `[DONE]` at the end of some streams.
    data: String,
}

/// Refusals that every request can meet.
pub(crate) struct Failures;

/// The same for the other dialects.
pub(crate) struct PlainFailures;

const REFUSALS: [(&str, &str); 12] = [
    ("400", "The request is wrong; `param` names the field"),
    ("401", "The token is not known"),
    ("403", "Policy refuses it, and says how to ask; or a foreign `Host` or `Origin`"),
    ("404", "There is no such model"),
    ("408", "The body came too slowly"),
    ("413", "The request is too large"),
    ("415", "The body is not declared as JSON"),
    ("429", "A quota or rate is used up; `Retry-After` says until when"),
    ("500", "The model or we failed"),
    ("501", "This service does not do that"),
    ("502", "The provider failed"),
    ("503", "Too much to do, or the model is starting; `Retry-After` says how long to wait"),
];

fn refusals(schema: &str) -> BTreeMap<String, RefOr<Response>> {
    let one = |(code, text): (&str, &str)| {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(schema))).build();
        let response = ResponseBuilder::new().description(text).content("application/json", content).build();
        (code.to_owned(), response.into())
    };
    REFUSALS.into_iter().map(one).collect()
}

impl IntoResponses for Failures {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        refusals("ErrorBody")
    }
}

impl IntoResponses for PlainFailures {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        refusals("PlainError")
    }
}

struct Tokens;

impl Modify for Tokens {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(
            HttpBuilder::new()
                .scheme(HttpAuthScheme::Bearer)
                .description(Some("For services; people are known by the owner of their connection"))
                .build(),
        );
        document.components.get_or_insert_default().add_security_scheme("token", scheme);
    }
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Weighbridge inference", description = "Approved models, answered on this machine."),
    paths(
        status::health, status::ready, status::metrics,
        openai::listing::all, openai::listing::one, openai::chat::create, openai::completions::create,
        openai::embeddings::create, openai::responses::create, openai::rerank::create,
        ollama::chat::create, ollama::generate::create, ollama::embed::create, ollama::embed::create_one,
        ollama::info::tags, ollama::info::show, ollama::info::running, ollama::info::version,
        kserve::server, kserve::live, kserve::ready, kserve::model, kserve::model_ready, kserve::infer::create,
    ),
    components(schemas(ErrorBody, PlainError, SentEvent)),
    modifiers(&Tokens),
    security((), ("token" = [])),
)]
struct Document;

pub(crate) fn document() -> String {
    Document::openapi().to_json().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn every_reference_leads_somewhere() {
        fn walk(value: &Value, root: &Value) {
            match value {
                Value::Object(map) => {
                    if let Some(Value::String(link)) = map.get("$ref") {
                        let path = link.strip_prefix('#').unwrap();
                        assert!(root.pointer(path).is_some(), "{link}");
                    }
                    map.values().for_each(|v| walk(v, root));
                }
                Value::Array(list) => list.iter().for_each(|v| walk(v, root)),
                _ => {}
            }
        }
        let root: Value = serde_json::from_str(&document()).unwrap();
        assert!(root["openapi"].as_str().unwrap().starts_with("3.1"));
        assert!(root["paths"].as_object().unwrap().len() >= 20);
        walk(&root, &root);
    }
}
