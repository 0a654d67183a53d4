//! Options of Ollama's requests ("Valid Parameters and Values").

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use weighbridge_inference_wire::{Constraint, FinishReason, Sampling, Usage};

use super::nanoseconds;
use crate::openai::{Drawing, OneOrMany, schema_of, stops};
use crate::problem::{Problem, Result};

/// How tokens are drawn. Options that are not listed are ignored.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(default)]
pub(crate) struct Options {
    #[schema(minimum = 0, maximum = 2)]
    pub temperature: Option<f32>,
    #[schema(minimum = 0, maximum = 1)]
    pub top_p: Option<f32>,
    #[schema(minimum = -1, maximum = 1_000_000)]
    pub top_k: Option<i32>,
    #[schema(minimum = 0, maximum = 1)]
    pub min_p: Option<f32>,
    #[schema(minimum = 0.01, maximum = 10)]
    pub repeat_penalty: Option<f32>,
    #[schema(minimum = -2, maximum = 2)]
    pub presence_penalty: Option<f32>,
    #[schema(minimum = -2, maximum = 2)]
    pub frequency_penalty: Option<f32>,
    pub seed: Option<i64>,
    /// Most tokens to write; without end if negative.
    pub num_predict: Option<i32>,
    pub stop: Option<OneOrMany>,
}

impl Options {
    pub fn sampling(&self) -> Result<Sampling> {
        Drawing {
            temperature: self.temperature,
            top_p: self.top_p,
            top_k: self.top_k,
            min_p: self.min_p,
            repetition_penalty: self.repeat_penalty,
            presence_penalty: self.presence_penalty,
            frequency_penalty: self.frequency_penalty,
            // -1 is Ollama's word for any.
            seed: self.seed.filter(|seed| *seed != -1),
            logit_bias: None,
        }
        .sampling()
    }

    /// For requests that draw nothing: options are right all the same.
    pub fn check(&self) -> Result<()> {
        self.sampling()?;
        self.stops().map(|_| ())
    }

    pub fn stops(&self) -> Result<Vec<String>> {
        stops(self.stop.clone())
    }

    pub fn max_tokens(&self) -> Option<u32> {
        self.num_predict.and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0)
    }
}

/// `json`, or a JSON schema.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(untagged, expecting = "`json` or a JSON schema")]
pub(crate) enum Format {
    Name(String),
    #[schema(value_type = Object)]
    Schema(Map<String, Value>),
}

impl Format {
    pub fn constraint(format: Option<Self>) -> Result<Constraint> {
        match format {
            None => Ok(Constraint::Free),
            Some(Self::Name(name)) if name.is_empty() => Ok(Constraint::Free),
            Some(Self::Name(name)) if name == "json" => Ok(Constraint::Json),
            Some(Self::Name(_)) => Err(Problem::field("format", "`format` is `json` or a JSON schema")),
            Some(Self::Schema(schema)) => schema_of(Value::Object(schema)),
        }
    }
}

/// How long a model is to be kept; taken and ignored: models stay.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(untagged, expecting = "a duration or a number of seconds")]
pub(crate) enum KeepAlive {
    Text(#[expect(dead_code, reason = "only its type is looked at")] String),
    Seconds(#[expect(dead_code, reason = "only its type is looked at")] f64),
}

/// Whether to think before answering, or how much.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(untagged, expecting = "true, false or a level")]
pub(crate) enum Think {
    Whether(bool),
    Level(String),
}

impl Think {
    /// Variables of the chat template.
    pub fn variables(think: Option<Self>) -> Map<String, Value> {
        let mut map = Map::new();
        match think {
            None => {}
            Some(Self::Whether(on)) => {
                map.insert("enable_thinking".to_owned(), on.into());
            }
            Some(Self::Level(level)) => {
                map.insert("enable_thinking".to_owned(), true.into());
                map.insert("reasoning_effort".to_owned(), level.into());
            }
        }
        map
    }
}

/// What an answer took; all durations in nanoseconds.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub(crate) struct Took {
    pub total_duration: u64,
    pub load_duration: u64,
    pub prompt_eval_count: u32,
    pub prompt_eval_duration: u64,
    pub eval_count: u32,
    pub eval_duration: u64,
}

impl From<&Usage> for Took {
    fn from(usage: &Usage) -> Self {
        let total = usage.queue_us.saturating_add(usage.prefill_us).saturating_add(usage.decode_us);
        Self {
            total_duration: nanoseconds(total),
            load_duration: 0,
            prompt_eval_count: usage.prompt_tokens,
            prompt_eval_duration: nanoseconds(usage.prefill_us),
            eval_count: usage.completion_tokens,
            eval_duration: nanoseconds(usage.decode_us),
        }
    }
}

/// Ollama knows `stop`, `length` and `load`.
pub(super) fn reason(reason: Option<FinishReason>) -> &'static str {
    if reason == Some(FinishReason::Length) { "length" } else { "stop" }
}
