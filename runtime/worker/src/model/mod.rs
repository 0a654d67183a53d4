//! From parts to something that answers.

mod encoder;
mod language;
mod manifest;
mod tensors;
mod tools;

use std::sync::Arc;

use weighbridge_inference_wire::{Facts, Failure, Open, PartRole};
use weighbridge_onnx::Library;

pub use encoder::Encodes;
pub use language::Imported;
pub use tools::Tools;

use crate::inbox::Tokenizing;
use crate::parts::Parts;

/// A model, open.
pub enum Model {
    /// Imported: writes text with our operators.
    Language(Box<Imported>),
    /// Imported: reads whole texts with our operators.
    Encoder(Box<Encodes>),
    /// Any other graph.
    Tools(Box<Tools>),
}

impl Model {
    /// Opens what `parts` hold: an imported model if there is a manifest, which
    /// says of what kind, any other graph otherwise.
    ///
    /// # Errors
    /// What is wrong with the model.
    pub fn open(library: &Library, open: &Open, parts: &Parts) -> Result<Self, Failure> {
        Ok(match parts.one(PartRole::Manifest)? {
            Some(manifest) => {
                let manifest = manifest::read(manifest)?;
                if manifest.encoder.is_some() {
                    Self::Encoder(Box::new(Encodes::open(library, open, parts, manifest)?))
                } else {
                    Self::Language(Box::new(Imported::open(library, open, parts, manifest)?))
                }
            }
            None => Self::Tools(Box::new(Tools::open(library, open, parts)?)),
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
