use std::sync::Arc;

use serde_json::json;
use weighbridge_engine::{Batch, LanguageModel, Prepare, Segment, Template, Text, TextFiles};
use weighbridge_import::Manifest;
use weighbridge_inference_wire::{Facts, Failure, Open, PartRole};
use weighbridge_onnx::{Language, Library, Setting};

use super::manifest;
use crate::error::{of_model, short, words};
use crate::parts::Parts;

/// An imported language model.
pub struct Imported {
    /// The arithmetic.
    pub language: Language,
    /// Prompts to tokens.
    pub prepare: Arc<Prepare>,
    manifest: Manifest,
}

impl Imported {
    /// Opens the parts of a model that was imported.
    ///
    /// # Errors
    /// What is wrong with which part.
    pub fn open(library: &Library, open: &Open, parts: &Parts, manifest: Manifest) -> Result<Self, Failure> {
        let graph = parts.needed(PartRole::Graph, "graph")?;
        let setting =
            Setting { threads: open.threads, cache_bytes: open.cache_bytes, context_length: open.context_length };
        let language =
            Language::open(library, &manifest, graph, &parts.files(), setting).map_err(|e| of_model(words(&e)))?;
        let shape = language.shape();
        let text = Arc::new(text(parts, &manifest, shape.vocabulary)?);
        let template = match parts.one(PartRole::Template)? {
            Some(bytes) => {
                let source = std::str::from_utf8(bytes).map_err(|_| of_model("the chat template is not UTF-8"))?;
                Template::load(Some(source), &text)?
            }
            None => Template::load(None, &text)?,
        };
        let prepare = Arc::new(Prepare::new(text, template, shape, open.context_length));
        Ok(Self { language, prepare, manifest })
    }

    /// Reads one token, and as many as a page holds and one more.
    pub fn warm_up(&mut self) -> Result<(), Failure> {
        let shape = self.language.shape();
        let most = (shape.page_tokens + 1).min(shape.context_length);
        for count in [1, most] {
            let pages: Vec<u32> = (0u32..).take(count.div_ceil(shape.page_tokens.max(1))).collect();
            let segments = [Segment { first: 0, count, past: 0, pages: &pages, sequence: 0 }];
            let batch = Batch { tokens: &vec![0; count], segments: &segments, logit_rows: &[count.saturating_sub(1)] };
            let logits = self.language.step(&batch).map_err(|e| of_model(short(&e.to_string())))?;
            if logits.iter().any(|number| number.is_nan()) {
                return Err(of_model("the model's first logits are not numbers; it is damaged"));
            }
            self.language.released(0);
        }
        Ok(())
    }

    /// What it can do.
    pub fn facts(&self) -> Facts {
        let mut facts = Facts {
            architecture: short(&self.manifest.architecture),
            parameters: self.manifest.parameters,
            quantization: manifest::quantization(&self.manifest),
            ..Facts::default()
        };
        self.prepare.describe(&mut facts);
        facts
    }
}

/// The tokenizer, and what the manifest says where no file does.
fn text(parts: &Parts, manifest: &Manifest, vocabulary: usize) -> Result<Text, Failure> {
    let tokenizer = parts.needed(PartRole::Tokenizer, "tokenizer")?;
    let (config, generation) = (parts.one(PartRole::TokenizerConfig)?, parts.one(PartRole::Generation)?);
    let named = json!({
        "bos_token": manifest.bos.as_ref().and_then(|token| token.text.as_deref()),
        "eos_token": manifest.eos.first().and_then(|token| token.text.as_deref()),
    });
    let (named, drawn) = (named.to_string(), drawing(manifest));
    let files = TextFiles {
        tokenizer,
        config: Some(config.unwrap_or(named.as_bytes())),
        generation: Some(generation.unwrap_or(drawn.as_bytes())),
    };
    Text::load(&files, vocabulary)
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
