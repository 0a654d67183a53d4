use std::sync::Arc;

use weighbridge_engine::embedding::{Activation, Pooling, Read, Reader, Rules, Settings, Texts};
use weighbridge_engine::{EncoderModel, Text, TextFiles};
use weighbridge_import::{Manifest, Pooling as Stated, Score, Task};
use weighbridge_inference_wire::{Facts, Failure, Open, PartRole};
use weighbridge_onnx::{Encoder, Library};

use super::manifest;
use crate::error::{of_model, short, words};
use crate::parts::Parts;

/// Tokens of the second text that is read to warm up.
const WARM_TOKENS: usize = 40;

/// An imported model that reads whole texts.
pub struct Encodes {
    /// The arithmetic.
    pub encoder: Encoder,
    /// Texts to tokens.
    pub reader: Arc<Reader>,
    /// Tokens' vectors to texts'.
    pub settings: Settings,
    manifest: Manifest,
}

impl Encodes {
    /// Opens the parts of a model that was imported.
    ///
    /// # Errors
    /// What is wrong with which part.
    pub fn open(library: &Library, open: &Open, parts: &Parts, manifest: Manifest) -> Result<Self, Failure> {
        let stated = manifest.encoder.as_ref().ok_or_else(|| of_model("the manifest describes no encoder"))?;
        let graph = parts.needed(PartRole::Graph, "graph")?;
        let encoder = Encoder::open(library, &manifest, graph, &parts.files(), open.threads.max(1))
            .map_err(|e| of_model(words(&e)))?;
        let tokenizer = parts.needed(PartRole::Tokenizer, "tokenizer")?;
        let files = TextFiles { tokenizer, config: parts.one(PartRole::TokenizerConfig)?, generation: None };
        let text = Text::load(&files, 0)?;
        let most = usize::try_from(stated.tokens_max).unwrap_or(usize::MAX);
        let settings = Settings {
            pooling: match stated.pooling {
                Stated::Mean => Pooling::Mean,
                Stated::Cls => Pooling::First,
                Stated::Last => Pooling::Last,
                Stated::Max => Pooling::Max,
            },
            normalises: stated.normalises,
            activation: match stated.score {
                Score::Sigmoid => Activation::Sigmoid,
                Score::Raw => Activation::Raw,
            },
            tokens_max: most.min(open.context_length.unwrap_or(usize::MAX)).max(1),
            ..Settings::default()
        };
        let rules = Rules {
            prompt: stated.prompt.clone(),
            lowercases: stated.lowercases,
            vocabulary: manifest.vocabulary_size,
            // A graph that asks for no types is given none.
            types: if stated.token_types > 1 { stated.token_types } else { 0 },
            ranks: stated.task == Task::Rerank,
        };
        let reader = Arc::new(Reader::new(Arc::new(text), settings.tokens_max, rules));
        Ok(Self { encoder, reader, settings, manifest })
    }

    /// Reads a text of one token, and beside it one of several blocks.
    pub fn warm_up(&mut self) -> Result<(), Failure> {
        let counts = [1, WARM_TOKENS.min(self.settings.tokens_max)];
        let nothing = vec![0; counts.iter().sum()];
        let texts = Texts { tokens: &nothing, types: &nothing, counts: &counts };
        let read = self.encoder.read(&texts).map_err(|e| of_model(short(&e.to_string())))?;
        let (Read::Texts(numbers) | Read::Tokens(numbers)) = read;
        if numbers.iter().any(|number| !number.is_finite()) {
            return Err(of_model("the model's first outputs are not numbers; it is damaged"));
        }
        Ok(())
    }

    /// What it can do.
    pub fn facts(&self) -> Facts {
        let ranks = self.reader.rules().ranks;
        Facts {
            embedding_size: if ranks { None } else { u32::try_from(self.encoder.size()).ok() },
            reranks: ranks,
            architecture: short(&self.manifest.architecture),
            context_length: self.settings.tokens_max,
            vocabulary: usize::try_from(self.manifest.vocabulary_size).unwrap_or(usize::MAX),
            parameters: self.manifest.parameters,
            quantization: manifest::quantization(&self.manifest),
            ..Facts::default()
        }
    }
}
