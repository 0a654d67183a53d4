//! Keras models and weights in HDF5: `.h5` of Keras 1 to 3, `.weights.h5`.
//! Loading a model rebuilds it from the JSON in the attribute `model_config`,
//! without `safe_mode` for this format (CVE-2025-9905).

#[cfg(test)]
mod tests;

use std::ops::ControlFlow;

use serde_json::Value;

use crate::codec::hdf5::{Content, File, Object};
use crate::codec::marshal;
use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Recognise, Scope, Sniff};
use crate::formats::hdf5::inspect_file;
use crate::formats::keras_config::{RULES, inspect_config, inspect_part, record_training, report_code_text};

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "keras-h5",
    name: "Keras HDF5",
    extensions: &["h5", "hdf5", "keras"],
    runs_code: true,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Hdf5(recognise),
    inspect,
    // Those of its container stand with `hdf5`.
    rules: RULES,
};

/// Attributes of the root group that only Keras writes.
const MARKS: &[&str] = &["model_config", "training_config", "keras_version", "layer_names", "weight_names"];
/// Groups that only Keras writes.
const GROUPS: &[&str] =
    &["model_weights", "optimizer_weights", "top_level_model_weights", "_layer_checkpoint_dependencies"];

fn recognise(root: &Object, sniff: &Sniff<'_>) -> Confidence {
    let has_link = |name: &str| root.links.iter().any(|l| l.name == name);
    let has_mark = |name: &&str| root.attribute(name).is_some() || root.attribute(&format!("{name}0")).is_some();
    if MARKS.iter().any(has_mark) || GROUPS.iter().any(|g| has_link(g)) || has_link("layers") && has_link("vars") {
        return Confidence::Certain;
    }
    let named = sniff.name.as_str().ends_with(".weights.h5");
    if named && ["layers", "vars", "optimizer", "seed_generators"].iter().any(|g| has_link(g)) {
        Confidence::Likely
    } else {
        Confidence::No
    }
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let file = File::open(input)?;
    let mut optimizer_elements = 0u64;
    let summary = inspect_file(ctx, &file, input, |ctx, file, object| {
        if object.path.starts_with("optimizer") {
            let elements = object.dataset.as_ref().filter(|d| d.is_numeric()).and_then(|d| d.elements());
            optimizer_elements = optimizer_elements.saturating_add(elements.unwrap_or(0));
        }
        attributes(ctx, file, object);
        ControlFlow::Continue(())
    })?;
    summary.record(ctx);
    ctx.fact("parameters", summary.elements.saturating_sub(optimizer_elements));
    Ok(())
}

fn attributes(ctx: &mut Inspection<'_>, file: &File, object: &Object) {
    let root = object.path.is_empty();
    for attribute in &object.attributes {
        // What cannot be read is reported where every attribute is.
        let Ok(Content::Texts(texts)) = file.content(attribute) else { continue };
        let place = format!("/{}@{}", object.path, attribute.name);
        for text in &texts {
            match attribute.name.as_str() {
                "model_config" => stopped(ctx, |ctx| {
                    if root { inspect_config(ctx, text, &place) } else { inspect_part(ctx, text, &place).map(drop) }
                }),
                "training_config" => stopped(ctx, |ctx| {
                    let training = inspect_part(ctx, text, &place)?;
                    if root {
                        record_training(ctx, &training);
                    }
                    Ok(())
                }),
                _ if is_object_config(text) => stopped(ctx, |ctx| inspect_part(ctx, text, &place).map(drop)),
                "keras_version" | "backend" if root => fact(ctx, &attribute.name, text),
                _ => {}
            }
            if !matches!(attribute.name.as_str(), "model_config" | "training_config")
                && let Ok(text) = std::str::from_utf8(text)
                && let Some(piece) = marshal::danger_in_text(text)
            {
                report_code_text(ctx, &place, piece, text);
            }
        }
    }
}

/// Whether `text` is a configuration under another name.
fn is_object_config(text: &[u8]) -> bool {
    text.trim_ascii_start().starts_with(b"{") && memchr::memmem::find(text, b"class_name").is_some()
}

fn stopped(ctx: &mut Inspection<'_>, part: impl FnOnce(&mut Inspection<'_>) -> Result<(), FormatError>) {
    if let Err(error) = part(ctx) {
        ctx.stopped(&error);
    }
}

fn fact(ctx: &mut Inspection<'_>, name: &str, text: &[u8]) {
    let text = String::from_utf8_lossy(text).into_owned();
    if name == "keras_version" {
        ctx.fact("producer", format!("Keras {text}"));
    }
    ctx.fact(name, Value::String(text));
}
