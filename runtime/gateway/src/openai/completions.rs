//! `POST /v1/completions`

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use weighbridge_inference_wire::{Constraint, Generate, Prompt, TokenChance};

use super::chat::{StreamOptions, reason};
use super::completions_stream::TextWriter;
use super::logprobs::finite;
use super::sampling::{Drawing, MOST, OneOrMany, ResponseFormat, count, stops};
use super::usage::Usage;
use crate::app::Inner;
use crate::body::Asked;
use crate::config::Limits;
use crate::docs::{Failures, SentEvent};
use crate::door::Visit;
use crate::models::Work;
use crate::problem::{Problem, Result};
use crate::stream;
use crate::ticket::Place;

/// Tokens written where nobody says how many, as OpenAI has it.
const MAX_TOKENS_DEFAULT: u32 = 16;
/// Longest regular expression or grammar.
const GRAMMAR_BYTES_MAX: usize = 65_536;
const LOGPROBS_MAX: u32 = 20;

/// Text to be continued. Fields that are not listed are ignored.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct CompletionRequest {
    #[schema(max_length = 512)]
    pub model: String,
    pub prompt: TextOrTokens,
    #[serde(default)]
    pub stream: Option<bool>,
    #[serde(default, deserialize_with = "crate::body::object")]
    pub stream_options: Option<StreamOptions>,
    #[serde(default)]
    #[schema(minimum = 1)]
    pub max_tokens: Option<u32>,
    #[serde(default)]
    pub stop: Option<OneOrMany>,
    /// How many answers to each prompt.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 128)]
    pub n: Option<u32>,
    /// How many likely tokens to name at each place.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 20)]
    pub logprobs: Option<u32>,
    /// Repeats the prompt before the answer; for prompts of text, without `logprobs`.
    #[serde(default)]
    pub echo: Option<bool>,
    #[serde(default)]
    pub response_format: Option<ResponseFormat>,
    /// A regular expression to keep to.
    #[serde(default)]
    #[schema(max_length = 65536)]
    pub guided_regex: Option<String>,
    /// A Lark grammar to keep to.
    #[serde(default)]
    #[schema(max_length = 65536)]
    pub guided_grammar: Option<String>,
    #[serde(flatten)]
    pub drawing: Drawing,
}

/// A text, several, tokens, or several lists of them.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(untagged, expecting = "a text, a list of texts, a list of tokens or a list of such lists")]
pub(crate) enum TextOrTokens {
    Text(String),
    Texts(Vec<String>),
    Tokens(Vec<u32>),
    Lists(Vec<Vec<u32>>),
}

/// Tokens are counted in 31 bits everywhere.
pub(crate) fn are_tokens(tokens: &[u32]) -> bool {
    tokens.iter().all(|token| *token <= MOST)
}

pub(crate) const NO_TOKEN: &str = "a number is no token of any model";

impl TextOrTokens {
    fn prompts(self) -> Vec<Prompt> {
        match self {
            Self::Text(text) => vec![Prompt::Text(text)],
            Self::Texts(texts) => texts.into_iter().map(Prompt::Text).collect(),
            Self::Tokens(tokens) if tokens.is_empty() => Vec::new(),
            Self::Tokens(tokens) => vec![Prompt::Tokens(tokens)],
            Self::Lists(lists) => lists.into_iter().map(Prompt::Tokens).collect(),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CompletionResponse {
    pub id: String,
    pub object: &'static str,
    pub created: i64,
    pub model: String,
    pub choices: Vec<TextChoice>,
    pub usage: Usage,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TextChoice {
    pub index: usize,
    pub text: String,
    pub logprobs: Option<TextLogprobs>,
    pub finish_reason: Option<&'static str>,
}

/// Lists side by side, one entry per token.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct TextLogprobs {
    pub tokens: Vec<String>,
    pub token_logprobs: Vec<f32>,
    pub top_logprobs: Vec<BTreeMap<String, f32>>,
    /// Where each begins, in characters.
    pub text_offset: Vec<usize>,
}

impl TextLogprobs {
    /// Moves `offset` on by the text of `chances`.
    pub fn of(chances: Vec<TokenChance>, offset: &mut usize) -> Self {
        let mut lists = Self::default();
        for chance in chances {
            lists.text_offset.push(*offset);
            *offset = offset.saturating_add(chance.text.chars().count());
            lists.tokens.push(chance.text);
            lists.token_logprobs.push(finite(chance.logprob));
            lists.top_logprobs.push(chance.likeliest.into_iter().map(|(_, text, _, p)| (text, finite(p))).collect());
        }
        lists
    }
}

/// What is written of the request once the model answers.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub model: String,
    pub logprobs: bool,
    pub usage: bool,
    /// Before each answer.
    pub echoes: Vec<String>,
}

impl CompletionRequest {
    fn work(self, limits: &Limits) -> Result<(Vec<Work>, u32, Wanted)> {
        let choices_max = limits.choices_max;
        let n = count("n", self.n, 1, choices_max)?.unwrap_or(1);
        let prompts = self.prompt.prompts();
        let all = u32::try_from(prompts.len()).ok().and_then(|p| p.checked_mul(n)).unwrap_or(u32::MAX);
        if all == 0 || all > choices_max {
            let message = format!("1 to {choices_max} answers (prompts times `n`) can be asked for, not {all}");
            return Err(Problem::field("prompt", message));
        }
        if prompts.iter().any(|prompt| matches!(prompt, Prompt::Tokens(tokens) if !are_tokens(tokens))) {
            return Err(Problem::field("prompt", NO_TOKEN));
        }
        let logprobs = count("logprobs", self.logprobs, 0, LOGPROBS_MAX)?;
        let mut echoes = vec![String::new(); usize::try_from(all).unwrap_or_default()];
        if self.echo == Some(true) {
            if logprobs.is_some() {
                return Err(Problem::field("echo", "`echo` does not go with `logprobs`: prompts are not scored"));
            }
            let lengths = prompts.iter().map(|prompt| if let Prompt::Text(text) = prompt { text.len() } else { 0 });
            let times = usize::try_from(n).unwrap_or(usize::MAX);
            let bytes = lengths.fold(0, usize::saturating_add).saturating_mul(times);
            if bytes > limits.answer_bytes_max {
                let most = limits.answer_bytes_max;
                let message = format!(
                    "`echo` would repeat {bytes} bytes of prompts; at most {most} are: leave it out, or ask for fewer answers (`n`)"
                );
                return Err(Problem::field("echo", message));
            }
            let texts = prompts.iter().map(|prompt| match prompt {
                Prompt::Text(text) => Ok(text.clone()),
                _ => Err(Problem::field("echo", "`echo` goes with prompts of text, not of tokens")),
            });
            echoes = texts.collect::<Result<Vec<_>>>()?.into_iter().flat_map(|t| vec![t; times]).collect();
        }
        for (name, text) in [("guided_regex", &self.guided_regex), ("guided_grammar", &self.guided_grammar)] {
            if text.as_ref().is_some_and(|text| text.len() > GRAMMAR_BYTES_MAX) {
                return Err(Problem::field(name, format!("`{name}` is longer than {GRAMMAR_BYTES_MAX} bytes")));
            }
        }
        let format = ResponseFormat::constraint(self.response_format)?;
        let constraint = match (self.guided_regex, self.guided_grammar) {
            (Some(regex), _) => Constraint::Regex(regex),
            (None, Some(grammar)) => Constraint::Grammar(grammar),
            (None, None) => format,
        };
        let generate = Generate {
            prompt: Prompt::Text(String::new()),
            max_tokens: Some(count("max_tokens", self.max_tokens, 1, MOST)?.unwrap_or(MAX_TOKENS_DEFAULT)),
            choices: n,
            stop: stops(self.stop)?,
            sampling: self.drawing.sampling()?,
            constraint,
            logprobs,
            ignore_end: false,
            scope: 0,
        };
        let one = |prompt| Work::Generate(Box::new(Generate { prompt, ..generate.clone() }));
        let wanted = Wanted {
            model: self.model,
            logprobs: logprobs.is_some(),
            usage: self.stream_options.and_then(|o| o.include_usage).unwrap_or(false),
            echoes,
        };
        Ok((prompts.into_iter().map(one).collect(), n, wanted))
    }
}

/// Continues text. With `stream`, chunks come as server-sent events.
#[utoipa::path(post, path = "/v1/completions", tag = "openai", request_body = CompletionRequest, responses(
    (status = 200, description = "The answers", content((CompletionResponse = "application/json"), (SentEvent = "text/event-stream"))),
    Failures,
))]
pub(crate) async fn create(State(app): State<Arc<Inner>>, visit: Visit, asked: Asked<CompletionRequest>) -> Result {
    let request = asked.value;
    let mut ticket = app.open(&visit, &request.model, "/v1/completions", asked.room)?;
    if let Place::Provider(route) = ticket.place.clone() {
        return app.upstream.forward(ticket, &route, "/completions", &asked.bytes).await;
    }
    drop(asked.bytes);
    let streams = request.stream.unwrap_or(false);
    let (works, n, wanted) = ticket.check(request.work(&app.config.limits))?;
    let id = format!("cmpl-{}", ticket.id());
    let mut answer = ticket.submit(works, n).await?;
    if streams {
        answer.begin().await?;
        return Ok(stream::response(answer, TextWriter::new(id, wanted)));
    }
    let all = u32::try_from(wanted.echoes.len()).unwrap_or_default();
    let (answers, usage) = answer.collect(all).await?;
    let choice = |(index, (echo, one)): (usize, (String, crate::answer::Collected))| TextChoice {
        index,
        text: echo + &one.text,
        logprobs: wanted.logprobs.then(|| TextLogprobs::of(one.chances, &mut 0)),
        finish_reason: Some(reason(one.reason)),
    };
    let choices = wanted.echoes.into_iter().zip(answers).enumerate().map(choice).collect();
    let body = CompletionResponse {
        id,
        object: "text_completion",
        created: super::now(),
        model: wanted.model,
        choices,
        usage: (&usage).into(),
    };
    Ok(stream::whole(&answer, &body))
}
