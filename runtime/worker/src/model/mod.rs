//! From parts to something that answers.

mod language;
mod tensors;
mod tools;

use std::sync::Arc;

use weighbridge_engine::Prepare;
use weighbridge_inference_wire::{Facts, Failure, Open, PartRole};
use weighbridge_onnx::Library;

pub use language::Imported;
pub use tools::Tools;

use crate::parts::Parts;

/// A model, open.
pub enum Model {
    /// Imported: writes text with our operators.
    Language(Box<Imported>),
    /// Any other graph.
    Tools(Box<Tools>),
}

impl Model {
    /// Opens what `parts` hold: an imported language model if there is a
    /// manifest, any other graph otherwise.
    ///
    /// # Errors
    /// What is wrong with the model.
    pub fn open(library: &Library, open: &Open, parts: &Parts) -> Result<Self, Failure> {
        Ok(match parts.one(PartRole::Manifest)? {
            Some(manifest) => Self::Language(Box::new(Imported::open(library, open, parts, manifest)?)),
            None => Self::Tools(Box::new(Tools::open(library, open, parts)?)),
        })
    }

    /// What turns prompts into tokens, for models that write.
    pub fn prepare(&self) -> Option<Arc<Prepare>> {
        match self {
            Self::Language(model) => Some(Arc::clone(&model.prepare)),
            Self::Tools(_) => None,
        }
    }

    /// Runs it once.
    ///
    /// # Errors
    /// A graph that opens and does not run.
    pub fn warm_up(&mut self) -> Result<(), Failure> {
        match self {
            Self::Language(model) => model.warm_up(),
            Self::Tools(tools) => tools.warm_up(),
        }
    }

    /// What it can do.
    pub fn facts(&self) -> Facts {
        match self {
            Self::Language(model) => model.facts(),
            Self::Tools(tools) => tools.facts(),
        }
    }
}
