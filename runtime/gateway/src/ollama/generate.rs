//! `POST /api/generate`

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
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
use crate::problem::{Dialect, Problem, Result};
use crate::stream::{self, Writer};

/// Text to be answered, by the model's chat template unless `raw`.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct GenerateRequest {
    #[schema(max_length = 512)]
    pub model: String,
    #[serde(default)]
    pub prompt: Option<String>,
    #[serde(default)]
    pub system: Option<String>,
    /// The prompt as it is, without the template.
    #[serde(default)]
    pub raw: Option<bool>,
    #[serde(default)]
    pub images: Option<Vec<String>>,
    /// True if absent.
    #[serde(default)]
    pub stream: Option<bool>,
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

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GenerateResponse {
    pub model: String,
    pub created_at: String,
    pub response: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub thinking: String,
    pub done: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub done_reason: Option<&'static str>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Took)]
    pub took: Option<Took>,
}

impl GenerateRequest {
    fn work(self, chats: bool) -> Result<Generate> {
        if self.images.is_some_and(|images| !images.is_empty()) {
            return Err(Problem::field("images", "the models served here read text, not images"));
        }
        let options = self.options.unwrap_or_default();
        let text = self.prompt.unwrap_or_default();
        let prompt = if self.raw.unwrap_or(false) || !chats {
            Prompt::Text(self.system.map(|s| s + "\n").unwrap_or_default() + &text)
        } else {
            let said = |role: &str, content| wire::Message {
                role: role.to_owned(),
                content,
                name: None,
                tool_calls: Vec::new(),
                tool_call_id: None,
            };
            let system = self.system.filter(|s| !s.is_empty()).map(|s| said("system", s));
            Prompt::Chat(Chat {
                messages: system.into_iter().chain([said("user", text)]).collect(),
                tools: Vec::new(),
                tool_choice: wire::ToolChoice::None,
                template_variables: Think::variables(self.think),
            })
        };
        Ok(Generate {
            prompt,
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

/// Answers a text; unless `stream` is false, line by line.
#[utoipa::path(post, path = "/api/generate", tag = "ollama", request_body = GenerateRequest, responses(
    (status = 200, description = "The answer", content((GenerateResponse = "application/json"), (String = "application/x-ndjson"))),
    PlainFailures,
))]
pub(crate) async fn create(State(app): State<Arc<Inner>>, visit: Visit, asked: Asked<GenerateRequest>) -> Result {
    let request = asked.value;
    drop(asked.bytes);
    let model = request.model.clone();
    let mut ticket = app.open(&visit, &model, "/api/generate", asked.room)?;
    let info = ticket.local()?;
    let streams = request.stream.unwrap_or(true);
    let part = |response: String, thinking, done_reason, took| GenerateResponse {
        model: model.clone(),
        created_at: now(),
        response,
        thinking,
        done: true,
        done_reason: Some(done_reason),
        took,
    };
    let silent = request.prompt.as_ref().is_none_or(String::is_empty);
    let work = ticket.check(request.work(info.facts.as_ref().is_some_and(|f| f.chats)))?;
    if silent {
        // How Ollama's clients have a model loaded; ours are.
        ticket.done(&wire::Usage::default());
        let body = part(String::new(), String::new(), "load", Some(Took::default()));
        return Ok(axum::response::IntoResponse::into_response(axum::Json(body)));
    }
    let mut answer = ticket.submit(vec![Work::Generate(Box::new(work))], 1).await?;
    if streams {
        answer.begin().await?;
        return Ok(stream::response(answer, TextWriter { model, reason: None }));
    }
    let (mut all, usage) = answer.collect(1).await?;
    let one = all.pop().unwrap_or_default();
    let body = part(one.text, one.thoughts, reason(one.reason), Some((&usage).into()));
    Ok(stream::whole(&answer, &body))
}

struct TextWriter {
    model: String,
    reason: Option<FinishReason>,
}

impl TextWriter {
    fn write(&self, response: String, thinking: String, end: Option<&wire::Usage>, out: &mut Vec<u8>) {
        let line = GenerateResponse {
            model: self.model.clone(),
            created_at: now(),
            response,
            thinking,
            done: end.is_some(),
            done_reason: end.map(|_| reason(self.reason)),
            took: end.map(Into::into),
        };
        stream::line(out, &line);
    }
}

impl Writer for TextWriter {
    const KIND: &'static str = stream::LINES;

    fn event(&mut self, event: Event, out: &mut Vec<u8>) {
        match event {
            Event::Text { text, thought: true, .. } => self.write(String::new(), text, None, out),
            Event::Text { text, .. } => self.write(text, String::new(), None, out),
            Event::Finished { reason, .. } => self.reason = Some(reason),
            Event::Done { usage } => self.write(String::new(), String::new(), Some(&usage), out),
            Event::Failed { failure } => stream::line(out, &Problem::from(failure).json(Dialect::Ollama)),
            _ => stream::line(out, &unasked().json(Dialect::Ollama)),
        }
    }
}
