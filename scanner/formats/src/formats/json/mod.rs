//! JSON documents that no model format claimed. Only told apart from others
//! here; formats with JSON at heart recognise themselves by its keys.

use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Recognise, Scope, Sniff};

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "json",
    name: "JSON",
    extensions: &["json"],
    runs_code: false,
    is_model: false,
    scope: Scope::Anywhere,
    recognise: Recognise::Bytes(recognise),
    inspect,
    rules: &[],
};

/// An object whose first key could start; the keys decide later.
fn recognise(sniff: &Sniff<'_>) -> Confidence {
    let text = sniff.text();
    let mut rest = text.strip_prefix(b"{").map(<[u8]>::trim_ascii_start).unwrap_or_default().iter();
    if rest.next().is_some_and(|b| *b == b'"' || *b == b'}') { Confidence::Plausible } else { Confidence::No }
}

fn inspect(_: &mut Inspection<'_>, _: &Input) -> Result<(), FormatError> {
    Ok(())
}
