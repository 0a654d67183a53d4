//! `torch.save` before 1.6: five pickles (magic number, protocol version,
//! system information, the object, the sorted storage keys), then for each key
//! a count and the raw elements (torch/serialization.py, `_legacy_save`).

mod storages;

#[cfg(test)]
mod tests;

use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Recognise, Scope, Sniff};
use crate::formats::pickle;
use crate::formats::pytorch_zip::{STORAGE_LENGTH, TRAILING_DATA};

/// `MAGIC_NUMBER`, 0x1950a86a20f9469cfc6c, as the pickle opcode LONG1.
const MAGIC: &[u8] = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
/// The same as the text opcode LONG of protocols 0 and 1.
const MAGIC_TEXT: &[u8] = b"L119547037146038801333356L\n.";
/// Streams before the storages.
const STREAMS: [&str; 5] = ["magic number", "protocol version", "system information", "object", "storage keys"];
/// Position of the object among the streams.
const OBJECT: usize = 3;
/// Objects saved to one file one after the other.
const OBJECTS_MAX: u64 = 1000;

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "pytorch-legacy",
    name: "PyTorch checkpoint (before 1.6)",
    extensions: &["pt", "pth", "bin", "ckpt", "pkl", "tar", "model", "state", "weights"],
    runs_code: true,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Bytes(recognise),
    inspect,
    rules: &[&STORAGE_LENGTH, &TRAILING_DATA],
};

fn recognise(sniff: &Sniff<'_>) -> Confidence {
    if starts_here(sniff.head) { Confidence::Certain } else { Confidence::No }
}

/// PROTO, from protocol 4 on a FRAME, then the magic number.
fn starts_here(head: &[u8]) -> bool {
    let at = |offset: usize| head.get(offset..).is_some_and(|rest| rest.starts_with(MAGIC));
    head.first() == Some(&0x80) && (at(2) || head.get(2) == Some(&0x95) && at(11)) || head.starts_with(MAGIC_TEXT)
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let mut at = 0;
    for _ in 0..OBJECTS_MAX {
        at = inspect_object(ctx, input, at)?;
        let rest = input.tail_from(at);
        let head = rest.head(64).map_err(|source| FormatError::Io { offset: at, source })?;
        if starts_here(&head) {
            continue;
        }
        return inspect_rest(ctx, &rest, at);
    }
    Err(FormatError::limit("torch_objects_max", OBJECTS_MAX))
}

/// One saved object from `start` on; where it ends.
fn inspect_object(ctx: &mut Inspection<'_>, input: &Input, start: u64) -> Result<u64, FormatError> {
    let mut at = start;
    let mut object = None;
    for (index, stream) in STREAMS.iter().enumerate() {
        ctx.work(1)?;
        let facts = pickle::inspect_stream(ctx, input, at)?;
        if !facts.complete || facts.end <= at {
            return Err(FormatError::malformed(*stream, at, "the stream has no end"));
        }
        at = facts.end;
        if index == OBJECT {
            object = Some(facts);
        }
    }
    match object {
        Some(facts) => storages::walk(ctx, input, at, &facts),
        None => Ok(at),
    }
}

/// What follows the last storage: padding, or content nobody reads.
fn inspect_rest(ctx: &mut Inspection<'_>, rest: &Input, at: u64) -> Result<(), FormatError> {
    const PADDING_MAX: usize = 4096;
    let head = rest.head(PADDING_MAX).map_err(|source| FormatError::Io { offset: at, source })?;
    let Some(zeros) = head.iter().position(|b| *b != 0) else { return Ok(()) };
    ctx.find(&TRAILING_DATA, at, format!("{} bytes after the last storage", rest.len()));
    ctx.child("after-the-storages", &rest.tail_from(zeros as u64));
    Ok(())
}
