//! RAR archives: recognised, not unpacked.

use weighbridge_types::{Rule, Severity, Verdict};

use crate::codec::archive::rules::UNDER_MODEL_NAME;
use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Recognise, Scope, Sniff};
use crate::formats::sevenz::is_model_name;

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "rar",
    name: "RAR archive",
    extensions: &["rar"],
    runs_code: false,
    is_model: false,
    scope: Scope::Anywhere,
    recognise: Recognise::Bytes(recognise),
    inspect,
    rules: &[&NOT_INSPECTED, &UNDER_MODEL_NAME],
};

/// There is no free unpacker to use.
static NOT_INSPECTED: Rule = Rule {
    id: "rar-not-inspected",
    severity: Severity::Low,
    verdict: Verdict::Unknown,
    title: "a RAR archive was not inspected",
    what: "The content is a RAR archive, versions 1.5 to 7.",
    why: "Nothing in it was looked at. Unknown is not a pass.",
    false_positives: "None.",
    remedy: "Unpack it in a throw-away folder and scan the parts.",
    references: &["https://www.rarlab.com/technote.htm"],
};

fn recognise(sniff: &Sniff<'_>) -> Confidence {
    // Version 4 and before, version 5 and later.
    if sniff.starts_with(b"Rar!\x1a\x07\x00") || sniff.starts_with(b"Rar!\x1a\x07\x01\x00") {
        Confidence::Likely
    } else {
        Confidence::No
    }
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    ctx.find(&NOT_INSPECTED, 0, format!("{} bytes", input.len()));
    if is_model_name(ctx.name()) {
        let detail = format!("`{}` is a RAR archive", ctx.name().as_str());
        ctx.find(&UNDER_MODEL_NAME, 0, detail);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use weighbridge_types::Verdict;

    use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};

    const SAMPLE: &[u8] = b"Rar!\x1a\x07\x01\x00\x33\x92\xb5\xe5\x0a\x01\x05\x06\x00\x05\x01\x01\x80\x80\x00";

    #[test]
    fn a_rar_is_unknown_and_under_a_models_name_suspicious() {
        let outcome = inspect_bytes("weights.rar", SAMPLE);
        assert_eq!((verdict(&outcome), rules(&outcome)), (Verdict::Unknown, vec!["rar-not-inspected"]));
        assert_eq!(verdict(&inspect_bytes("pytorch_model.bin", SAMPLE)), Verdict::Suspicious);
        assert_eq!(verdict(&inspect_bytes("model.pth", SAMPLE)), Verdict::Suspicious);
        survives_damage("weights.rar", SAMPLE);
    }
}
