//! Turns GGUF and safetensors language models, and safetensors encoders (for
//! vectors of texts, and scores of pairs), into packed ONNX models.
//!
//! Job: one model in, one folder out: `model.onnx` (a graph of our operators),
//! `model.onnx.data` (packed weights), `tokenizer.json`, `chat_template.jinja`
//! and `weighbridge.json` (the [`Manifest`]).
//!
//! Trust boundary: every byte of a [`Source`] is hostile. Counts and lengths
//! are held against limits before memory is reserved; weights pass through
//! sixteen rows at a time; what is not understood in full is refused, so that
//! no graph is written that computes something else than the model's authors
//! meant.
//!
//! Deliberately unknown here: paths, processes, policy. Bytes come from open
//! [`Input`]s and go to a [`Sink`]; the caller says where those are.
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "tests make their own numbers")
)]

mod encoder;
mod error;
mod gguf;
mod graph;
mod hf;
mod import;
mod manifest;
mod model;
mod output;
#[cfg(feature = "reference")]
pub mod reference;
mod sampling;
mod source;
mod tokenizer;
mod weights;

pub use error::ImportError;
pub use import::{Options, Quantisation, import};
pub use manifest::{Encoder, FileEntry, Manifest, Origin, Pooling, Rounded, SCHEMA, Score, Share, Task, Token};
pub use output::Sink;
pub use sampling::Sampling;
pub use source::{Part, Source};
pub use weighbridge_formats::{Input, ReadAt};

/// The graph.
pub const GRAPH_FILE: &str = "model.onnx";
/// The weights the graph refers to.
pub const WEIGHTS_FILE: &str = "model.onnx.data";
/// The tokenizer, as the `tokenizers` library reads it.
pub const TOKENIZER_FILE: &str = "tokenizer.json";
/// The chat template; absent where the model states none.
pub const TEMPLATE_FILE: &str = "chat_template.jinja";
/// The [`Manifest`].
pub const MANIFEST_FILE: &str = "weighbridge.json";
