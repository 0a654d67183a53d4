//! Caffe (`NetParameter`, binary and as text) and Caffe2 (`NetDef`).

mod net;
mod recognise;
mod rules;
mod text;

use crate::core::{FormatError, FormatSpec, Input, Inspection, Recognise, Scope};

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "caffe",
    name: "Caffe",
    extensions: &["caffemodel", "prototxt", "pb"],
    runs_code: false,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Bytes(recognise::recognise),
    inspect,
    rules: rules::ALL,
};

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let head = input.head(4096).map_err(|source| FormatError::Io { offset: 0, source })?;
    if recognise::is_text_net(&head) { text::inspect(ctx, input) } else { net::inspect(ctx, input) }
}

/// Caffe2's operators that reach outside the net.
const CAFFE2_OUTSIDE: &[&str] = &[
    "Load",
    "Save",
    "Checkpoint",
    "Snapshot",
    "CreateDB",
    "TensorProtosDBInput",
    "ImageInput",
    "VideoInput",
    "FileStoreHandlerCreate",
    "RedisStoreHandlerCreate",
    "CreateTextFileReader",
];

/// What a layer or operator of this type amounts to.
fn layer_rule(kind: &str) -> Option<&'static weighbridge_types::Rule> {
    if kind == "Python" || kind.starts_with("PythonDLPack") {
        Some(&rules::PYTHON)
    } else if CAFFE2_OUTSIDE.contains(&kind) {
        Some(&rules::OUTSIDE)
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
