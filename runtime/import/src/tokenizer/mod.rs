//! A GGUF file's vocabulary as a `tokenizer.json` of the `tokenizers` library.

mod pieces;
mod split;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use serde_json::{Map, Value, json};
use weighbridge_formats::formats::gguf::catalogue::Catalogue;

use crate::ImportError;
use crate::error::Name;
use crate::manifest::Token;
use crate::model::VOCABULARY_MAX;

/// Bytes of all tokens together, and of all merges: twenty times the largest
/// vocabulary in use.
const TEXT_BYTES_MAX: usize = 64 << 20;
/// Most merges: four per token of the largest vocabulary.
const MERGES_MAX: u64 = 1 << 22;

/// Token types (`enum llama_token_type`).
const NORMAL: u8 = 1;
const UNKNOWN: u8 = 2;
const CONTROL: u8 = 3;
const USER_DEFINED: u8 = 4;
const BYTE: u8 = 6;

/// Texts that end an answer in one model or another, whatever key names them.
const ENDS: &[&str] = &[
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|eom_id|>",
    "<end_of_turn>",
    "<|return|>",
    "<|EOT|>",
    "</s>",
    "<eos>",
];

/// What the file makes of its vocabulary.
pub(crate) struct Tokens {
    pub(crate) json: Vec<u8>,
    pub(crate) bos: Option<Token>,
    pub(crate) eos: Vec<Token>,
}

/// The vocabulary as the file holds it.
struct Vocabulary {
    tokens: Vec<String>,
    kinds: Vec<u8>,
}

impl Vocabulary {
    fn kind(&self, id: usize) -> u8 {
        self.kinds.get(id).copied().unwrap_or(NORMAL)
    }

    fn token(&self, id: u32) -> Option<Token> {
        let text = self.tokens.get(usize::try_from(id).ok()?)?;
        Some(Token { id, text: Some(text.clone()) })
    }

    /// Writes spaces where texts that are found before anything else have the
    /// sign for them: they are found in text as callers write it.
    fn spell_spaces(&mut self) {
        let there: HashSet<String> = self.tokens.iter().filter(|text| text.contains(' ')).cloned().collect();
        for id in 0..self.tokens.len() {
            let found = self.kind(id) == USER_DEFINED;
            if let Some(text) = self.tokens.get_mut(id).filter(|text| found && text.contains('▁')) {
                let spelt = text.replace('▁', " ");
                if !there.contains(&spelt) {
                    *text = spelt;
                }
            }
        }
    }

    /// The `vocab` member.
    fn json(&self) -> Map<String, Value> {
        self.tokens.iter().enumerate().map(|(id, t)| (t.clone(), Value::from(id))).collect()
    }

    /// The `added_tokens` member: what is found in text before anything else.
    fn added(&self) -> Vec<Value> {
        let found = |id: usize| matches!(self.kind(id), UNKNOWN | CONTROL | USER_DEFINED);
        let token = |(id, text): (usize, &String)| {
            json!({
                "id": id, "content": text, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": self.kind(id) != USER_DEFINED,
            })
        };
        self.tokens.iter().enumerate().filter(|(id, t)| found(*id) && !t.is_empty()).map(token).collect()
    }
}

/// Makes a tokenizer of the metadata of `part`, a model of `rows` embeddings.
///
/// # Errors
/// Vocabularies that are damaged, of another kind, or larger than the model.
pub(crate) fn from_gguf(part: &str, c: &Catalogue, rows: usize) -> Result<Tokens, ImportError> {
    let format = |source| ImportError::Format { part: Name::new(part), source };
    let missing = |key: &str| ImportError::malformed(part, format!("has no `{key}`; it holds no language model"));
    let model = c.text("tokenizer.ggml.model").ok_or_else(|| missing("tokenizer.ggml.model"))?;
    let key = "tokenizer.ggml.tokens";
    let tokens = c.texts(key, VOCABULARY_MAX, TEXT_BYTES_MAX).map_err(format)?.ok_or_else(|| missing(key))?;
    if tokens.is_empty() || tokens.len() > rows {
        let reason = format!("names {} tokens for {rows} embeddings", tokens.len());
        return Err(ImportError::malformed(part, reason));
    }
    let kinds = c.numbers("tokenizer.ggml.token_type", VOCABULARY_MAX).map_err(format)?.unwrap_or_default();
    if !kinds.is_empty() && kinds.len() != tokens.len() {
        return Err(ImportError::malformed(part, "has token types for another number of tokens"));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates; unknown kinds are normal")]
    let kinds = kinds.into_iter().map(|k| k as u8).collect();
    let mut vocabulary = Vocabulary { tokens, kinds };
    if model == "llama" {
        vocabulary.spell_spaces();
    }
    let vocab = vocabulary.json();
    if vocab.len() != vocabulary.tokens.len() {
        return Err(ImportError::malformed(part, "names a token twice"));
    }
    let pre = c.text("tokenizer.ggml.pre").unwrap_or("default");
    let (mut json, bos_by_default) = match model {
        "gpt2" => {
            let key = "tokenizer.ggml.merges";
            let merges = c.texts(key, MERGES_MAX, TEXT_BYTES_MAX).map_err(format)?.ok_or_else(|| missing(key))?;
            let splitter = split::of(pre)?;
            (byte_level(part, vocab, &merges, &splitter)?, splitter.bos)
        }
        "llama" => {
            let key = "tokenizer.ggml.scores";
            let scores = c.numbers(key, VOCABULARY_MAX).map_err(format)?.ok_or_else(|| missing(key))?;
            let prefix = flag(c, "tokenizer.ggml.add_space_prefix").unwrap_or(true);
            (pieces::json(part, &vocabulary, vocab, &scores, prefix)?, true)
        }
        other => {
            return Err(ImportError::unsupported(
                format!("the tokenizer `{}`", Name::new(other)),
                "supported are gpt2 (byte-level BPE) and llama (SentencePiece BPE)",
            ));
        }
    };
    let id = |key: &str| -> Option<Token> {
        let id = c.unsigned(&format!("tokenizer.ggml.{key}_token_id"))?;
        vocabulary.token(u32::try_from(id).ok()?)
    };
    // SentencePiece vocabularies of old files begin with unknown, begin, end.
    let old = |n: u32| vocabulary.token(n).filter(|_| model == "llama");
    let bos = id("bos").or_else(|| old(1));
    if flag(c, "tokenizer.ggml.add_bos_token").unwrap_or(bos_by_default)
        && let Some(Token { id, text: Some(text) }) = &bos
    {
        set(&mut json, "post_processor", template(*id, text));
    }
    set(&mut json, "added_tokens", Value::Array(vocabulary.added()));
    let mut eos: Vec<Token> = [id("eos").or_else(|| old(2)), id("eot"), id("eom")].into_iter().flatten().collect();
    let ends = vocabulary
        .tokens
        .iter()
        .enumerate()
        .filter(|(n, text)| matches!(vocabulary.kind(*n), CONTROL | USER_DEFINED) && ENDS.contains(&text.as_str()));
    eos.extend(ends.filter_map(|(n, _)| vocabulary.token(u32::try_from(n).ok()?)));
    let mut seen: Vec<u32> = Vec::new();
    eos.retain(|t| {
        !seen.contains(&t.id) && {
            seen.push(t.id);
            true
        }
    });
    let json = serde_json::to_vec(&json).map_err(|e| ImportError::malformed(part, e.to_string()))?;
    Ok(Tokens { json, bos, eos })
}

fn flag(c: &Catalogue, key: &str) -> Option<bool> {
    match c.value(key) {
        Some(weighbridge_formats::formats::gguf::catalogue::Value::Bool(b)) => Some(*b),
        _ => None,
    }
}

fn set(json: &mut Value, key: &str, value: Value) {
    if let Some(object) = json.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
}

/// Puts the begin-of-sequence token before each text.
fn template(id: u32, text: &str) -> Value {
    let special = json!({"SpecialToken": {"id": text, "type_id": 0}});
    let sequence = |id: &str, n: u32| json!({"Sequence": {"id": id, "type_id": n}});
    json!({
        "type": "TemplateProcessing",
        "single": [special, sequence("A", 0)],
        "pair": [special, sequence("A", 0), {"SpecialToken": {"id": text, "type_id": 1}}, sequence("B", 1)],
        "special_tokens": {text: {"id": text, "ids": [id], "tokens": [text]}},
    })
}

/// Byte-level BPE.
fn byte_level(
    part: &str,
    vocab: Map<String, Value>,
    merges: &[String],
    splitter: &split::Splitter,
) -> Result<Value, ImportError> {
    let mut pairs = Vec::with_capacity(merges.len());
    for merge in merges {
        let both = merge.split_once(' ').filter(|(a, b)| {
            let whole = format!("{a}{b}");
            [*a, *b, whole.as_str()].iter().all(|t| vocab.contains_key(*t))
        });
        let Some((a, b)) = both else {
            let reason = format!("merges `{}`, which its tokens do not allow", Name::new(merge));
            return Err(ImportError::malformed(part, reason));
        };
        pairs.push(json!([a, b]));
    }
    let mut steps: Vec<Value> = splitter
        .steps
        .iter()
        .map(|regex| json!({"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": false}))
        .collect();
    steps.push(json!({
        "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": splitter.steps.is_empty(),
    }));
    Ok(json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": if splitter.nfc { json!({"type": "NFC"}) } else { Value::Null },
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": steps},
        "post_processor": null,
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
            "ignore_merges": splitter.whole_words, "vocab": vocab, "merges": pairs,
        },
    }))
}
