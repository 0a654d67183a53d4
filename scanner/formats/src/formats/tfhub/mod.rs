//! The marker of a TensorFlow Hub module: `tfhub_module.pb`, two bytes. The
//! SavedModel lies beside it.

use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Recognise, Scope, Sniff};

/// `ModuleDef { format: FORMAT_V3 }`
const MARKER: &[u8] = b"\x08\x03";

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "tfhub",
    name: "TensorFlow Hub module marker",
    extensions: &["pb"],
    runs_code: false,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Bytes(recognise),
    inspect,
    rules: &[],
};

fn recognise(sniff: &Sniff<'_>) -> Confidence {
    if sniff.head == MARKER && sniff.name.as_str() == "tfhub_module.pb" { Confidence::Certain } else { Confidence::No }
}

fn inspect(ctx: &mut Inspection<'_>, _: &Input) -> Result<(), FormatError> {
    ctx.fact("format_version", 3);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::core::testing::inspect_bytes;

    #[test]
    fn only_the_marker_itself_is_one() {
        assert_eq!(inspect_bytes("tfhub_module.pb", b"\x08\x03").format, Some("tfhub"));
        assert_eq!(inspect_bytes("other.pb", b"\x08\x03").format, None);
        assert_eq!(inspect_bytes("tfhub_module.pb", b"\x08\x03\x08").format, None);
    }
}
