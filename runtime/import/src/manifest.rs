//! `weighbridge.json`: what an imported model is and where it came from.

use serde::{Deserialize, Serialize};

use crate::sampling::Sampling;

/// Version of the manifest's members. Readers ignore members they do not know.
pub const SCHEMA: u32 = 1;

/// What an imported model is and where it came from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`SCHEMA`] of the writer.
    pub schema: u32,
    /// Name and version of the importer.
    pub importer: String,
    /// The files it was made of.
    pub source: Origin,
    /// Family, as the source names it.
    pub architecture: String,
    /// The model's own name, if stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its licence, if stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// Layers.
    pub layers: u32,
    /// Query heads.
    pub heads: u32,
    /// Key and value heads.
    pub kv_heads: u32,
    /// Dimensions of one head.
    pub head_size: u32,
    /// Dimensions of the residual stream.
    pub hidden_size: u32,
    /// Dimensions inside the feed-forward.
    pub feed_forward_size: u32,
    /// Rows of the logits.
    pub vocabulary_size: u32,
    /// Longest sequence the model was made for, tokens.
    pub context_length: u32,
    /// Weights in the source, embedding included once.
    pub parameters: u64,
    /// Begin-of-sequence token, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bos: Option<Token>,
    /// Tokens that end an answer; the first is the model's own choice.
    #[serde(default)]
    pub eos: Vec<Token>,
    /// How the model's authors draw its tokens, if stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampling: Option<Sampling>,
    /// How the packed matrices are laid out.
    #[serde(default)]
    pub layouts: Vec<Share>,
    /// Tensors whose values changed on the way; all others are exact.
    #[serde(default)]
    pub rounded: Vec<Rounded>,
    /// What a model that reads whole texts makes of them; absent for those
    /// that write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder: Option<Encoder>,
    /// The other files of the folder.
    pub files: Vec<FileEntry>,
}

/// What a model makes of whole texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encoder {
    /// Vectors or scores.
    pub task: Task,
    /// Which tokens' vectors become a text's.
    #[serde(default)]
    pub pooling: Pooling,
    /// Whether vectors get length 1.
    #[serde(default)]
    pub normalises: bool,
    /// How the output for a pair becomes its score.
    #[serde(default)]
    pub score: Score,
    /// Longest text, special tokens included.
    pub tokens_max: u32,
    /// Number of a text's first position: RoBERTa counts from behind its
    /// padding token.
    pub first_position: u32,
    /// Kinds of tokens (first text, second text) that the graph asks for; it
    /// asks for none where there is one.
    pub token_types: u32,
    /// Numbers in a row of the logits; 0 where there are none.
    #[serde(default)]
    pub labels: u32,
    /// Put before every text that becomes a vector.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prompt: String,
    /// Whether texts are read in lower case, whatever the tokenizer does.
    #[serde(default)]
    pub lowercases: bool,
}

/// What texts become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// Each text a vector.
    Embed,
    /// Each pair of texts a score.
    Rerank,
}

/// Which tokens' vectors become a text's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// The mean of all.
    #[default]
    Mean,
    /// The first one's. The graph then takes the places of first tokens as its
    /// input `rows`, and gives their rows alone; so it does for scores.
    Cls,
    /// The last one's.
    Last,
    /// The largest of all, number by number.
    Max,
}

/// How the output for a pair becomes its score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Score {
    /// Between 0 and 1.
    #[default]
    Sigmoid,
    /// As it is.
    Raw,
}

/// Where a model came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// `gguf` or `safetensors`.
    pub format: String,
    /// Every file that was read.
    pub parts: Vec<FileEntry>,
}

/// A file by content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Name within its folder.
    pub name: String,
    /// Length in bytes.
    pub size_bytes: u64,
    /// Lower-case hexadecimal.
    pub sha256: String,
}

/// A special token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Its number.
    pub id: u32,
    /// Its text, if known; chat templates ask for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// Matrices of one packed layout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// The layout's name.
    pub layout: String,
    /// Packed matrices.
    pub matrices: u32,
    /// Their bytes.
    pub bytes: u64,
}

/// A tensor whose values changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rounded {
    /// Name in the source.
    pub tensor: String,
    /// Type in the source.
    pub from: String,
    /// Packed layout.
    pub to: String,
}

pub(crate) fn hex(digest: &[u8]) -> String {
    use std::fmt::Write;
    digest.iter().fold(String::with_capacity(digest.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}
