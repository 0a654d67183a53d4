//! A safetensors folder in the layout of the Hugging Face hub.

pub(crate) mod config;
mod rope;
pub(crate) mod tokens;
pub(crate) mod weights;

use crate::import::{Loaded, Options};
use crate::model::names::Names;
use crate::source::Source;
use crate::{ImportError, TEMPLATE_FILE, TOKENIZER_FILE};

/// Largest configuration read, bytes.
pub(crate) const CONFIG_BYTES_MAX: usize = 4 << 20;
/// Largest tokenizer read, bytes: four times the largest in use.
const TOKENIZER_BYTES_MAX: usize = 128 << 20;
/// Largest chat template read, bytes.
pub(crate) const TEMPLATE_BYTES_MAX: usize = 1 << 20;

/// Reads what the folder says of its model.
///
/// # Errors
/// Whatever is missing, malformed or not supported.
pub(crate) fn load(source: &Source, options: &Options) -> Result<Loaded, ImportError> {
    let json = source.json("config.json", CONFIG_BYTES_MAX)?.ok_or(ImportError::NoModel)?;
    let mut model = config::read(&json, options)?;
    model.licence = licence(source)?;
    let (tensors, parts) = weights::read(source)?;
    let tokenizer = tokenizer(source)?;
    let tokens = tokens::read(source, &json, &tokenizer)?;
    let mut parts = parts;
    parts.extend(["config.json", TOKENIZER_FILE].map(str::to_owned));
    let optional = ["tokenizer_config.json", "generation_config.json", TEMPLATE_FILE, "README.md"];
    parts.extend(optional.iter().filter(|name| source.get(name).is_some()).map(|name| (*name).to_owned()));
    let names = Names::HuggingFace { prefix: "model.".to_owned(), post_norms: model.family.post_norms() };
    Ok(Loaded {
        format: "safetensors",
        model,
        names,
        tensors,
        tokenizer,
        template: tokens.template,
        bos: tokens.bos,
        eos: tokens.eos,
        parts,
    })
}

/// The tokenizer's bytes.
pub(crate) fn tokenizer(source: &Source) -> Result<Vec<u8>, ImportError> {
    source.bytes(TOKENIZER_FILE, TOKENIZER_BYTES_MAX)?.ok_or_else(|| ImportError::Missing {
        part: crate::error::Name::new(TOKENIZER_FILE),
        hint: "save the tokenizer as a fast one (`use_fast=True`) and import again",
    })
}

/// `license:` in the front matter of the model card.
pub(crate) fn licence(source: &Source) -> Result<Option<String>, ImportError> {
    let Some(part) = source.get("README.md") else { return Ok(None) };
    let fail = |source| ImportError::Read { part: crate::error::Name::new("README.md"), source };
    let head = part.input.head(16 * 1024).map_err(fail)?;
    let head = String::from_utf8_lossy(&head);
    let front = head.strip_prefix("---").and_then(|rest| rest.split_once("\n---")).map_or("", |(front, _)| front);
    let stated = front.lines().find_map(|line| line.strip_prefix("license:"));
    Ok(stated
        .map(|l| l.trim().trim_matches(['"', '\'']).chars().take(128).collect())
        .filter(|l: &String| !l.is_empty()))
}
