//! `POST /v1/chat/completions`

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use weighbridge_inference_wire::{Chat, FinishReason, Generate, Prompt};

use super::chat_stream::ChatWriter;
use super::logprobs::Logprobs;
use super::messages::{self, Message, Tool, ToolCall, ToolChoice, calls_of};
use super::sampling::{Drawing, MOST, OneOrMany, ResponseFormat, count, stops};
use super::usage::Usage;
use crate::answer::Collected;
use crate::app::Inner;
use crate::body::Asked;
use crate::docs::{Failures, SentEvent};
use crate::door::Visit;
use crate::models::Work;
use crate::problem::{Problem, Result};
use crate::stream;
use crate::ticket::Place;

/// Most likely tokens named at each place.
const TOP_LOGPROBS_MAX: u32 = 20;

/// A conversation to be continued. Fields that are not listed are ignored.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct ChatRequest {
    #[schema(max_length = 512)]
    pub model: String,
    #[schema(min_items = 1)]
    pub messages: Vec<Message>,
    #[serde(default)]
    pub stream: Option<bool>,
    #[serde(default, deserialize_with = "crate::body::object")]
    pub stream_options: Option<StreamOptions>,
    /// Functions the model may call.
    #[serde(default)]
    #[schema(max_items = 128)]
    pub tools: Option<Vec<Tool>>,
    #[serde(default)]
    pub tool_choice: Option<ToolChoice>,
    /// Whether several may be called at once.
    #[serde(default)]
    pub parallel_tool_calls: Option<bool>,
    #[serde(default)]
    pub response_format: Option<ResponseFormat>,
    #[serde(default)]
    pub logprobs: Option<bool>,
    #[serde(default)]
    #[schema(minimum = 0, maximum = 20)]
    pub top_logprobs: Option<u32>,
    #[serde(default)]
    pub stop: Option<OneOrMany>,
    /// How many answers.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 128)]
    pub n: Option<u32>,
    /// The older name of `max_completion_tokens`.
    #[serde(default)]
    #[schema(minimum = 1)]
    pub max_tokens: Option<u32>,
    #[serde(default)]
    #[schema(minimum = 1)]
    pub max_completion_tokens: Option<u32>,
    /// Variables of the model's chat template: `{"enable_thinking": false}`.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub chat_template_kwargs: Option<Map<String, Value>>,
    /// Whoever the caller acts for; not looked at.
    #[serde(default)]
    #[expect(dead_code, reason = "its type is checked, its value has no use")]
    pub user: Option<String>,
    #[serde(flatten)]
    pub drawing: Drawing,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
pub(crate) struct StreamOptions {
    /// A last chunk says what it took.
    #[serde(default)]
    pub include_usage: Option<bool>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChatResponse {
    pub id: String,
    pub object: &'static str,
    pub created: i64,
    pub model: String,
    pub choices: Vec<Choice>,
    pub usage: Usage,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Choice {
    pub index: usize,
    pub message: Said,
    pub logprobs: Option<Logprobs>,
    pub finish_reason: &'static str,
}

/// What the model says.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Said {
    pub role: &'static str,
    pub content: Option<String>,
    pub refusal: Option<String>,
    /// Thoughts before the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_calls: Option<Vec<ToolCall>>,
}

pub(crate) fn reason(reason: Option<FinishReason>) -> &'static str {
    match reason {
        Some(FinishReason::Length) => "length",
        Some(FinishReason::Calls) => "tool_calls",
        Some(FinishReason::Stop) | None => "stop",
    }
}

/// What is written of the request once the model answers.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub model: String,
    pub logprobs: bool,
    pub usage: bool,
    pub parallel: bool,
    pub choices: u32,
}

impl ChatRequest {
    fn work(self, choices_max: u32) -> Result<(Generate, Wanted)> {
        let tools = messages::tools(self.tools.unwrap_or_default().into_iter().map(|t| t.function).collect())?;
        let tool_choice = messages::choice(self.tool_choice, &tools)?;
        let top = count("top_logprobs", self.top_logprobs, 0, TOP_LOGPROBS_MAX)?;
        if top.is_some() && self.logprobs != Some(true) {
            return Err(Problem::field("top_logprobs", "`top_logprobs` needs `logprobs` to be true"));
        }
        let logprobs = self.logprobs == Some(true);
        let max_tokens = self.max_completion_tokens.or(self.max_tokens);
        let choices = count("n", self.n, 1, choices_max)?.unwrap_or(1);
        let chat = Chat {
            messages: messages::messages(self.messages)?,
            tools,
            tool_choice,
            template_variables: self.chat_template_kwargs.unwrap_or_default(),
        };
        let generate = Generate {
            prompt: Prompt::Chat(chat),
            max_tokens: count("max_completion_tokens", max_tokens, 1, MOST)?,
            choices,
            stop: stops(self.stop)?,
            sampling: self.drawing.sampling()?,
            constraint: ResponseFormat::constraint(self.response_format)?,
            logprobs: logprobs.then(|| top.unwrap_or(0)),
            ignore_end: false,
            scope: 0,
        };
        let wanted = Wanted {
            model: self.model,
            logprobs,
            usage: self.stream_options.and_then(|o| o.include_usage).unwrap_or(false),
            parallel: self.parallel_tool_calls.unwrap_or(true),
            choices,
        };
        Ok((generate, wanted))
    }
}

/// Continues a conversation. With `stream`, chunks come as server-sent events.
#[utoipa::path(post, path = "/v1/chat/completions", tag = "openai", request_body = ChatRequest, responses(
    (status = 200, description = "The answer", content((ChatResponse = "application/json"), (SentEvent = "text/event-stream"))),
    Failures,
))]
pub(crate) async fn create(State(app): State<Arc<Inner>>, visit: Visit, asked: Asked<ChatRequest>) -> Result {
    const PATH: &str = "/v1/chat/completions";
    let request = asked.value;
    let mut ticket = app.open(&visit, &request.model, PATH, asked.room)?;
    if let Place::Provider(route) = ticket.place.clone() {
        return app.upstream.forward(ticket, &route, "/chat/completions", &asked.bytes).await;
    }
    drop(asked.bytes);
    let streams = request.stream.unwrap_or(false);
    let (work, wanted) = ticket.check(request.work(app.config.limits.choices_max))?;
    let id = format!("chatcmpl-{}", ticket.id());
    let choices = wanted.choices;
    let mut answer = ticket.submit(vec![Work::Generate(Box::new(work))], choices).await?;
    if streams {
        answer.begin().await?;
        return Ok(stream::response(answer, ChatWriter::new(id, wanted)));
    }
    let (all, usage) = answer.collect(choices).await?;
    let choices = all.into_iter().enumerate().map(|(at, one)| choice(&id, at, one, &wanted)).collect();
    let body = ChatResponse {
        id,
        object: "chat.completion",
        created: super::now(),
        model: wanted.model,
        choices,
        usage: (&usage).into(),
    };
    Ok(stream::whole(&answer, &body))
}

fn choice(id: &str, index: usize, mut one: Collected, wanted: &Wanted) -> Choice {
    if !wanted.parallel {
        one.calls.truncate(1);
    }
    let calls = calls_of(id, index, &one.calls);
    let quiet = one.text.is_empty() && !calls.is_empty();
    Choice {
        index,
        message: Said {
            role: "assistant",
            content: (!quiet).then_some(one.text),
            refusal: None,
            reasoning_content: (!one.thoughts.is_empty()).then_some(one.thoughts),
            tool_calls: (!calls.is_empty()).then_some(calls),
        },
        logprobs: wanted.logprobs.then(|| one.chances.into()),
        finish_reason: reason(one.reason),
    }
}
