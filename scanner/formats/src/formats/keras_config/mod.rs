//! Keras configurations: the JSON that `.h5` attributes, `config.json` of
//! `.keras` archives and `model.to_json()` hold. Every object in it names a
//! class or function and its arguments; loading looks the name up and calls
//! it.
//!
//! The whole document is walked, since objects nest anywhere: wrappers, cells,
//! sub-models, `compile_config`, losses, build configurations.

mod blob;
mod facts;
mod lambda;
mod names;
mod object;
mod rules;
#[cfg(test)]
pub(in crate::formats) mod tests;
mod walk;

use serde_json::Value;

use crate::codec::json::{self, Document};
use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Recognise, Scope, Sniff};

pub(super) use blob::inspect_blob;
pub(super) use facts::{record as record_model, record_training};
pub(super) use rules::ALL as RULES;

/// Largest configuration looked at, bytes. Those of models with a thousand
/// layers take two million.
pub(super) const CONFIG_BYTES_MAX: usize = 32 << 20;

/// Registry entry for configurations that stand alone.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "keras-config",
    name: "Keras configuration",
    extensions: &["json"],
    runs_code: false,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Json(recognise),
    inspect,
    rules: rules::ALL,
};

fn recognise(document: &Value, _: &Sniff<'_>) -> Confidence {
    let Some(class) = document.get("class_name").and_then(Value::as_str) else { return Confidence::No };
    let Some(config) = document.get("config") else { return Confidence::No };
    let module = document.get("module").and_then(Value::as_str).unwrap_or_default();
    if document.get("keras_version").is_some() || names::is_keras(module) {
        return Confidence::Certain;
    }
    let layered = config.get("layers").is_some() || config.is_array();
    if layered && names::is_known_class(class) {
        Confidence::Certain
    } else if layered || document.get("registered_name").is_some() || names::is_known_class(class) {
        Confidence::Likely
    } else {
        Confidence::No
    }
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    if input.len() > CONFIG_BYTES_MAX as u64 {
        return Err(FormatError::limit("keras_config_bytes_max", CONFIG_BYTES_MAX as u64));
    }
    let bytes = input.head(CONFIG_BYTES_MAX).map_err(|source| FormatError::Io { offset: 0, source })?;
    inspect_config(ctx, &bytes, "configuration")
}

/// Inspects the configuration in `bytes`, found in `place` of the current
/// content, and records what it says of the model.
///
/// # Errors
/// [`FormatError::Malformed`] for what Python would not read as JSON; its text
/// was searched for code all the same.
pub fn inspect_config(ctx: &mut Inspection<'_>, bytes: &[u8], place: &str) -> Result<(), FormatError> {
    let document = read(ctx, bytes, place)?;
    facts::record(ctx, &document.value);
    walk::walk(ctx, &document, place)
}

/// As [`inspect_config`] for parts that say nothing of the model's shape:
/// training configurations, metadata.
///
/// # Errors
/// As [`inspect_config`].
pub fn inspect_part(ctx: &mut Inspection<'_>, bytes: &[u8], place: &str) -> Result<Value, FormatError> {
    let document = read(ctx, bytes, place)?;
    walk::walk(ctx, &document, place)?;
    Ok(document.value)
}

/// Reports source code or a command, `piece`, in a `text` beside a
/// configuration.
pub(super) fn report_code_text(ctx: &mut Inspection<'_>, place: &str, piece: &str, text: &str) {
    ctx.find(&rules::CODE_TEXT, None, format!("{place}: `{piece}` in `{}`", walk::shown(text)));
}

fn read(ctx: &mut Inspection<'_>, bytes: &[u8], place: &str) -> Result<Document, FormatError> {
    if bytes.len() > CONFIG_BYTES_MAX {
        return Err(FormatError::limit("keras_config_bytes_max", CONFIG_BYTES_MAX as u64));
    }
    json::parse_bytes(bytes).inspect_err(|_| walk::search_text(ctx, bytes, place))
}
