//! TensorFlow Lite and LiteRT models: a FlatBuffer of the schema `TFL3`
//! (`tensorflow/compiler/mlir/lite/schema/schema.fbs`), with the bytes of large
//! models and a ZIP of labels behind it.

mod graph;
mod operators;
mod rules;
mod weights;

#[cfg(test)]
mod tests;

use crate::codec::flatbuffers::{FlatBuffer, Table, inspect_trailing};
use crate::codec::indicators;
use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Recognise, Scope, Sniff};

/// Longest text read: names, descriptions, licences.
const TEXT_BYTES_MAX: usize = 1 << 20;
/// Most descriptions of anything (`metadata`).
const METADATA_MAX: u32 = 4096;
/// The only version of the schema that loaders take.
const VERSION: u32 = 3;

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "tflite",
    name: "TensorFlow Lite",
    extensions: &["tflite", "lite", "tfl"],
    runs_code: false,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Bytes(recognise),
    inspect,
    rules: rules::ALL,
};

fn recognise(sniff: &Sniff<'_>) -> Confidence {
    let root_inside = sniff.u32_le(0).is_some_and(|root| root >= 8 && u64::from(root) < sniff.len);
    match (sniff.has_at(4, b"TFL3"), root_inside) {
        (true, true) => Confidence::Certain,
        (true, false) => Confidence::Likely,
        (false, true) if sniff.name.has_extension(&["tflite"]) => Confidence::Plausible,
        _ => Confidence::No,
    }
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let buffer = FlatBuffer::new(input);
    let model = buffer.root()?;
    let version = model.u32(0, 0, "version")?;
    if version != VERSION {
        return Err(FormatError::malformed("version", model.position(), format!("{version}, not {VERSION}")));
    }
    ctx.fact("format_version", version);
    if let Some(description) = model.string(3, TEXT_BYTES_MAX, "description")? {
        indicators::inspect_text(ctx, &description, "description");
        ctx.fact("description", description);
    }
    let codes = operators::read(ctx, &model)?;
    let mut weights = weights::read(ctx, &model, input)?;
    described(ctx, &model, &mut weights)?;
    graph::inspect(ctx, &model, &codes, &weights)?;
    weights.survey(ctx, input)?;
    inspect_trailing(ctx, input, buffer.end().max(weights.end))
}

/// What `metadata` tells by name: `min_runtime_version`, `TFLITE_METADATA`.
fn described(ctx: &mut Inspection<'_>, model: &Table<'_>, weights: &mut weights::Weights) -> Result<(), FormatError> {
    let Some(entries) = model.vector(6, 4, "metadata")? else { return Ok(()) };
    if entries.len() > METADATA_MAX {
        return Err(FormatError::limit("tflite_metadata_max", METADATA_MAX.into()));
    }
    for entry in entries.tables("metadata entry") {
        let entry = entry?;
        let name = entry.string(0, TEXT_BYTES_MAX, "metadata name")?.unwrap_or_default();
        let Some(content) = weights.describes(entry.u32(1, 0, "metadata buffer")?) else { continue };
        match name.as_str() {
            "min_runtime_version" => {
                let text = content.head(64).unwrap_or_default();
                ctx.fact("min_runtime_version", String::from_utf8_lossy(&text).trim_matches(['\0', ' ']));
            }
            // A second FlatBuffer, `metadata_schema.fbs`, identifier `M001`.
            "TFLITE_METADATA" => {
                let inner = FlatBuffer::new(&content);
                let told = inner.root()?;
                for (id, key) in [(0, "name"), (1, "description"), (2, "version"), (4, "author"), (5, "license")] {
                    if let Some(text) = told.string(id, TEXT_BYTES_MAX, "metadata text")? {
                        indicators::inspect_text(ctx, &text, key);
                        ctx.fact(key, text);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}
