//! Tokenizers: `tokenizer.json` of the tokenizers library, and the
//! `tokenizer_config.json` beside it, which holds chat templates.

use serde_json::Value;

use crate::codec::json;
use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Recognise, Scope, Sniff};
use crate::formats::hf_config::{JSON_BYTES_MAX, inspect_document};

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "tokenizer",
    name: "tokenizer",
    extensions: &["json"],
    runs_code: false,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Json(recognise),
    inspect,
    // Those of `hf-config` and of chat templates.
    rules: &[],
};

/// Algorithms of the tokenizers library (`model.type`).
const ALGORITHMS: &[&str] = &["BPE", "Unigram", "WordPiece", "WordLevel"];

fn recognise(value: &Value, sniff: &Sniff<'_>) -> Confidence {
    let has = |key: &str| value.get(key).is_some();
    let algorithm = value.pointer("/model/type").and_then(Value::as_str);
    if algorithm.is_some_and(|a| ALGORITHMS.contains(&a)) && has("version") {
        return Confidence::Certain;
    }
    // Before 0.9 the library wrote no type.
    let old = value.pointer("/model/vocab").is_some() && has("pre_tokenizer") && has("decoder");
    let class = value.get("tokenizer_class").is_some_and(Value::is_string);
    let named = match sniff.name.as_str() {
        "tokenizer_config.json" => {
            ["chat_template", "model_max_length", "bos_token", "eos_token", "unk_token", "do_lower_case", "auto_map"]
                .iter()
                .any(|k| has(k))
        }
        "chat_template.json" => has("chat_template"),
        _ => false,
    };
    if old || has("added_tokens_decoder") || class && (has("model_max_length") || has("chat_template")) || named {
        Confidence::Likely
    } else {
        Confidence::No
    }
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let document = json::parse(input, JSON_BYTES_MAX)?;
    let value = &document.value;
    let Some(model) = value.get("model").filter(|m| m.get("vocab").is_some()) else {
        if let Some(class) = value.get("tokenizer_class").and_then(Value::as_str) {
            ctx.fact("tokenizer", class);
        }
        if let Some(length) = value.get("model_max_length").and_then(Value::as_u64) {
            ctx.fact("context_length", length);
        }
        return inspect_document(ctx, &document);
    };
    ctx.fact("tokenizer", model.get("type").and_then(Value::as_str).unwrap_or("BPE"));
    if let Some(version) = value.get("version").and_then(Value::as_str) {
        ctx.fact("format_version", version);
    }
    let added = value.get("added_tokens").and_then(Value::as_array).map_or(0, Vec::len);
    let vocabulary = match model.get("vocab") {
        Some(Value::Object(map)) => map.len(),
        Some(Value::Array(items)) => items.len(),
        _ => 0,
    };
    ctx.fact("vocab_size", vocabulary);
    ctx.fact("added_tokens", added);
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use weighbridge_types::Verdict;

    use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};

    #[test]
    fn a_tokenizer_is_known_by_its_algorithm() {
        let document = json!({"version": "1.0", "added_tokens": [{"id": 2}], "model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []}});
        let outcome = inspect_bytes("tokenizer.json", document.to_string().as_bytes());
        assert_eq!((outcome.format, verdict(&outcome)), (Some("tokenizer"), Verdict::Clean));
        assert_eq!(outcome.metadata["vocab_size"], 2);
        assert_eq!(outcome.metadata["tokenizer"], "BPE");
        survives_damage("tokenizer.json", document.to_string().as_bytes());
    }

    #[test]
    fn a_tokenizer_configuration_gives_its_template_and_code() {
        let document = json!({
            "tokenizer_class": "LlamaTokenizer",
            "model_max_length": 4096,
            "chat_template": "{{ messages }}",
            "auto_map": {"AutoTokenizer": ["evil/repo--tok.Tok", null]},
        });
        let outcome = inspect_bytes("tokenizer_config.json", document.to_string().as_bytes());
        assert_eq!(outcome.format, Some("tokenizer"));
        assert_eq!(outcome.metadata["chat_template"], "{{ messages }}");
        assert_eq!(rules(&outcome), ["hf-remote-code"]);
    }
}
