use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::{CONFIG_BYTES_MAX, TEMPLATE_BYTES_MAX};
use crate::manifest::Token;
use crate::source::Source;
use crate::{ImportError, TEMPLATE_FILE, TOKENIZER_FILE};

/// Largest `tokenizer_config.json` read, bytes: it repeats every added token.
const TOKENIZER_CONFIG_BYTES_MAX: usize = 16 << 20;
/// Most tokens that end an answer.
const EOS_MAX: usize = 64;

/// Special tokens and the template.
pub(super) struct Tokens {
    pub(super) bos: Option<Token>,
    pub(super) eos: Vec<Token>,
    pub(super) template: Option<String>,
}

/// Refuses what is no tokenizer at a glance; whoever loads it looks closer.
pub(crate) fn check(tokenizer: &[u8]) -> Result<(), ImportError> {
    parsed(tokenizer).map(|_| ())
}

fn parsed(tokenizer: &[u8]) -> Result<Tokenizer, ImportError> {
    serde_json::from_slice(tokenizer).map_err(|e| ImportError::malformed(TOKENIZER_FILE, e.to_string()))
}

#[derive(Deserialize)]
struct Tokenizer {
    #[serde(default)]
    added_tokens: Vec<Added>,
    #[serde(rename = "model")]
    _model: Kind,
}

#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "vocab")]
    _vocab: IgnoredAny,
}

#[derive(Deserialize)]
struct Added {
    id: u32,
    content: String,
}

/// Reads special tokens from wherever a folder states them.
pub(super) fn read(source: &Source, config: &Value, tokenizer: &[u8]) -> Result<Tokens, ImportError> {
    let added = parsed(tokenizer)?.added_tokens;
    let generation = source.json("generation_config.json", CONFIG_BYTES_MAX)?.unwrap_or_default();
    let stated = source.json("tokenizer_config.json", TOKENIZER_CONFIG_BYTES_MAX)?.unwrap_or_default();
    let text = |id: u32| added.iter().find(|a| a.id == id).map(|a| a.content.clone());
    let named = |name: &str| {
        let token = stated.get(name)?;
        let content = token.as_str().or_else(|| token.get("content")?.as_str())?;
        added.iter().find(|a| a.content == content).map(|a| a.id)
    };
    let ids = |value: Option<&Value>| -> Vec<u32> {
        let id = |v: &Value| v.as_u64().and_then(|n| u32::try_from(n).ok());
        match value {
            Some(Value::Array(list)) => list.iter().filter_map(id).take(EOS_MAX).collect(),
            Some(one) => id(one).into_iter().collect(),
            None => Vec::new(),
        }
    };
    let mut eos = ids(generation.get("eos_token_id"));
    eos.extend(ids(config.get("eos_token_id")));
    eos.extend(named("eos_token"));
    let mut seen = Vec::new();
    eos.retain(|id| {
        !seen.contains(id) && {
            seen.push(*id);
            true
        }
    });
    let bos = named("bos_token").or_else(|| ids(config.get("bos_token_id")).first().copied());
    Ok(Tokens {
        bos: bos.map(|id| Token { id, text: text(id) }),
        eos: eos.into_iter().map(|id| Token { id, text: text(id) }).collect(),
        template: template(source, &stated)?,
    })
}

fn template(source: &Source, stated: &Value) -> Result<Option<String>, ImportError> {
    if let Some(bytes) = source.bytes(TEMPLATE_FILE, TEMPLATE_BYTES_MAX)? {
        let text = String::from_utf8(bytes).map_err(|_| ImportError::malformed(TEMPLATE_FILE, "is not UTF-8"))?;
        return Ok(Some(text));
    }
    let text = match stated.get("chat_template") {
        Some(Value::Array(variants)) => {
            let named = |name: &str| {
                let variant = variants.iter().find(|v| v.get("name").and_then(Value::as_str) == Some(name))?;
                variant.get("template")?.as_str()
            };
            named("default").or_else(|| variants.first()?.get("template")?.as_str())
        }
        other => other.and_then(Value::as_str),
    };
    match text {
        Some(text) if text.len() > TEMPLATE_BYTES_MAX => {
            Err(ImportError::malformed("tokenizer_config.json", "holds a chat template of more than 1 MiB"))
        }
        other => Ok(other.map(str::to_owned)),
    }
}
