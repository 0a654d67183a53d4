//! Hugging Face configurations: `config.json`, `generation_config.json`,
//! processors and feature extractors, `quantize_config.json`; and
//! `genai_config.json` of onnxruntime-genai.

mod checks;
mod facts;
mod reference;
mod rules;
mod templates;

use serde_json::{Map, Value};

use crate::codec::{config, indicators, json};
use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Recognise, Scope, Sniff};

pub(crate) use checks::{inspect_document, report_reference};
pub(crate) use rules::CODE_OUTSIDE;

/// Largest configuration read, bytes.
pub(crate) const JSON_BYTES_MAX: usize = 16 << 20;

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "hf-config",
    name: "Hugging Face configuration",
    extensions: &["json"],
    runs_code: false,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Json(recognise),
    inspect,
    rules: &[
        &rules::LOCAL_CODE,
        &rules::REMOTE_CODE,
        &CODE_OUTSIDE,
        &rules::TRUST_REMOTE_CODE,
        &rules::KERNEL_REPOSITORY,
        &rules::KERNEL_OF_HUB,
        &rules::CUSTOM_OPS_LIBRARY,
        &config::rules::DANGEROUS_CALLABLE,
        &config::rules::UNUSUAL_CALLABLE,
        &config::rules::UNKNOWN_CALLABLE,
        &config::rules::EXPRESSION,
        &config::rules::UNUSUAL_EXPRESSION,
        &config::rules::ENVIRONMENT_READ,
        &config::rules::DUPLICATE_KEY,
        &indicators::rules::SECRET,
        &indicators::rules::WEB_TOKEN,
        &indicators::rules::KNOWN_BAD_ADDRESS,
        &indicators::rules::UNUSUAL_ADDRESS,
    ],
};

/// Names of processors' configurations.
const PROCESSORS: &[&str] = &[
    "preprocessor_config.json",
    "processor_config.json",
    "image_processor_config.json",
    "feature_extractor_config.json",
    "video_preprocessor_config.json",
];

fn recognise(value: &Value, sniff: &Sniff<'_>) -> Confidence {
    let Value::Object(map) = value else { return Confidence::No };
    let name = sniff.name.as_str();
    let text = |key: &str| map.get(key).is_some_and(Value::is_string);
    let any = |keys: &[&str]| keys.iter().any(|k| map.contains_key(*k));
    let classes = |v: &Value| v.as_array().is_some_and(|a| !a.is_empty() && a.iter().all(Value::is_string));
    let architectures = map.get("architectures").is_some_and(classes);
    if architectures && text("model_type") {
        return Confidence::Certain;
    }
    let likely = map.get("auto_map").is_some_and(is_auto_map)
        || text("_attn_implementation_internal")
        || text("model_type") && text("transformers_version")
        || text("image_processor_type")
        || text("feature_extractor_type")
        || text("video_processor_type")
        || map.get("_from_model_config").is_some_and(Value::is_boolean)
            && any(&["transformers_version", "eos_token_id"])
        || match name {
            "config.json" => {
                architectures
                    || text("model_type")
                    || any(&["trust_remote_code", "_attn_implementation", "attn_implementation", "auto_map"])
                    || any(&["word_embedding_dimension", "embedding_dimension"])
                        && map.keys().any(|key| key.starts_with("pooling_mode"))
            }
            "generation_config.json" => any(&[
                "eos_token_id",
                "bos_token_id",
                "pad_token_id",
                "max_length",
                "max_new_tokens",
                "do_sample",
                "temperature",
                "custom_generate",
                "transformers_version",
            ]),
            "genai_config.json" => map.get("model").is_some_and(|model| model.get("decoder").is_some()),
            "quantize_config.json" | "quant_config.json" => any(&["bits", "w_bit", "quant_method"]),
            "config_sentence_transformers.json" => any(&["__version__", "prompts", "similarity_fn_name"]),
            _ if name.starts_with("sentence_") && name.ends_with("_config.json") => {
                any(&["max_seq_length", "do_lower_case", "transformer_task"])
            }
            _ => PROCESSORS.contains(&name) && any(&["processor_class", "do_resize", "do_normalize", "feature_size"]),
        };
    if likely { Confidence::Likely } else { Confidence::No }
}

/// `{"AutoModel": "module.Class", …}`
fn is_auto_map(value: &Value) -> bool {
    value.as_object().is_some_and(|m: &Map<_, _>| m.keys().any(|k| k.starts_with("Auto")))
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let document = json::parse(input, JSON_BYTES_MAX)?;
    facts::read(ctx, &document.value);
    inspect_document(ctx, &document)
}

#[cfg(test)]
mod tests;
