//! Adapters of the PEFT library: `adapter_config.json`.

mod rules;

use serde_json::Value;
use weighbridge_types::LinkKind;

use crate::codec::config::callables::{Callable, judge};
use crate::codec::config::leaves_folder;
use crate::codec::{config, json};
use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Recognise, Scope, Sniff};
use crate::formats::hf_config::{JSON_BYTES_MAX, inspect_document};

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "lora",
    name: "adapter configuration",
    extensions: &["json"],
    runs_code: false,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Json(recognise),
    inspect,
    rules: &[&rules::BASE_PATH, &rules::BASE_URL, &rules::FOREIGN_LIBRARY],
};

/// `peft_type` (peft.utils.PeftType) beside a base model or target modules.
/// Libraries that hold the base models of honest adapters.
const LIBRARIES: &[&str] = &[
    "transformers",
    "diffusers",
    "sentence_transformers",
    "torch",
    "torchvision",
    "timm",
    "peft",
    "open_clip",
    "accelerate",
    "transformers_modules",
    "nemo",
    "speechbrain",
    "unsloth",
    "trl",
    "setfit",
    "gliner",
];

fn recognise(value: &Value, sniff: &Sniff<'_>) -> Confidence {
    let text = |key: &str| value.get(key).is_some_and(Value::is_string);
    let has = |key: &str| value.get(key).is_some();
    if text("peft_type") && (has("base_model_name_or_path") || has("task_type") || has("target_modules")) {
        return Confidence::Certain;
    }
    let named = sniff.name.as_str() == "adapter_config.json";
    let mlx = has("lora_parameters") && (has("fine_tune_type") || has("num_layers") || has("lora_layers"));
    if named && (text("peft_type") || has("base_model_name_or_path") || mlx) {
        Confidence::Likely
    } else {
        Confidence::No
    }
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let document = json::parse(input, JSON_BYTES_MAX)?;
    let value = &document.value;
    for (key, fact) in [
        ("peft_type", "architecture"),
        ("r", "rank"),
        ("lora_alpha", "lora_alpha"),
        ("task_type", "task_type"),
        ("target_modules", "target_modules"),
        ("peft_version", "producer"),
    ] {
        if let Some(found) = value.get(key).filter(|v| !v.is_null()) {
            ctx.fact(fact, found.clone());
        }
    }
    let base = value.get("base_model_name_or_path").or_else(|| value.get("model")).and_then(Value::as_str);
    if let Some(base) = base.filter(|b| !b.is_empty()) {
        ctx.fact("base_model", base);
        ctx.link(LinkKind::BaseModel, base);
        if base.contains("://") {
            ctx.find(&rules::BASE_URL, None, format!("base_model_name_or_path: `{base}`"));
        } else if let Some(why) = leaves_folder(base) {
            ctx.find(&rules::BASE_PATH, None, format!("base_model_name_or_path: `{base}` {why}"));
        }
    }
    // PEFT imports this module to find the class of the base model.
    if let Some(library) = value.pointer("/auto_mapping/parent_library").and_then(Value::as_str) {
        let class = value.pointer("/auto_mapping/base_model_class").and_then(Value::as_str).unwrap_or_default();
        if let Callable::Dangerous(why) = judge(&format!("{library}.{class}")) {
            let detail = format!("auto_mapping: `{library}.{class}` {why}");
            ctx.find(&config::rules::DANGEROUS_CALLABLE, None, detail);
        } else if !LIBRARIES.contains(&library.split('.').next().unwrap_or_default()) {
            ctx.find(&rules::FOREIGN_LIBRARY, None, format!("auto_mapping: `{library}.{class}`"));
        }
    }
    inspect_document(ctx, &document)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use weighbridge_types::Verdict;

    use crate::core::Outcome;
    use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};

    fn adapter(base: &str, mapping: Value) -> Outcome {
        let document = json!({
            "peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 16, "lora_alpha": 32,
            "target_modules": ["q_proj", "v_proj"], "base_model_name_or_path": base, "auto_mapping": mapping,
        });
        inspect_bytes("adapter_config.json", document.to_string().as_bytes())
    }

    #[test]
    fn an_adapter_names_its_base_model() {
        let outcome = adapter("meta-llama/Llama-3.1-8B", Value::Null);
        assert_eq!((outcome.format, verdict(&outcome)), (Some("lora"), Verdict::Clean));
        assert_eq!(outcome.metadata["rank"], 16);
        assert_eq!(outcome.links[0].target, "meta-llama/Llama-3.1-8B");
        assert!(outcome.findings.is_empty());
    }

    #[test]
    fn a_base_elsewhere_is_a_note_and_a_url_is_suspicious() {
        assert_eq!(verdict(&adapter("/home/me/models/llama", Value::Null)), Verdict::Clean);
        assert_eq!(rules(&adapter("../../llama", Value::Null)), ["adapter-base-path"]);
        assert_eq!(verdict(&adapter("https://models.example/x", Value::Null)), Verdict::Suspicious);
    }

    #[test]
    fn the_library_of_the_base_class_is_judged() {
        let honest =
            json!({"base_model_class": "Model", "parent_library": "transformers_modules.org.name.rev.modeling"});
        assert_eq!(verdict(&adapter("org/name", honest)), Verdict::Clean);
        let evil = json!({"base_model_class": "system", "parent_library": "os"});
        assert_eq!(verdict(&adapter("org/name", evil)), Verdict::Malicious);
    }

    #[test]
    fn damaged_adapters_are_survived() {
        survives_damage(
            "adapter_config.json",
            br#"{"peft_type": "LORA", "task_type": null, "base_model_name_or_path": "/x"}"#,
        );
    }
}
