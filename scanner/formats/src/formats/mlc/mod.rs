//! MLC LLM: `mlc-chat-config.json` and the list of weight shards
//! (`tensor-cache.json`, before that `ndarray-cache.json`).

mod rules;

use serde_json::Value;
use weighbridge_types::LinkKind;

use crate::codec::config::leaves_folder;
use crate::codec::json;
use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Recognise, Scope, Sniff};
use crate::formats::hf_config::{JSON_BYTES_MAX, inspect_document};

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "mlc",
    name: "MLC LLM model",
    extensions: &["json"],
    runs_code: false,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Json(recognise),
    inspect,
    rules: &[&rules::PATH_OUTSIDE],
};

fn recognise(value: &Value, _: &Sniff<'_>) -> Confidence {
    let has = |key: &str| value.get(key).is_some();
    let shard = value.pointer("/records/0").is_some_and(|r| r.get("dataPath").is_some() && r.get("records").is_some());
    if shard
        || has("model_type")
            && has("quantization")
            && has("model_config")
            && (has("conv_template") || has("tokenizer_files"))
    {
        Confidence::Certain
    } else {
        Confidence::No
    }
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let document = json::parse(input, JSON_BYTES_MAX)?;
    let value = &document.value;
    for (key, fact) in [
        ("model_type", "architecture"),
        ("quantization", "quantization"),
        ("context_window_size", "context_length"),
        ("vocab_size", "vocab_size"),
        ("version", "format_version"),
    ] {
        if let Some(found) = value.get(key).filter(|v| v.is_string() || v.is_number()) {
            ctx.fact(fact, found.clone());
        }
    }
    let shards = value.get("records").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut tensors = 0;
    for shard in shards {
        ctx.work(1)?;
        tensors += shard.get("records").and_then(Value::as_array).map_or(0, Vec::len);
        if let Some(path) = shard.get("dataPath").and_then(Value::as_str) {
            ctx.link(LinkKind::Shard, path);
            check_path(ctx, "dataPath", path);
        }
    }
    if !shards.is_empty() {
        ctx.fact("tensor_count", tensors);
    }
    for file in value.get("tokenizer_files").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        check_path(ctx, "tokenizer_files", file);
    }
    inspect_document(ctx, &document)
}

fn check_path(ctx: &mut Inspection<'_>, field: &str, path: &str) {
    if let Some(why) = leaves_folder(path) {
        ctx.find(&rules::PATH_OUTSIDE, None, format!("{field}: `{path}` {why}"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use weighbridge_types::Verdict;

    use crate::core::Outcome;
    use crate::core::testing::{inspect_bytes, survives_damage, verdict};

    fn cache(path: &str) -> Outcome {
        let document = json!({"metadata": {"ParamSize": 1}, "records": [
            {"dataPath": path, "format": "raw-shard", "nbytes": 4, "records": [{"name": "w", "shape": [1], "dtype": "float32"}]},
        ]});
        inspect_bytes("tensor-cache.json", document.to_string().as_bytes())
    }

    #[test]
    fn shards_are_linked_and_counted() {
        let outcome = cache("params_shard_0.bin");
        assert_eq!((outcome.format, verdict(&outcome)), (Some("mlc"), Verdict::Clean));
        assert_eq!(outcome.links[0].target, "params_shard_0.bin");
        assert_eq!(outcome.metadata["tensor_count"], 1);
    }

    #[test]
    fn shards_outside_the_folder_are_malicious() {
        for path in ["../../etc/passwd", "/etc/passwd", "http://h.example/x"] {
            assert_eq!(verdict(&cache(path)), Verdict::Malicious, "{path}");
        }
    }

    #[test]
    fn a_chat_configuration_is_known_by_its_keys() {
        let document = json!({"version": "0.1.0", "model_type": "llama", "quantization": "q4f16_1",
            "model_config": {}, "conv_template": {}, "tokenizer_files": ["tokenizer.json"]});
        let outcome = inspect_bytes("mlc-chat-config.json", document.to_string().as_bytes());
        assert_eq!((outcome.format, verdict(&outcome)), (Some("mlc"), Verdict::Clean));
        survives_damage("mlc-chat-config.json", document.to_string().as_bytes());
    }
}
