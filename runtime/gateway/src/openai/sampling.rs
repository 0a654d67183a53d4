//! How to draw, where to stop, what to look like.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use weighbridge_inference_wire::{Constraint, Sampling};

use crate::problem::{Problem, Result};

/// Most texts that end an answer, and longest of them, bytes.
const STOPS_MAX: usize = 16;
const STOP_BYTES_MAX: usize = 1024;
/// Most tokens with a bias of their own.
const BIASES_MAX: usize = 1024;
/// Largest count that is asked for.
pub(crate) const MOST: u32 = i32::MAX.cast_unsigned();
/// Largest JSON schema, bytes of its text.
const SCHEMA_BYTES_MAX: usize = 256 << 10;

/// One text or several.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(untagged, expecting = "a text or a list of texts")]
pub(crate) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// Checks texts that end an answer. Empty ones end nothing.
pub(crate) fn stops(stop: Option<OneOrMany>) -> Result<Vec<String>> {
    let mut list = match stop {
        None => Vec::new(),
        Some(OneOrMany::One(text)) => vec![text],
        Some(OneOrMany::Many(list)) => list,
    };
    list.retain(|text| !text.is_empty());
    if list.len() > STOPS_MAX || list.iter().any(|text| text.len() > STOP_BYTES_MAX) {
        let message = format!("`stop` holds at most {STOPS_MAX} texts of {STOP_BYTES_MAX} bytes");
        return Err(Problem::field("stop", message));
    }
    Ok(list)
}

/// A number between two bounds, which the document names as well.
pub(crate) fn within(name: &str, value: Option<f32>, low: f32, high: f32) -> Result<Option<f32>> {
    match value {
        Some(value) if !(low..=high).contains(&value) => {
            Err(Problem::field(name, format!("`{name}` is {value}; it lies between {low} and {high}")))
        }
        value => Ok(value),
    }
}

/// The same for whole numbers.
pub(crate) fn count(name: &str, value: Option<u32>, low: u32, high: u32) -> Result<Option<u32>> {
    match value {
        Some(value) if !(low..=high).contains(&value) => {
            Err(Problem::field(name, format!("`{name}` is {value}; it lies between {low} and {high}")))
        }
        value => Ok(value),
    }
}

/// How tokens are drawn: OpenAI's fields, and those that other servers added.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(default)]
pub(crate) struct Drawing {
    /// 0 draws the likeliest.
    #[schema(minimum = 0, maximum = 2)]
    pub temperature: Option<f32>,
    /// Smallest set of tokens with that much probability.
    #[schema(minimum = 0, maximum = 1)]
    pub top_p: Option<f32>,
    /// That many likeliest tokens; 0 and -1 mean all.
    #[schema(minimum = -1, maximum = 1_000_000)]
    pub top_k: Option<i32>,
    /// Tokens at least that likely, relative to the likeliest.
    #[schema(minimum = 0, maximum = 1)]
    pub min_p: Option<f32>,
    /// Divides logits of tokens seen; 1 is neutral.
    #[schema(minimum = 0.01, maximum = 10)]
    pub repetition_penalty: Option<f32>,
    #[schema(minimum = -2, maximum = 2)]
    pub presence_penalty: Option<f32>,
    #[schema(minimum = -2, maximum = 2)]
    pub frequency_penalty: Option<f32>,
    /// The same seed draws the same tokens.
    pub seed: Option<i64>,
    /// Added to logits, by token.
    pub logit_bias: Option<BTreeMap<String, f32>>,
}

impl Drawing {
    pub fn sampling(self) -> Result<Sampling> {
        let bias = self.logit_bias.unwrap_or_default();
        if bias.len() > BIASES_MAX {
            return Err(Problem::field("logit_bias", format!("`logit_bias` names more than {BIASES_MAX} tokens")));
        }
        let entry = |(token, bias): (String, f32)| {
            let token = token.parse::<u32>().map_err(|_| {
                let shown: String = token.chars().take(32).collect();
                Problem::field("logit_bias", format!("`{}` is no number of a token", shown.escape_debug()))
            })?;
            within("logit_bias", Some(bias), -100.0, 100.0).map(|_| (token, bias))
        };
        let top_k = match self.top_k {
            None | Some(-1 | 0) => None,
            Some(k) => Some(u32::try_from(k).map_err(|_| Problem::field("top_k", "`top_k` is less than -1"))?),
        };
        Ok(Sampling {
            temperature: within("temperature", self.temperature, 0.0, 2.0)?,
            top_p: within("top_p", self.top_p, 0.0, 1.0)?,
            top_k: count("top_k", top_k, 1, 1_000_000)?,
            min_p: within("min_p", self.min_p, 0.0, 1.0)?,
            repetition_penalty: within("repetition_penalty", self.repetition_penalty, 0.01, 10.0)?,
            presence_penalty: within("presence_penalty", self.presence_penalty, -2.0, 2.0)?,
            frequency_penalty: within("frequency_penalty", self.frequency_penalty, -2.0, 2.0)?,
            seed: self.seed.map(i64::cast_unsigned),
            logit_bias: bias.into_iter().map(entry).collect::<Result<_>>()?,
        })
    }
}

/// What the text must look like.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum ResponseFormat {
    /// Anything.
    Text,
    /// A JSON object.
    JsonObject,
    /// JSON by a schema.
    JsonSchema { json_schema: NamedSchema },
}

/// A JSON schema with a name.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct NamedSchema {
    #[schema(min_length = 1, max_length = 64)]
    pub name: String,
    pub description: Option<String>,
    #[schema(value_type = Option<Object>)]
    pub schema: Option<serde_json::Map<String, Value>>,
    /// Taken as true: answers always keep to the schema.
    pub strict: Option<bool>,
}

impl NamedSchema {
    fn constraint(self) -> Result<Constraint> {
        if self.name.is_empty() || self.name.len() > 64 {
            return Err(Problem::field("json_schema.name", "the name of the schema has 1 to 64 bytes"));
        }
        self.schema.map_or(Ok(Constraint::Json), |schema| schema_of(Value::Object(schema)))
    }
}

/// `schema` as a constraint, unless it is too large.
pub(crate) fn schema_of(schema: Value) -> Result<Constraint> {
    if schema.to_string().len() > SCHEMA_BYTES_MAX {
        let message = format!("the JSON schema is larger than {SCHEMA_BYTES_MAX} bytes");
        return Err(Problem::field("json_schema", message));
    }
    Ok(Constraint::Schema(schema))
}

impl ResponseFormat {
    pub fn constraint(format: Option<Self>) -> Result<Constraint> {
        match format {
            None | Some(Self::Text) => Ok(Constraint::Free),
            Some(Self::JsonObject) => Ok(Constraint::Json),
            Some(Self::JsonSchema { json_schema }) => json_schema.constraint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_outside_is_refused_by_name() {
        let hot = Drawing { temperature: Some(2.5), ..Drawing::default() };
        assert_eq!(hot.sampling().unwrap_err().field.as_deref(), Some("temperature"));
        let nan = Drawing { top_p: Some(f32::NAN), ..Drawing::default() };
        assert!(nan.sampling().is_err());
        let bias = Drawing { logit_bias: Some([("x".to_owned(), 1.0)].into()), ..Drawing::default() };
        assert!(bias.sampling().is_err());
        let all = Drawing { top_k: Some(-1), seed: Some(-1), ..Drawing::default() }.sampling().unwrap();
        assert_eq!((all.top_k, all.seed), (None, Some(u64::MAX)));
    }

    #[test]
    fn stops_are_few_and_short() {
        assert_eq!(stops(Some(OneOrMany::One(String::new()))).unwrap(), Vec::<String>::new());
        assert!(stops(Some(OneOrMany::Many(vec!["x".to_owned(); 17]))).is_err());
        assert!(stops(Some(OneOrMany::One("x".repeat(2000)))).is_err());
    }
}
