//! From parts to something that answers.

mod encoder;
mod export;
mod language;
mod manifest;
mod tensors;
mod tools;

use std::sync::Arc;

use weighbridge_engine::Text;
use weighbridge_inference_wire::{Facts, Failure, Open, PartRole};
use weighbridge_onnx::{Graph, Library, Stock};

pub use encoder::Encodes;
pub use language::Writes;
pub use tools::Tools;

use crate::error::{of_model, words};
use crate::inbox::Tokenizing;
use crate::parts::Parts;

/// A model, open.
pub enum Model {
    /// Writes text: imported, with our operators, or as others export it.
    Language(Box<Writes>),
    /// Imported: reads whole texts with our operators.
    Encoder(Box<Encodes>),
    /// Any other graph.
    Tools(Box<Tools>),
}

/// The text of a language model that was imported, which takes as long to read
/// as its weights do to be sealed; all parts but those must be there.
///
/// # Errors
/// What is wrong with which part.
pub fn text_ahead(parts: &Parts) -> Result<Option<Text>, Failure> {
    let Some(manifest) = parts.one(PartRole::Manifest)? else { return Ok(None) };
    let manifest = manifest::read(manifest)?;
    if manifest.encoder.is_some() || parts.one(PartRole::Tokenizer)?.is_none() {
        return Ok(None);
    }
    language::text(&manifest, parts).map(Some)
}

impl Model {
    /// Opens what `parts` hold: an imported model if there is a manifest, which
    /// says of what kind, any other graph otherwise. `text` is what
    /// [`text_ahead`] made of them.
    ///
    /// # Errors
    /// What is wrong with the model.
    pub fn open(library: &Library, open: &Open, parts: &Parts, text: Option<Text>) -> Result<Self, Failure> {
        Ok(match parts.one(PartRole::Manifest)? {
            Some(manifest) => {
                let manifest = manifest::read(manifest)?;
                if manifest.encoder.is_some() {
                    Self::Encoder(Box::new(Encodes::open(library, open, parts, manifest)?))
                } else {
                    Self::Language(Box::new(Writes::imported(library, open, parts, &manifest, text)?))
                }
            }
            None => {
                let bytes = parts.needed(PartRole::Graph, "graph")?;
                let graph = Graph::open(library, bytes, &parts.files(), open.threads);
                let graph = graph.map_err(|e| of_model(words(&e)))?;
                let writes = Stock::is_one(&graph.inputs(), &graph.outputs());
                if writes && parts.one(PartRole::Tokenizer)?.is_some() {
                    Self::Language(Box::new(Writes::exported(graph, open, parts)?))
                } else {
                    Self::Tools(Box::new(Tools::new(graph, open, parts)?))
                }
            }
        })
    }

    /// What is done to requests before the model has them.
    pub fn tokenizing(&self) -> Tokenizing {
        match self {
            Self::Language(model) => Tokenizing::Prompts(Arc::clone(&model.prepare)),
            Self::Encoder(model) => Tokenizing::Texts(Arc::clone(&model.reader)),
            Self::Tools(_) => Tokenizing::Nothing,
        }
    }

    /// Runs it once.
    ///
    /// # Errors
    /// A graph that opens and does not run.
    pub fn warm_up(&mut self) -> Result<(), Failure> {
        match self {
            Self::Language(model) => model.warm_up(),
            Self::Encoder(model) => model.warm_up(),
            Self::Tools(tools) => tools.warm_up(),
        }
    }

    /// What it can do.
    pub fn facts(&self) -> Facts {
        match self {
            Self::Language(model) => model.facts(),
            Self::Encoder(model) => model.facts(),
            Self::Tools(tools) => tools.facts(),
        }
    }
}
