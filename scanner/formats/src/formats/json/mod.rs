//! JSON documents that no model format claimed. Only told apart from others
//! here; formats with JSON at heart recognise themselves by its keys.

use crate::codec::json;
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

/// Names that only models' files have. Content of theirs that no format
/// claimed could not be parsed, or is larger than is parsed.
const MODEL_NAMES: &[&str] = &[
    "adapter_config.json",
    "genai_config.json",
    "generation_config.json",
    "model_index.json",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
];
/// Keys by which a `config.json` at large is a model's.
const MODEL_KEYS: &[&[u8]] = &[b"\"architectures\"", b"\"model_type\"", b"\"auto_map\"", b"\"transformers_version\""];
/// Bytes searched for them.
const HEAD_BYTES: usize = 64 * 1024;
/// Largest document parsed, bytes; tokenizers of large vocabularies are larger.
const JSON_BYTES_MAX: usize = 16 << 20;

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let name = ctx.name().as_str();
    let model = match name {
        "tokenizer.json" if input.len() > JSON_BYTES_MAX as u64 => false,
        "config.json" => {
            let head = input.head(HEAD_BYTES).map_err(|source| FormatError::Io { offset: 0, source })?;
            MODEL_KEYS.iter().any(|key| memchr::memmem::find(&head, key).is_some())
        }
        _ => MODEL_NAMES.contains(&name),
    };
    if model { json::parse(input, JSON_BYTES_MAX).map(|_| ()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use weighbridge_types::Verdict;

    use crate::core::testing::{inspect_bytes, rules, verdict};

    #[test]
    fn a_models_configuration_that_cannot_be_read_is_not_passed_over() {
        let deep = format!(r#"{{"model_type": "a", "x": {}1{}, "auto_map": {{}}}}"#, "[".repeat(500), "]".repeat(500));
        assert_eq!(verdict(&inspect_bytes("config.json", deep.as_bytes())), Verdict::Unknown);
        let padded = format!(r#"{{"model_type": "a"{}}}"#, " ".repeat(17 << 20));
        assert_eq!(rules(&inspect_bytes("config.json", padded.as_bytes())), ["limit-reached"]);
        assert_eq!(verdict(&inspect_bytes("tokenizer_config.json", b"{\"a\": ")), Verdict::Unknown);
    }

    #[test]
    fn other_documents_may_be_anything() {
        assert!(inspect_bytes("config.json", b"{\"port\": 1, // comment\n}").findings.is_empty());
        assert!(inspect_bytes("tsconfig.json", b"{\"a\": ").findings.is_empty());
    }
}
