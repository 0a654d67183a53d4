//! Tar archives, from a file or a compressed stream: every entry is looked at,
//! and inspected if it turns out to be something.

pub mod contents;
mod rules;

use crate::codec::archive;
use crate::codec::stream::{Forward, Open};
use crate::codec::tar::{self, Seekable};
use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Recognise, Scope, Sniff};
use contents::Purpose;

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "tar",
    name: "tar archive",
    extensions: &["tar"],
    runs_code: false,
    is_model: false,
    scope: Scope::Anywhere,
    recognise: Recognise::Bytes(recognise),
    inspect,
    rules: RULES,
};

const RULES: &[&weighbridge_types::Rule] = &[
    &rules::HEADER_DAMAGED,
    &rules::SIZE_MISMATCH,
    &rules::HIDDEN_MEMBER,
    &rules::SPARSE,
    &archive::rules::PATH_TRAVERSAL,
    &archive::rules::LINK_ESCAPE,
    &archive::rules::WRITE_THROUGH_LINK,
    &archive::rules::DEVICE,
    &archive::rules::PRIVILEGED,
];

fn recognise(sniff: &Sniff<'_>) -> Confidence {
    if tar::is_tar(sniff.head) { Confidence::Likely } else { Confidence::No }
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    contents::inspect(ctx, Seekable::new(input.clone()), Purpose::Any)
}

/// Inspects the tar archive in a compressed stream, unpacking it once from
/// front to back; only parsers that go back in a large entry unpack it again.
///
/// # Errors
/// Whatever stops the walk.
pub fn inspect_stream(ctx: &mut Inspection<'_>, open: Open) -> Result<(), FormatError> {
    let stream = Forward::new(open, ctx.expansion_left());
    contents::inspect(ctx, stream, Purpose::Any)
}

#[cfg(test)]
mod tests;
