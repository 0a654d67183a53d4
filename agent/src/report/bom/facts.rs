//! Facts of a model, from itself or from its files.

use serde_json::Value;

use super::{Bill, ModelEntry, TEXT_CHARS_MAX, purl, text, url};

/// Most items of a list that is passed on.
pub const ITEMS_MAX: usize = 32;

/// Facts that are listed by name, with the model's card.
const LISTED: &[&str] = &[
    "parameters",
    "quantization",
    "context_length",
    "tensor_count",
    "dtypes",
    "torch_dtype",
    "block_count",
    "embedding_length",
    "hidden_size",
    "head_count",
    "expert_count",
    "layers",
    "vocab_size",
    "vocabulary_size",
    "tokenizer",
    "adapter",
    "adapter_rank",
    "rank",
    "lora_alpha",
    "target_modules",
    "type",
    "finetune",
    "basename",
    "size_label",
    "model_version",
    "version",
    "format_version",
    "byte_order",
    "opset",
    "framework",
    "library_name",
    "producer",
    "transformers_version",
    "keras_version",
    "tensorflow_version",
    "languages",
    "loss",
    "optimizer",
    "objective",
    "custom_operators",
    "date",
];

/// A fact, and the index of the file that states it.
#[derive(Clone, Copy)]
pub struct Fact<'a> {
    pub value: &'a Value,
    pub file: Option<usize>,
}

/// A model that another one says it was made from.
pub struct Ancestor {
    pub name: String,
    pub purl: Option<String>,
    /// As the file words it.
    pub raw: String,
}

impl<'a> Bill<'a> {
    /// What a model, its weights or its other files say under `key`.
    pub fn fact(&self, entry: &ModelEntry<'a>, key: &str) -> Option<Fact<'a>> {
        let files = || entry.files.iter().filter_map(|i| Some((*i, self.files.get(*i)?.artifact)));
        let of = |i: usize| self.files.get(i).and_then(|f| f.artifact.metadata.get(key));
        if let Some(value) = entry.model.metadata.get(key) {
            let file = files().find(|(_, a)| a.metadata.get(key) == Some(value)).map(|(i, _)| i);
            return Some(Fact { value, file });
        }
        let weights = files().filter(|(_, a)| a.format == entry.model.format).map(|(i, _)| i);
        let all = files().map(|(i, _)| i);
        weights.chain(all).find_map(|i| Some(Fact { value: of(i)?, file: Some(i) }))
    }

    /// A fact as text.
    pub fn says(&self, entry: &ModelEntry<'a>, key: &str) -> Option<String> {
        self.fact(entry, key).and_then(|f| shown(f.value))
    }

    /// A fact as a list of texts.
    pub fn list(&self, entry: &ModelEntry<'a>, key: &str) -> Vec<String> {
        match self.fact(entry, key).map(|f| f.value) {
            Some(Value::Array(items)) => items.iter().filter_map(shown).take(ITEMS_MAX).collect(),
            Some(one) => Vec::from_iter(shown(one)),
            None => Vec::new(),
        }
    }

    /// Facts worth listing, by name.
    pub fn listed(&self, entry: &ModelEntry<'a>) -> Vec<(&'static str, String)> {
        LISTED.iter().filter_map(|key| Some((*key, self.says(entry, key)?))).collect()
    }

    /// The models it says it was made from.
    pub fn ancestors(&self, entry: &ModelEntry<'a>) -> Vec<Ancestor> {
        let mut raw: Vec<&str> = match self.fact(entry, "base_model").map(|f| f.value) {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        raw.retain(|name| !name.trim().is_empty() && *name != entry.model.name);
        raw.dedup();
        raw.into_iter().take(ITEMS_MAX).map(ancestor).collect()
    }
}

fn ancestor(raw: &str) -> Ancestor {
    let repository = url(raw)
        .and_then(|u| u.strip_prefix("https://huggingface.co/").map(str::to_owned))
        .filter(|r| r.split('/').count() == 2);
    Ancestor {
        name: super::named(repository.as_deref().unwrap_or(raw)),
        purl: repository.map(|r| format!("pkg:huggingface/{r}")).filter(|p| purl(p).is_some()),
        raw: raw.to_owned(),
    }
}

fn shown(value: &Value) -> Option<String> {
    let raw = match value {
        Value::Null => return None,
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    Some(text(&raw, TEXT_CHARS_MAX)).filter(|t| !t.trim().is_empty())
}

/// Texts on lines of their own, the first few and how many more there are.
pub fn lines(items: &[String]) -> String {
    let mut out = items.iter().take(ITEMS_MAX).map(String::as_str).collect::<Vec<_>>().join("\n");
    if let Some(more) = items.len().checked_sub(ITEMS_MAX).filter(|n| *n > 0) {
        out.push_str(&format!("\n… and {more} more"));
    }
    out
}
