//! Models of BERT's kind: they read whole texts and make vectors of them, or
//! scores of pairs. A safetensors folder in the layout of the Hugging Face hub,
//! with or without the files of sentence-transformers.

mod config;
mod names;
mod sentence;

use serde_json::Value;

use crate::error::Name;
use crate::graph;
use crate::import::{Options, Quantisation, all_used, entries, write_manifest};
use crate::manifest::{Encoder as Described, Manifest, Origin, Pooling, SCHEMA, Task};
use crate::model::Sizes;
use crate::output::{Output, Sink};
use crate::source::Source;
use crate::weights::Packer;
use crate::{GRAPH_FILE, ImportError, TOKENIZER_FILE, WEIGHTS_FILE, hf};

pub(crate) use names::{Names, Role};

/// What `model_type` may be.
pub(crate) const FAMILIES: &[&str] = &["bert", "camembert", "distilbert", "roberta", "xlm-roberta"];

/// What an encoder computes.
pub(crate) struct Encoder {
    pub(crate) architecture: String,
    pub(crate) name: Option<String>,
    /// Its context is the longest text.
    pub(crate) sizes: Sizes,
    /// Rows of the table of positions.
    pub(crate) positions: usize,
    /// The row of a text's first token.
    pub(crate) first_position: usize,
    /// Rows of the table of token types; none for 0.
    pub(crate) type_rows: usize,
    /// Tokens of a text's second part have a type of their own.
    pub(crate) has_types: bool,
    pub(crate) epsilon: f32,
    /// Of the feed-forward, as graphs call it.
    pub(crate) activation: &'static str,
    pub(crate) task: Task,
    pub(crate) names: Names,
}

impl Encoder {
    /// Whether only first tokens count.
    pub(crate) fn gives_first(&self, pooling: Pooling) -> bool {
        self.task == Task::Rerank || pooling == Pooling::Cls
    }
}

/// `config.json`, if it is an encoder's.
///
/// # Errors
/// A file that is no JSON, or too large.
pub(crate) fn config(source: &Source) -> Result<Option<Value>, ImportError> {
    let json = source.json("config.json", hf::CONFIG_BYTES_MAX)?;
    Ok(json.filter(|j| j.get("model_type").and_then(Value::as_str).is_some_and(|name| FAMILIES.contains(&name))))
}

/// Turns the encoder in `source` into the files of an imported model.
///
/// # Errors
/// As [`crate::import`].
pub(crate) fn import(
    source: &Source,
    json: &Value,
    sink: &mut dyn Sink,
    options: &Options,
) -> Result<Manifest, ImportError> {
    let (tensors, mut parts) = hf::weights::read(source)?;
    let mut encoder = config::read(json, &tensors)?;
    let sentence = sentence::read(source, json, &encoder)?;
    encoder.has_types &= !sentence.untyped;
    let tokenizer = hf::tokenizer(source)?;
    hf::tokens::check(&tokenizer)?;
    parts.extend(["config.json", TOKENIZER_FILE].map(str::to_owned));
    parts.extend(sentence.parts.iter().cloned());
    if source.get("README.md").is_some() {
        parts.push("README.md".to_owned());
    }
    let parts = entries(source, &parts)?;
    let labels = encoder.names.labels(&encoder, &tensors)?;
    encoder.names.ignore_unused(encoder.task, &tensors);
    let floats = options.quantisation.unwrap_or(Quantisation::Int8).layout();
    let mut packer = Packer::new(Output::new(sink, WEIGHTS_FILE));
    let first = encoder.gives_first(sentence.pooling);
    let graph = graph::build_encoder(&encoder, labels, first, &tensors, floats, &mut packer)?;
    all_used(&tensors, &encoder.architecture)?;
    let (weights, layouts, rounded) = packer.finish();
    let files =
        vec![weights, Output::whole(sink, GRAPH_FILE, &graph)?, Output::whole(sink, TOKENIZER_FILE, &tokenizer)?];
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let sizes = encoder.sizes;
    let manifest = Manifest {
        schema: SCHEMA,
        importer: concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")).to_owned(),
        source: Origin { format: "safetensors".to_owned(), parts },
        architecture: encoder.architecture.clone(),
        name: encoder.name.clone(),
        licence: hf::licence(source)?,
        layers: count(sizes.layers),
        heads: count(sizes.heads),
        kv_heads: count(sizes.kv_heads),
        head_size: count(sizes.head_size),
        hidden_size: count(sizes.hidden),
        feed_forward_size: count(sizes.feed_forward),
        vocabulary_size: count(sizes.vocabulary),
        context_length: count(sentence.tokens_max),
        parameters: tensors.parameters,
        bos: None,
        eos: Vec::new(),
        sampling: None,
        layouts,
        rounded,
        encoder: Some(Described {
            task: encoder.task,
            pooling: sentence.pooling,
            normalises: sentence.normalises,
            score: sentence.score,
            tokens_max: count(sentence.tokens_max),
            first_position: count(encoder.first_position),
            token_types: if encoder.has_types { count(encoder.type_rows) } else { 1 },
            labels: count(labels),
            prompt: sentence.prompt,
            lowercases: sentence.lowercases,
        }),
        files,
    };
    write_manifest(sink, &manifest)?;
    Ok(manifest)
}

/// A feature no graph of ours computes, by the field that asks for it.
fn refused(field: &str, value: &Value, hint: &'static str) -> ImportError {
    let value = Name::new(&value.to_string());
    ImportError::unsupported(format!("a model whose `{}` is {value}", Name::new(field)), hint)
}
