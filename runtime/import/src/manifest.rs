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
    /// Layers of the decoder.
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
    /// The other files of the folder.
    pub files: Vec<FileEntry>,
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
