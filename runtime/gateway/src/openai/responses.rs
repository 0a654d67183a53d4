//! `POST /v1/responses`: text and functions; nothing is kept between requests.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use weighbridge_inference_wire as wire;
use weighbridge_inference_wire::{Chat, FinishReason, Generate, Prompt};

use super::messages::{self, call_id};
use super::responses_input::{Input, ResponseChoice, ResponseTool, TextOptions, conversation};
use super::responses_stream::ResponseWriter;
use super::sampling::{Drawing, MOST, count};
use crate::answer::Collected;
use crate::app::Inner;
use crate::body::Asked;
use crate::docs::{Failures, SentEvent};
use crate::door::Visit;
use crate::models::Work;
use crate::problem::{Problem, Result};
use crate::stream;
use crate::ticket::Place;

/// What is to be answered. Fields that are not listed are ignored; `store`
/// counts as false.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct ResponsesRequest {
    #[schema(max_length = 512)]
    pub model: String,
    pub input: Input,
    #[serde(default)]
    pub instructions: Option<String>,
    #[serde(default)]
    pub stream: Option<bool>,
    #[serde(default)]
    #[schema(minimum = 1)]
    pub max_output_tokens: Option<u32>,
    #[serde(default)]
    #[schema(max_items = 128)]
    pub tools: Option<Vec<ResponseTool>>,
    #[serde(default)]
    pub tool_choice: Option<ResponseChoice>,
    #[serde(default)]
    pub parallel_tool_calls: Option<bool>,
    #[serde(default, deserialize_with = "crate::body::object")]
    pub text: Option<TextOptions>,
    /// Earlier answers are not kept; send what was said instead.
    #[serde(default)]
    #[schema(max_length = 0)]
    pub previous_response_id: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub chat_template_kwargs: Option<Map<String, Value>>,
    #[serde(flatten)]
    pub drawing: Drawing,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct ResponseBody {
    pub id: String,
    pub object: &'static str,
    pub created_at: i64,
    /// `in_progress`, `completed`, `incomplete`, `failed`.
    pub status: &'static str,
    pub model: String,
    pub output: Vec<OutputItem>,
    #[schema(value_type = Option<Object>)]
    pub error: Option<Value>,
    pub incomplete_details: Option<Incomplete>,
    pub instructions: Option<String>,
    pub parallel_tool_calls: bool,
    pub tool_choice: Value,
    pub tools: Vec<Shown>,
    pub metadata: Nothing,
    pub store: bool,
    pub usage: Option<ResponseUsage>,
}

/// A tool, repeated from the request.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Shown {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub name: String,
    pub description: Option<String>,
    #[schema(value_type = Option<Object>)]
    pub parameters: Option<Value>,
    pub strict: bool,
}

/// `{}`
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub(crate) struct Nothing {}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Incomplete {
    pub reason: &'static str,
}

/// What the model said and did, in order.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum OutputItem {
    Reasoning { id: String, summary: Vec<String>, content: Vec<OutputPart>, status: &'static str },
    Message { id: String, role: &'static str, status: &'static str, content: Vec<OutputPart> },
    FunctionCall { id: String, call_id: String, name: String, arguments: String, status: &'static str },
}

#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum OutputPart {
    OutputText { text: String, annotations: Vec<String> },
    ReasoningText { text: String },
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct ResponseUsage {
    pub input_tokens: u32,
    pub input_tokens_details: InputDetails,
    pub output_tokens: u32,
    pub output_tokens_details: OutputDetails,
    pub total_tokens: u32,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct InputDetails {
    pub cached_tokens: u32,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct OutputDetails {
    pub reasoning_tokens: u32,
}

impl From<&wire::Usage> for ResponseUsage {
    fn from(usage: &wire::Usage) -> Self {
        Self {
            input_tokens: usage.prompt_tokens,
            input_tokens_details: InputDetails { cached_tokens: usage.cached_tokens },
            output_tokens: usage.completion_tokens,
            output_tokens_details: OutputDetails { reasoning_tokens: usage.thought_tokens },
            total_tokens: usage.prompt_tokens.saturating_add(usage.completion_tokens),
        }
    }
}

impl ResponsesRequest {
    /// The work, and the response as it is before anything is said.
    fn work(self) -> Result<(Generate, ResponseBody)> {
        if self.previous_response_id.as_deref().is_some_and(|id| !id.is_empty()) {
            let message = "responses are not stored here; send the earlier items in `input`";
            return Err(Problem::field("previous_response_id", message));
        }
        let tools = messages::tools(self.tools.unwrap_or_default().into_iter().map(|t| t.function).collect())?;
        let tool_choice = ResponseChoice::wire(self.tool_choice, &tools)?;
        let shown = |tool: &wire::Tool| Shown {
            kind: "function",
            name: tool.name.clone(),
            description: tool.description.clone(),
            parameters: tool.parameters.clone(),
            strict: false,
        };
        let body = ResponseBody {
            id: String::new(),
            object: "response",
            created_at: super::now(),
            status: "in_progress",
            model: self.model,
            output: Vec::new(),
            error: None,
            incomplete_details: None,
            instructions: self.instructions.clone(),
            parallel_tool_calls: self.parallel_tool_calls.unwrap_or(true),
            tool_choice: match &tool_choice {
                wire::ToolChoice::Auto => "auto".into(),
                wire::ToolChoice::None => "none".into(),
                wire::ToolChoice::Required => "required".into(),
                wire::ToolChoice::Named(name) => serde_json::json!({ "type": "function", "name": name }),
            },
            tools: tools.iter().map(shown).collect(),
            metadata: Nothing {},
            store: false,
            usage: None,
        };
        let chat = Chat {
            messages: conversation(self.instructions, self.input)?,
            tools,
            tool_choice,
            template_variables: self.chat_template_kwargs.unwrap_or_default(),
        };
        let generate = Generate {
            prompt: Prompt::Chat(chat),
            max_tokens: count("max_output_tokens", self.max_output_tokens, 1, MOST)?,
            choices: 1,
            stop: Vec::new(),
            sampling: self.drawing.sampling()?,
            constraint: TextOptions::constraint(self.text)?,
            logprobs: None,
            ignore_end: false,
            scope: 0,
        };
        Ok((generate, body))
    }
}

impl ResponseBody {
    /// Puts in what was said.
    pub fn fill(&mut self, mut one: Collected, usage: &wire::Usage) {
        let id = self.id.clone();
        if !self.parallel_tool_calls {
            one.calls.truncate(1);
        }
        self.status = "completed";
        if one.reason == Some(FinishReason::Length) {
            self.status = "incomplete";
            self.incomplete_details = Some(Incomplete { reason: "max_output_tokens" });
        }
        if !one.thoughts.is_empty() {
            let content = vec![OutputPart::ReasoningText { text: one.thoughts }];
            self.output.push(OutputItem::Reasoning {
                id: format!("rs_{id}"),
                summary: Vec::new(),
                content,
                status: "completed",
            });
        }
        if !one.text.is_empty() || one.calls.is_empty() {
            self.output.push(message(item_id("msg", &id, self.output.len()), self.status, Some(one.text)));
        }
        self.output.extend(one.calls.into_iter().map(|call| function_call(&id, call, "completed")));
        self.usage = Some(usage.into());
    }
}

/// The identifier of the item at `place` in an answer `id`.
pub(super) fn item_id(kind: &str, id: &str, place: usize) -> String {
    if place == 0 { format!("{kind}_{id}") } else { format!("{kind}_{id}-{place}") }
}

pub(super) fn message(item: String, status: &'static str, text: Option<String>) -> OutputItem {
    let content = text.map(|text| OutputPart::OutputText { text, annotations: Vec::new() }).into_iter().collect();
    OutputItem::Message { id: item, role: "assistant", status, content }
}

pub(super) fn function_call(id: &str, call: wire::Call, status: &'static str) -> OutputItem {
    OutputItem::FunctionCall {
        id: format!("fc_{id}-{}", call.index),
        call_id: call_id(id, 0, call.index),
        name: call.name,
        arguments: call.arguments,
        status,
    }
}

/// Answers. With `stream`, events tell of each step.
#[utoipa::path(post, path = "/v1/responses", tag = "openai", request_body = ResponsesRequest, responses(
    (status = 200, description = "The answer", content((ResponseBody = "application/json"), (SentEvent = "text/event-stream"))),
    Failures,
))]
pub(crate) async fn create(State(app): State<Arc<Inner>>, visit: Visit, asked: Asked<ResponsesRequest>) -> Result {
    let request = asked.value;
    let mut ticket = app.open(&visit, &request.model, "/v1/responses", asked.room)?;
    if let Place::Provider(route) = ticket.place.clone() {
        return app.upstream.forward(ticket, &route, "/responses", &asked.bytes).await;
    }
    drop(asked.bytes);
    let streams = request.stream.unwrap_or(false);
    let (work, mut body) = ticket.check(request.work())?;
    body.id = format!("resp_{}", ticket.id());
    let mut answer = ticket.submit(vec![Work::Generate(Box::new(work))], 1).await?;
    if streams {
        answer.begin().await?;
        return Ok(stream::response(answer, ResponseWriter::new(body)));
    }
    let (mut all, usage) = answer.collect(1).await?;
    body.fill(all.pop().unwrap_or_default(), &usage);
    Ok(stream::whole(&answer, &body))
}
