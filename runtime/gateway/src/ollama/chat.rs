//! `POST /api/chat`

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use weighbridge_inference_wire::{self as wire, Chat, Event, FinishReason, Generate, Prompt};

use super::now;
use super::options::{Format, KeepAlive, Options, Think, Took, reason};
use crate::answer::unasked;
use crate::app::Inner;
use crate::body::Asked;
use crate::docs::PlainFailures;
use crate::door::Visit;
use crate::models::Work;
use crate::openai::{Function, tools};
use crate::problem::{Dialect, Problem, Result};
use crate::stream::{self, Writer};

/// A conversation to be continued.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = OllamaChatRequest)]
pub(crate) struct ChatRequest {
    #[schema(max_length = 512)]
    pub model: String,
    #[serde(default)]
    pub messages: Option<Vec<Message>>,
    /// True if absent.
    #[serde(default)]
    pub stream: Option<bool>,
    #[serde(default)]
    pub tools: Option<Vec<Tool>>,
    #[serde(default)]
    pub format: Option<Format>,
    #[serde(default, deserialize_with = "crate::body::object")]
    pub options: Option<Options>,
    #[serde(default)]
    pub think: Option<Think>,
    #[serde(default)]
    #[expect(dead_code, reason = "its type is checked, its value has no use")]
    pub keep_alive: Option<KeepAlive>,
}

#[derive(Debug, Clone, Deserialize, ToSchema)]
#[schema(as = OllamaMessage)]
pub(crate) struct Message {
    #[schema(min_length = 1, max_length = 64)]
    pub role: String,
    #[serde(default)]
    pub content: Option<String>,
    #[serde(default)]
    pub images: Option<Vec<String>>,
    #[serde(default)]
    pub tool_calls: Option<Vec<Call>>,
    /// The function that a tool answers for.
    #[serde(default)]
    pub tool_name: Option<String>,
}

#[derive(Debug, Clone, Deserialize, ToSchema)]
#[schema(as = OllamaTool)]
pub(crate) struct Tool {
    pub function: Function,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = OllamaCall)]
pub(crate) struct Call {
    pub function: Called,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = OllamaCalled)]
pub(crate) struct Called {
    pub name: String,
    #[schema(value_type = Object)]
    pub arguments: Map<String, Value>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OllamaChatResponse)]
pub(crate) struct ChatResponse {
    pub model: String,
    pub created_at: String,
    pub message: Said,
    pub done: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub done_reason: Option<&'static str>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Took)]
    pub took: Option<Took>,
}

#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = OllamaSaid)]
pub(crate) struct Said {
    pub role: &'static str,
    pub content: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub thinking: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<Call>,
}

impl ChatRequest {
    fn work(self) -> Result<Generate> {
        let options = self.options.unwrap_or_default();
        let one = |(at, message): (usize, Message)| {
            if message.images.is_some_and(|images| !images.is_empty()) {
                return Err(Problem::field("messages", "the models served here read text, not images"));
            }
            if message.role.is_empty() || message.role.len() > 64 {
                return Err(Problem::field("messages", "a role has 1 to 64 bytes"));
            }
            let calls = message.tool_calls.unwrap_or_default().into_iter().enumerate();
            Ok(wire::Message {
                role: message.role,
                content: message.content.unwrap_or_default(),
                name: message.tool_name,
                tool_calls: calls
                    .map(|(call, c)| wire::ToolCall {
                        id: format!("call_{at}_{call}"),
                        name: c.function.name,
                        arguments: Value::Object(c.function.arguments),
                    })
                    .collect(),
                tool_call_id: None,
            })
        };
        let messages = self.messages.unwrap_or_default().into_iter().enumerate().map(one).collect::<Result<_>>()?;
        let chat = Chat {
            messages,
            tools: tools(self.tools.unwrap_or_default().into_iter().map(|t| t.function).collect())?,
            tool_choice: wire::ToolChoice::Auto,
            template_variables: Think::variables(self.think),
        };
        Ok(Generate {
            prompt: Prompt::Chat(chat),
            max_tokens: options.max_tokens(),
            choices: 1,
            stop: options.stops()?,
            sampling: options.sampling()?,
            constraint: Format::constraint(self.format)?,
            logprobs: None,
            ignore_end: false,
            scope: 0,
        })
    }
}

/// Ollama gives arguments as an object; what a model wrote otherwise is empty.
fn called(call: wire::Call) -> Call {
    let arguments = serde_json::from_str(&call.arguments).unwrap_or_default();
    Call { function: Called { name: call.name, arguments } }
}

/// Continues a conversation; unless `stream` is false, line by line.
#[utoipa::path(post, path = "/api/chat", tag = "ollama", request_body = ChatRequest, responses(
    (status = 200, description = "The answer", content((ChatResponse = "application/json"), (String = "application/x-ndjson"))),
    PlainFailures,
))]
pub(crate) async fn create(State(app): State<Arc<Inner>>, visit: Visit, asked: Asked<ChatRequest>) -> Result {
    let request = asked.value;
    drop(asked.bytes);
    let model = request.model.clone();
    let mut ticket = app.open(&visit, &model, "/api/chat", asked.room)?;
    let streams = request.stream.unwrap_or(true);
    let silent = request.messages.as_ref().is_none_or(Vec::is_empty);
    let work = ticket.check(request.work())?;
    if silent {
        // How Ollama's clients have a model loaded; ours are.
        ticket.local()?;
        ticket.done(&wire::Usage::default());
        let message = Said { role: "assistant", ..Said::default() };
        let done_reason = Some("load");
        let body =
            ChatResponse { model, created_at: now(), message, done: true, done_reason, took: Some(Took::default()) };
        return Ok(axum::response::IntoResponse::into_response(axum::Json(body)));
    }
    let mut answer = ticket.submit(vec![Work::Generate(Box::new(work))], 1).await?;
    if streams {
        answer.begin().await?;
        return Ok(stream::response(answer, ChatWriter { model, reason: None }));
    }
    let (mut all, usage) = answer.collect(1).await?;
    let one = all.pop().unwrap_or_default();
    let message = Said {
        role: "assistant",
        content: one.text,
        thinking: one.thoughts,
        tool_calls: one.calls.into_iter().map(called).collect(),
    };
    let (done_reason, took) = (Some(reason(one.reason)), Some((&usage).into()));
    let body = ChatResponse { model, created_at: now(), message, done: true, done_reason, took };
    Ok(stream::whole(&answer, &body))
}

struct ChatWriter {
    model: String,
    reason: Option<FinishReason>,
}

impl ChatWriter {
    fn write(&self, said: Said, end: Option<&wire::Usage>, out: &mut Vec<u8>) {
        let line = ChatResponse {
            model: self.model.clone(),
            created_at: now(),
            message: Said { role: "assistant", ..said },
            done: end.is_some(),
            done_reason: end.map(|_| reason(self.reason)),
            took: end.map(Into::into),
        };
        stream::line(out, &line);
    }
}

impl Writer for ChatWriter {
    const KIND: &'static str = stream::LINES;

    fn event(&mut self, event: Event, out: &mut Vec<u8>) {
        match event {
            Event::Text { text, thought: true, .. } => {
                self.write(Said { thinking: text, ..Said::default() }, None, out)
            }
            Event::Text { text, .. } => self.write(Said { content: text, ..Said::default() }, None, out),
            Event::Call { call, .. } => {
                self.write(Said { tool_calls: vec![called(call)], ..Said::default() }, None, out);
            }
            Event::Finished { reason, .. } => self.reason = Some(reason),
            Event::Done { usage } => self.write(Said::default(), Some(&usage), out),
            Event::Failed { failure } => stream::line(out, &Problem::from(failure).json(Dialect::Ollama)),
            _ => stream::line(out, &unasked().json(Dialect::Ollama)),
        }
    }
}
