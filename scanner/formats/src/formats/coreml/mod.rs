//! Core ML: `.mlmodel` (Model.proto of coremltools), the `Manifest.json` and
//! `weight.bin` of an `.mlpackage`, the `model.mil` of an `.mlmodelc`.

mod model;
mod package;
mod recognise;
mod rules;

use crate::core::{FormatError, FormatSpec, Input, Inspection, Recognise, Scope};

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "coreml",
    name: "Core ML",
    extensions: &["mlmodel", "json", "bin", "mil"],
    runs_code: false,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Bytes(recognise::recognise),
    inspect,
    rules: rules::ALL,
};

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let head = input.head(4096).map_err(|source| FormatError::Io { offset: 0, source })?;
    match recognise::part(&head) {
        Some(recognise::Part::Manifest) => package::manifest(ctx, input),
        Some(recognise::Part::Weights) => package::weights(ctx, input),
        Some(recognise::Part::Program) => package::program(ctx, input),
        None => model::inspect(ctx, input),
    }
}

#[cfg(test)]
mod tests;
