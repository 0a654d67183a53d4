use std::sync::Arc;

use serde_json::json;
use weighbridge_engine::{Batch, LanguageModel, Prepare, Segment, Template, Text, TextFiles};
use weighbridge_import::Manifest;
use weighbridge_inference_wire::{Facts, Failure, Open, PartRole};
use weighbridge_onnx::{Graph, Language, Library, Setting, Stock};

use super::{export, manifest};
use crate::error::{of_model, short, words};
use crate::parts::Parts;

/// A model that writes text.
pub struct Writes {
    /// The arithmetic.
    pub language: Box<dyn LanguageModel>,
    /// Prompts to tokens.
    pub prepare: Arc<Prepare>,
    facts: Facts,
}

impl Writes {
    /// Opens the parts of a model that was imported.
    ///
    /// # Errors
    /// What is wrong with which part.
    pub fn imported(
        library: &Library,
        open: &Open,
        parts: &Parts,
        manifest: &Manifest,
        ahead: Option<Text>,
    ) -> Result<Self, Failure> {
        let graph = parts.needed(PartRole::Graph, "graph")?;
        let language = Language::open(library, manifest, graph, &parts.files(), setting(open));
        let language = language.map_err(|e| of_model(words(&e)))?;
        let text = match ahead {
            Some(text) => text,
            None => text(manifest, parts)?,
        };
        let facts = Facts {
            architecture: short(&manifest.architecture),
            parameters: manifest.parameters,
            quantization: manifest::quantization(manifest),
            ..Facts::default()
        };
        Self::new(Box::new(language), text, facts, open, parts)
    }

    /// Takes a graph that [`Stock::is_one`].
    ///
    /// # Errors
    /// What is wrong with which part.
    pub fn exported(graph: Graph, open: &Open, parts: &Parts) -> Result<Self, Failure> {
        let beside = export::read(parts)?;
        let language = Stock::new(graph, beside.stated, setting(open)).map_err(|e| of_model(words(&e)))?;
        let facts =
            Facts { architecture: beside.architecture, quantization: "as stored".to_owned(), ..Facts::default() };
        let text = read_text(parts, "{}", &beside.generation, language.shape().vocabulary)?;
        Self::new(Box::new(language), text, facts, open, parts)
    }

    fn new(
        language: Box<dyn LanguageModel>,
        text: Text,
        mut facts: Facts,
        open: &Open,
        parts: &Parts,
    ) -> Result<Self, Failure> {
        let shape = language.shape();
        let text = Arc::new(text);
        let template = match parts.one(PartRole::Template)? {
            Some(bytes) => {
                let source = std::str::from_utf8(bytes).map_err(|_| of_model("the chat template is not UTF-8"))?;
                Template::load(Some(source), &text)?
            }
            None => Template::load(None, &text)?,
        };
        let prepare = Arc::new(Prepare::new(text, template, shape, open.context_length));
        prepare.describe(&mut facts);
        Ok(Self { language, prepare, facts })
    }

    /// Reads as many tokens as a page holds and one more.
    ///
    /// # Errors
    /// A graph that opens and does not run.
    pub fn warm_up(&mut self) -> Result<(), Failure> {
        let shape = self.language.shape();
        let count = (shape.page_tokens + 1).min(shape.context_length);
        let pages: Vec<u32> = (0u32..).take(count.div_ceil(shape.page_tokens.max(1))).collect();
        let segments = [Segment { first: 0, count, past: 0, pages: &pages, sequence: 0 }];
        let batch = Batch { tokens: &vec![0; count], segments: &segments, logit_rows: &[count.saturating_sub(1)] };
        let logits = self.language.step(&batch).map_err(|e| of_model(short(&e.to_string())))?;
        if logits.iter().any(|number| number.is_nan()) {
            return Err(of_model("the model's first logits are not numbers; it is damaged"));
        }
        self.language.released(0);
        Ok(())
    }

    /// What it can do.
    pub fn facts(&self) -> Facts {
        self.facts.clone()
    }
}

/// Tokenizer and words of a model that was imported. Where no file says it, its
/// manifest names special tokens and how answers are drawn.
///
/// # Errors
/// What is wrong with which part.
pub fn text(manifest: &Manifest, parts: &Parts) -> Result<Text, Failure> {
    let named = json!({
        "bos_token": manifest.bos.as_ref().and_then(|token| token.text.as_deref()),
        "eos_token": manifest.eos.first().and_then(|token| token.text.as_deref()),
    });
    let drawn = match parts.one(PartRole::Generation)? {
        Some(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        None => drawing(manifest),
    };
    let vocabulary = usize::try_from(manifest.vocabulary_size).unwrap_or(usize::MAX);
    read_text(parts, &named.to_string(), &drawn, vocabulary)
}

/// `named` stands for a missing `tokenizer_config.json`, `drawn` is what
/// `generation_config.json` says.
fn read_text(parts: &Parts, named: &str, drawn: &str, vocabulary: usize) -> Result<Text, Failure> {
    let files = TextFiles {
        tokenizer: parts.needed(PartRole::Tokenizer, "tokenizer")?,
        config: Some(parts.one(PartRole::TokenizerConfig)?.unwrap_or(named.as_bytes())),
        generation: Some(drawn.as_bytes()),
    };
    Text::load(&files, vocabulary)
}

fn setting(open: &Open) -> Setting {
    Setting { threads: open.threads, cache_bytes: open.cache_bytes, context_length: open.context_length }
}

/// What `generation_config.json` would say: how answers are drawn, and where
/// they end.
fn drawing(manifest: &Manifest) -> String {
    let mut drawn = json!(manifest.sampling.unwrap_or_default());
    if let Some(fields) = drawn.as_object_mut() {
        let ends: Vec<u32> = manifest.eos.iter().map(|token| token.id).collect();
        fields.insert("eos_token_id".to_owned(), json!(ends));
    }
    drawn.to_string()
}

#[cfg(test)]
mod tests {
    use weighbridge_import::SCHEMA;

    use super::*;

    #[test]
    fn answers_are_drawn_as_the_manifest_says() {
        let mut manifest = json!({
            "schema": SCHEMA, "importer": "", "source": {"format": "safetensors", "parts": []}, "architecture": "qwen2",
            "layers": 1, "heads": 1, "kv_heads": 1, "head_size": 16, "hidden_size": 16, "feed_forward_size": 16,
            "vocabulary_size": 16, "context_length": 16, "parameters": 1, "eos": [{"id": 7}, {"id": 2}], "files": []
        });
        let drawn = |manifest: &serde_json::Value| -> serde_json::Value {
            serde_json::from_str(&drawing(&manifest::read(manifest.to_string().as_bytes()).unwrap())).unwrap()
        };
        assert_eq!(drawn(&manifest), json!({"eos_token_id": [7, 2]}));
        manifest["sampling"] = json!({"temperature": 0.5, "top_k": 20});
        assert_eq!(drawn(&manifest), json!({"eos_token_id": [7, 2], "temperature": 0.5, "top_k": 20}));
    }
}
