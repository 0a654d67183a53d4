//! ONNX models (onnx.proto of the ONNX IR specification, through IR 14).
//!
//! A graph runs no code by itself. The dangers are external tensor data that
//! names files outside the model's folder, operators that need native
//! libraries or run Python, and shapes aimed at allocators.

mod graph;
mod model;
pub(super) mod operators;
mod recognise;
mod report;
pub(super) mod rules;
mod tensor;

use crate::core::{FormatError, FormatSpec, Input, Inspection, Recognise, Scope};

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "onnx",
    name: "ONNX",
    extensions: &["onnx"],
    runs_code: false,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Bytes(recognise::recognise),
    inspect,
    rules: rules::ALL,
};

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let mut scan = model::Scan::new(input);
    let walked = scan.model(ctx);
    report::report(ctx, &scan);
    walked
}

#[cfg(test)]
mod tests;
