//! Refuses tokenizer files that make much out of little.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::Value;
use tokenizers::normalizers::Precompiled;
use weighbridge_inference_wire::Failure;

use crate::failure::{guarded, model, said};

/// Most times that rewriting may lengthen text.
const GROWTH_MAX: usize = 64;
/// Most steps of rewriting, splitting or decoding.
const STEPS_MAX: usize = 64;
/// Most tokens put around a text.
const WRAPPING_MAX: usize = 64;
/// Longest regular expression; the longest in common use has 400.
const REGEX_BYTES_MAX: usize = 4096;

/// The parts of `tokenizer.json` that are programs rather than tables.
#[derive(Debug, Deserialize)]
pub(super) struct Head {
    normalizer: Option<Value>,
    pre_tokenizer: Option<Value>,
    post_processor: Option<Value>,
    pub(super) decoder: Option<Value>,
    pub(super) model: ModelHead,
}

#[derive(Debug, Deserialize)]
pub(super) struct ModelHead {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    dropout: Option<f64>,
}

/// Reads and checks the programs in a tokenizer file; tables are passed over.
pub(super) fn head(bytes: &[u8]) -> Result<Head, Failure> {
    let head: Head = serde_json::from_slice(bytes)
        .map_err(|why| model(format!("the tokenizer is no tokenizer.json: {}", said(why))))?;
    if head.model.dropout.is_some_and(|dropout| dropout != 0.0) {
        return Err(model("the tokenizer drops merges at random; the same text would give different tokens"));
    }
    let mut tally = Tally { steps: 0, growth: 1 };
    for part in [&head.normalizer, &head.pre_tokenizer, &head.decoder].into_iter().flatten() {
        tally.walk(part)?;
    }
    if let Some(wrapping) = &head.post_processor {
        let tokens = count_arrays(wrapping);
        if tokens > WRAPPING_MAX * 4 {
            return Err(model(format!("the tokenizer puts {tokens} parts around a text; that is no model's habit")));
        }
    }
    Ok(head)
}

struct Tally {
    steps: usize,
    growth: usize,
}

impl Tally {
    fn walk(&mut self, value: &Value) -> Result<(), Failure> {
        match value {
            Value::Array(items) => items.iter().try_for_each(|item| self.walk(item)),
            Value::Object(fields) => {
                if fields.contains_key("type") {
                    self.steps += 1;
                }
                self.growth = self.growth.saturating_mul(growth(fields));
                if self.steps > STEPS_MAX || self.growth > GROWTH_MAX {
                    return Err(model(format!(
                        "the tokenizer rewrites text in {} steps to up to {} times its length; at most {STEPS_MAX} and \
                         {GROWTH_MAX} are run",
                        self.steps, self.growth
                    )));
                }
                if let Some(Value::String(regex)) = fields.get("Regex")
                    && regex.len() > REGEX_BYTES_MAX
                {
                    return Err(model(format!("the tokenizer has a regular expression of {} bytes", regex.len())));
                }
                fields.values().try_for_each(|field| self.walk(field))
            }
            _ => Ok(()),
        }
    }
}

/// How many times longer one step makes text.
fn growth(fields: &serde_json::Map<String, Value>) -> usize {
    let length = |name: &str| fields.get(name).and_then(Value::as_str).map_or(0, str::len);
    match fields.get("type").and_then(Value::as_str) {
        Some("Replace") => {
            let pattern = fields.get("pattern").and_then(|pattern| pattern.get("String")).and_then(Value::as_str);
            // A regular expression may match before every character.
            let least = pattern.map_or(1, |pattern| pattern.len().max(1));
            let more = usize::from(pattern.is_none());
            (length("content").div_ceil(least) + more).max(1)
        }
        Some("Precompiled") => match fields.get("precompiled_charsmap").and_then(Value::as_str) {
            Some(map) => precompiled(map),
            None => 1,
        },
        Some("Prepend") if length("prepend") > GROWTH_MAX => GROWTH_MAX + 1,
        _ => 1,
    }
}

/// How many times longer a compiled table of characters makes text. Tables in
/// use write 33 bytes for a character of 3.
fn precompiled(map: &str) -> usize {
    let read = || {
        let bytes = BASE64.decode(map).ok()?;
        // The texts lie behind the trie, each ended by a zero.
        let trie = usize::try_from(u32::from_le_bytes(*bytes.first_chunk()?)).ok()?;
        let texts = bytes.get(trie.checked_add(4)?..)?;
        let longest = texts.split(|&byte| byte == 0).map(<[u8]>::len).max().unwrap_or(0);
        let table = Precompiled::from(&bytes).ok()?;
        // Below three bytes only single characters are looked up.
        let short = ('\u{1}'..='\u{7ff}').filter_map(|character| {
            let written = table.transform(character.encode_utf8(&mut [0; 4]))?;
            Some(written.len().div_ceil(character.len_utf8()))
        });
        Some(short.max().unwrap_or(1).max(longest.div_ceil(3)))
    };
    // The library breaks on tables that point beyond themselves.
    guarded(read).ok().flatten().unwrap_or(usize::MAX)
}

fn count_arrays(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.len() + items.iter().map(count_arrays).sum::<usize>(),
        Value::Object(fields) => fields.values().map(count_arrays).sum(),
        _ => 0,
    }
}
