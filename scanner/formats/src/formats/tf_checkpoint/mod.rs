//! TensorFlow checkpoints: the `.index` of a tensor bundle (a table as in
//! LevelDB, `tensor_bundle.proto`) and the text file `checkpoint` that names
//! the latest.

mod bundle;
mod rules;
mod table;

use weighbridge_types::LinkKind;

use crate::codec::protobuf::text::{Event, Events};
use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Reader, Recognise, Scope, Sniff};

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "tf-checkpoint",
    name: "TensorFlow checkpoint",
    extensions: &["index"],
    runs_code: false,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Bytes(recognise),
    inspect,
    rules: rules::ALL,
};

/// The table's footer is LevelDB's, and a disk is full of LevelDB. A bundle's
/// first key is empty, which LevelDB's keys cannot be.
fn recognise(sniff: &Sniff<'_>) -> Confidence {
    if is_state_file(sniff) {
        return Confidence::Likely;
    }
    let empty_key = sniff.starts_with(b"\0\0") && matches!(sniff.head, [_, _, 1..=255, 0x08 | 0x10 | 0x1a, ..]);
    let named = sniff.name.has_extension(&["index"]);
    if (empty_key || named) && sniff.tail().ends_with(table::MAGIC) {
        if empty_key { Confidence::Certain } else { Confidence::Likely }
    } else {
        Confidence::No
    }
}

/// `CheckpointState` as text.
fn is_state_file(sniff: &Sniff<'_>) -> bool {
    sniff.name.as_str() == "checkpoint" && sniff.text().starts_with(b"model_checkpoint_path:")
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let head = input.head(64).map_err(|source| FormatError::Io { offset: 0, source })?;
    if head.trim_ascii_start().starts_with(b"model_checkpoint_path:") {
        return state_file(ctx, input);
    }
    bundle::inspect(ctx, input)
}

/// Names the checkpoints; honest ones hold absolute paths, too.
fn state_file(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let mut r = Reader::new(input);
    let mut events = Events::new(&mut r);
    while let Some(event) = events.next(ctx)? {
        if let Event::Scalar(name, value) = event
            && name.ends_with("model_checkpoint_path")
        {
            ctx.link(LinkKind::Shard, &format!("{}.index", String::from_utf8_lossy(&value)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
