//! What a configuration says of its model.

use serde_json::Value;

use crate::core::Inspection;

/// Keys taken over as they are, from the document or its `text_config`.
const PLAIN: &[(&str, &str)] = &[
    ("model_type", "model_type"),
    ("max_position_embeddings", "context_length"),
    ("n_positions", "context_length"),
    ("n_ctx", "context_length"),
    ("max_seq_len", "context_length"),
    ("vocab_size", "vocab_size"),
    ("hidden_size", "hidden_size"),
    ("num_hidden_layers", "layers"),
    ("torch_dtype", "torch_dtype"),
    ("dtype", "torch_dtype"),
    ("transformers_version", "transformers_version"),
    ("license", "license"),
    ("_name_or_path", "base_model"),
    ("image_processor_type", "processor"),
    ("feature_extractor_type", "processor"),
    ("video_processor_type", "processor"),
    ("processor_class", "processor"),
];

/// Records the facts of `value`.
pub(super) fn read(ctx: &mut Inspection<'_>, value: &Value) {
    if let Some(architecture) = value.get("architectures").and_then(|a| a.get(0)).and_then(Value::as_str) {
        ctx.fact("architecture", architecture);
    }
    let text_config = value.get("text_config").unwrap_or(&Value::Null);
    let mut seen = Vec::new();
    for (key, fact) in PLAIN {
        let found = value.get(*key).or_else(|| text_config.get(*key)).filter(|v| is_plain(v));
        if let Some(found) = found
            && !seen.contains(fact)
        {
            seen.push(fact);
            ctx.fact(fact, found.clone());
        }
    }
    let quantization = value
        .get("quantization_config")
        .or_else(|| value.get("quantization"))
        .or_else(|| value.get("bits").map(|_| value));
    if let Some(quantization) = quantization.and_then(quantization_name) {
        ctx.fact("quantization", quantization);
    }
}

/// `gptq-4bit`, `fp8`, `4bit`
fn quantization_name(config: &Value) -> Option<String> {
    let method = config.get("quant_method").and_then(Value::as_str);
    let bits =
        ["bits", "w_bit", "weight_bits"].iter().find_map(|k| config.get(*k).and_then(Value::as_u64)).or_else(|| {
            let loaded = |key: &str| config.get(key).and_then(Value::as_bool) == Some(true);
            if loaded("load_in_4bit") { Some(4) } else { loaded("load_in_8bit").then_some(8) }
        });
    match (method, bits) {
        (Some(method), Some(bits)) => Some(format!("{method}-{bits}bit")),
        (Some(method), None) => Some(method.to_owned()),
        (None, Some(bits)) => Some(format!("{bits}bit")),
        (None, None) => None,
    }
}

fn is_plain(value: &Value) -> bool {
    value.is_number() || value.as_str().is_some_and(|text| !text.is_empty())
}
