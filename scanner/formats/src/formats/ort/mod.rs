//! ONNX Runtime's own model files: a FlatBuffer of the schema `ORTM`
//! (`onnxruntime/core/flatbuffers/schema/ort.fbs`) that holds an optimised
//! ONNX graph, mapped and run as it is.

mod graph;
#[cfg(test)]
mod tests;

use weighbridge_types::Rule;

use crate::codec::flatbuffers::{FlatBuffer, inspect_trailing, rules as flat};
use crate::codec::indicators;
use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Recognise, Scope, Sniff};
use crate::formats::onnx::rules;

/// Longest text read.
const TEXT_BYTES_MAX: usize = 1 << 20;
/// Most metadata entries reported.
const FACTS_MAX: usize = 64;

/// Registry entry. Rules about operators are those of ONNX.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "ort",
    name: "ONNX Runtime model",
    extensions: &["ort"],
    runs_code: false,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Bytes(recognise),
    inspect,
    rules: RULES,
};

static RULES: &[&Rule] = &[
    &rules::PYTHON_OPERATOR,
    &rules::CUSTOM_OPERATOR,
    &rules::UNKNOWN_OPERATOR,
    &flat::TRAILING_CONTENT,
    &flat::TRAILING_BYTES,
];

fn recognise(sniff: &Sniff<'_>) -> Confidence {
    if sniff.has_at(4, b"ORTM") { Confidence::Certain } else { Confidence::No }
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let buffer = FlatBuffer::new(input);
    let session = buffer.root()?;
    if let Some(version) = session.string(0, TEXT_BYTES_MAX, "ort_version")? {
        ctx.fact("format_version", version);
    }
    let Some(model) = session.table(1, "model")? else {
        return Err(FormatError::malformed("model", session.position(), "the session holds none"));
    };
    for (id, key) in [(2, "producer"), (3, "producer_version"), (6, "description")] {
        if let Some(text) = model.string(id, TEXT_BYTES_MAX, "model text")?.filter(|t| !t.is_empty()) {
            indicators::inspect_text(ctx, &text, key);
            ctx.fact(key, text);
        }
    }
    let entries = model.vector(9, 4, "metadata_props")?.into_iter().flat_map(|v| v.tables("metadata entry"));
    for (i, entry) in entries.enumerate() {
        ctx.work(1)?;
        let entry = entry?;
        let key = entry.string(0, TEXT_BYTES_MAX, "metadata key")?.unwrap_or_default();
        let value = entry.string(1, TEXT_BYTES_MAX, "metadata value")?.unwrap_or_default();
        indicators::inspect_text(ctx, &value, &key);
        if i < FACTS_MAX {
            ctx.fact(&key, value);
        }
    }
    let mut walk = graph::Walk::new(&model)?;
    walk.graphs(ctx, &model)?;
    walk.facts(ctx);
    walk.survey(ctx, input)?;
    inspect_trailing(ctx, input, buffer.end())
}
