//! XML documents that no model format claimed.

use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Recognise, Scope, Sniff};

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "xml",
    name: "XML",
    extensions: &["xml"],
    runs_code: false,
    is_model: false,
    scope: Scope::Anywhere,
    recognise: Recognise::Bytes(recognise),
    inspect,
    rules: &[],
};

fn recognise(sniff: &Sniff<'_>) -> Confidence {
    let wide = [&b"\xff\xfe<\0"[..], b"\xfe\xff\0<", b"<\0?\0x\0", b"\0<\0?\0x"];
    if wide.iter().any(|mark| sniff.starts_with(mark)) {
        return Confidence::Plausible;
    }
    let text = sniff.text();
    if text.starts_with(b"<?xml") || text.starts_with(b"<!DOCTYPE") && !text.starts_with(b"<!DOCTYPE html") {
        Confidence::Plausible
    } else {
        Confidence::No
    }
}

fn inspect(_: &mut Inspection<'_>, _: &Input) -> Result<(), FormatError> {
    Ok(())
}
