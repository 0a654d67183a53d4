//! What the files beside the tokenizer say of text.

use serde_json::Value;
use tokenizers::Tokenizer;
use weighbridge_inference_wire::{Failure, Sampling};

use super::TextFiles;
use crate::failure::{model, said};

/// Largest file of settings.
const SETTINGS_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Special tokens that end a turn in the families we know, for models whose
/// files forget to say so.
const TURN_ENDS: [&str; 9] = [
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "</s>",
    "<|return|>",
];

pub(super) struct Settings {
    pub(super) ends: Vec<u32>,
    pub(super) leading: Option<String>,
    pub(super) ending: Option<String>,
    pub(super) template: Option<String>,
    pub(super) sampling: Sampling,
}

pub(super) fn read(files: &TextFiles<'_>, tokenizer: &Tokenizer, vocabulary: usize) -> Result<Settings, Failure> {
    let config = parse("tokenizer_config.json", files.config)?;
    let generation = parse("generation_config.json", files.generation)?;
    let leading = token_text(&config, "bos_token");
    let ending = token_text(&config, "eos_token");

    let mut ends = Vec::new();
    let model = generation.get("model").unwrap_or(&Value::Null);
    for settings in [&generation, model] {
        match settings.get("eos_token_id") {
            Some(Value::Array(tokens)) => ends.extend(tokens.iter().take(64).filter_map(number)),
            Some(token) => ends.extend(number(token)),
            None => {}
        }
    }
    ends.extend(ending.as_deref().and_then(|text| tokenizer.token_to_id(text)));
    let added = tokenizer.get_added_vocabulary().get_added_tokens_decoder();
    for text in TURN_ENDS {
        ends.extend(tokenizer.token_to_id(text).filter(|token| added.get(token).is_some_and(|added| added.special)));
    }
    ends.retain(|&token| (token as usize) < vocabulary);
    ends.sort_unstable();
    ends.dedup();

    // onnxruntime-genai keeps the values under `search`.
    let values = generation.get("search").unwrap_or(&generation);
    Ok(Settings { ends, leading, ending, template: template(&config), sampling: sampling(values) })
}

fn parse(name: &str, bytes: Option<&[u8]>) -> Result<Value, Failure> {
    let Some(bytes) = bytes else { return Ok(Value::Null) };
    if bytes.len() > SETTINGS_BYTES_MAX {
        return Err(model(format!("`{name}` has {} bytes; at most {SETTINGS_BYTES_MAX} are read", bytes.len())));
    }
    serde_json::from_slice(bytes).map_err(|why| model(format!("`{name}` is not JSON: {}", said(why))))
}

fn number(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|number| u32::try_from(number).ok())
}

fn token_text(config: &Value, name: &str) -> Option<String> {
    let token = config.get(name)?;
    token.as_str().or_else(|| token.get("content")?.as_str()).map(str::to_owned)
}

/// One template, or the one named `default` of several.
fn template(config: &Value) -> Option<String> {
    let template = config.get("chat_template")?;
    let named = || {
        let all = template.as_array()?;
        let default = all.iter().find(|one| one.get("name").and_then(Value::as_str) == Some("default"));
        default?.get("template")?.as_str()
    };
    template.as_str().or_else(named).map(str::to_owned)
}

/// Values out of range are left out: they are the model's, not the caller's.
fn sampling(values: &Value) -> Sampling {
    let of = |name: &str, low: f64, high: f64| {
        let value = values.get(name)?.as_f64().filter(|value| (low..=high).contains(value))?;
        #[expect(clippy::cast_possible_truncation, reason = "its range was looked at")]
        Some(value as f32)
    };
    // Whoever draws nothing takes the likeliest.
    let greedy = (values.get("do_sample").and_then(Value::as_bool) == Some(false)).then_some(0.0);
    Sampling {
        temperature: greedy.or(of("temperature", 0.0, 100.0)),
        top_p: of("top_p", 0.0, 1.0),
        top_k: values.get("top_k").and_then(number),
        min_p: of("min_p", 0.0, 1.0),
        repetition_penalty: of("repetition_penalty", 0.01, 100.0),
        ..Sampling::default()
    }
}
