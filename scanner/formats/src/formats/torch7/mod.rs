//! Torch7 (`.t7`): Lua objects serialised by `torch.File`, binary or ASCII
//! (torch7/File.lua): a type number, an index for what can be shared, content.

mod reader;
mod rules;
mod walk;

#[cfg(test)]
mod tests;

use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Recognise, Scope, Sniff};
use reader::Encoding;

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "torch7",
    name: "Torch7",
    extensions: &["t7", "th", "net", "dat"],
    runs_code: true,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Bytes(recognise),
    inspect,
    rules: rules::ALL,
};

fn recognise(sniff: &Sniff<'_>) -> Confidence {
    match encoding(sniff.head) {
        Some((_, confidence)) => confidence,
        None => Confidence::No,
    }
}

/// How the content is encoded. An object starts with its class, `V 1` and a
/// dotted name; a table must show one further on.
fn encoding(head: &[u8]) -> Option<(Encoding, Confidence)> {
    const OBJECT: &[u8] = b"\x04\0\0\0\x01\0\0\0\x03\0\0\0V ";
    const TABLE: &[u8] = b"\x03\0\0\0\x01\0\0\0";
    const CLASSES: &[&[u8]] = &[b"torch.", b"nn.", b"cudnn.", b"cunn.", b"image.", b"tds."];
    let class = |text: &[u8]| CLASSES.iter().any(|c| memchr::memmem::find(text, c).is_some());
    let has = |mark: &[u8]| memchr::memmem::find(head, mark).is_some();
    if head.starts_with(OBJECT) && class(head.get(..64).unwrap_or(head)) {
        return Some((Encoding::Binary, Confidence::Certain));
    }
    if head.starts_with(b"4\n1\n3\nV ") && class(head.get(..64).unwrap_or(head)) {
        return Some((Encoding::Ascii, Confidence::Certain));
    }
    if head.starts_with(TABLE) && has(b"\x03\0\0\0V 1") && class(head) {
        return Some((Encoding::Binary, Confidence::Likely));
    }
    if head.starts_with(b"3\n1\n") && has(b"3\nV 1\n") && class(head) {
        return Some((Encoding::Ascii, Confidence::Likely));
    }
    // A table of plain values, or a function: three fixed fields must fit.
    let function = |kind: u8| head.starts_with(&[kind, 0, 0, 0, 1, 0, 0, 0]) && (has(b"\x1bLua") || has(b"\x1bLJ"));
    ([6, 7, 8].into_iter().any(function) || head.starts_with(TABLE) && (has(b"\x1bLua") || has(b"\x1bLJ")))
        .then_some((Encoding::Binary, Confidence::Likely))
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let head = input.head(4096).map_err(|source| FormatError::Io { offset: 0, source })?;
    let Some((encoding, _)) = encoding(&head) else {
        return Err(FormatError::malformed("type", 0, "no Torch7 object"));
    };
    walk::walk(ctx, input, encoding)
}
