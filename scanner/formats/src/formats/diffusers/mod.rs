//! Pipelines and components of diffusers: `model_index.json`, and the
//! `config.json` of each component.

mod rules;

use serde_json::Value;
use weighbridge_types::LinkKind;

use crate::codec::config::callables::{Callable, judge};
use crate::codec::config::{Place, leaves_folder};
use crate::codec::{config, json};
use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Recognise, Scope, Sniff};
use crate::formats::hf_config::{JSON_BYTES_MAX, inspect_document, report_reference};

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "diffusers",
    name: "diffusers configuration",
    extensions: &["json"],
    runs_code: false,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Json(recognise),
    inspect,
    rules: &[&rules::LOCAL_COMPONENT, &rules::COMPONENT_OUTSIDE],
};

/// Libraries that components are taken from without code of the repository
/// (`LOADABLE_CLASSES` of diffusers, and packages that plug in there).
const LIBRARIES: &[&str] = &[
    "diffusers",
    "transformers",
    "onnxruntime",
    "onnxruntime.training",
    "optimum",
    "peft",
    "flax",
    "k_diffusion",
    "stable_diffusion",
    "sentence_transformers",
    "torch",
    "tokenizers",
];

fn recognise(value: &Value, sniff: &Sniff<'_>) -> Confidence {
    let class = value.get("_class_name").is_some_and(|c| c.is_string() || c.is_array());
    let version = value.get("_diffusers_version").is_some_and(Value::is_string);
    if class && version {
        Confidence::Certain
    } else if class && sniff.name.as_str() == "model_index.json" {
        Confidence::Likely
    } else {
        Confidence::No
    }
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let document = json::parse(input, JSON_BYTES_MAX)?;
    let Value::Object(map) = &document.value else { return Ok(()) };
    let root = Place::root("");
    if let Some(version) = map.get("_diffusers_version") {
        ctx.fact("producer", version.clone());
    }
    match map.get("_class_name") {
        Some(Value::String(class)) => ctx.fact("architecture", class.as_str()),
        // `[file, class]`: the pipeline itself is code of the repository.
        Some(Value::Array(pair)) => {
            if let [Some(file), Some(class)] = [0, 1].map(|n| pair.get(n).and_then(Value::as_str)) {
                ctx.fact("architecture", class);
                report_reference(ctx, &root.key("_class_name"), &format!("{file}.{class}"));
            }
        }
        _ => {}
    }
    for (name, component) in map.iter().filter(|(name, _)| !name.starts_with('_')) {
        ctx.work(1)?;
        if let Some([Value::String(library), Value::String(class)]) = component.as_array().map(Vec::as_slice) {
            inspect_component(ctx, name, library, class);
        }
    }
    inspect_document(ctx, &document)
}

/// One `"unet": ["diffusers", "UNet2DConditionModel"]`: the library is
/// imported and the class taken from it.
fn inspect_component(ctx: &mut Inspection<'_>, name: &str, library: &str, class: &str) {
    // Plain lists of two words (block types) look alike.
    let is_pair_of_names = |text: &str| !text.is_empty() && !text.contains(char::is_whitespace);
    if !is_pair_of_names(library) || !is_pair_of_names(class) {
        return;
    }
    let shown = format!("{name}: [`{library}`, `{class}`]");
    if let Some(why) = leaves_folder(library).or_else(|| leaves_folder(name)).or_else(|| leaves_folder(class)) {
        return ctx.find(&rules::COMPONENT_OUTSIDE, None, format!("{shown} {why}"));
    }
    if let Callable::Dangerous(why) = judge(&format!("{library}.{class}")) {
        return ctx.find(&config::rules::DANGEROUS_CALLABLE, None, format!("{shown} {why}"));
    }
    let root = library.split('.').next().unwrap_or_default();
    let known = LIBRARIES.contains(&library) || LIBRARIES.contains(&root) || judge(library) == Callable::Known;
    let lower_case_module =
        library.chars().all(|c| c == '_' || c == '.' || c.is_ascii_lowercase() || c.is_ascii_digit());
    let class_name = class.starts_with(|c: char| c.is_ascii_uppercase());
    if !known && lower_case_module && class_name {
        ctx.find(&rules::LOCAL_COMPONENT, None, shown);
        ctx.link(LinkKind::Code, &format!("{name}/{}.py", library.replace('.', "/")));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use weighbridge_types::Verdict;

    use crate::core::Outcome;
    use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};

    fn pipeline(unet: Value) -> Outcome {
        let document = json!({
            "_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.30.0",
            "safety_checker": [null, null], "requires_safety_checker": false,
            "tokenizer": ["transformers", "CLIPTokenizer"], "unet": unet,
        });
        inspect_bytes("model_index.json", document.to_string().as_bytes())
    }

    #[test]
    fn components_of_known_libraries_are_clean() {
        let outcome = pipeline(json!(["diffusers", "UNet2DConditionModel"]));
        assert_eq!((outcome.format, outcome.findings.len()), (Some("diffusers"), 0));
        assert_eq!(outcome.metadata["architecture"], "StableDiffusionPipeline");
    }

    #[test]
    fn components_of_the_repository_are_noted_and_linked() {
        let outcome = pipeline(json!(["my_unet", "MyUNet"]));
        assert_eq!((rules(&outcome), verdict(&outcome)), (vec!["diffusers-local-component"], Verdict::Clean));
        assert_eq!(outcome.links[0].target, "unet/my_unet.py");
    }

    #[test]
    fn modules_that_run_commands_and_paths_are_malicious() {
        for unet in [json!(["os", "system"]), json!(["subprocess", "Popen"]), json!(["../../evil", "Model"])] {
            assert_eq!(verdict(&pipeline(unet.clone())), Verdict::Malicious, "{unet}");
        }
    }

    #[test]
    fn lists_of_block_types_are_no_components() {
        let document = json!({
            "_class_name": "UNet2DModel", "_diffusers_version": "0.30.0",
            "down_block_types": ["DownBlock2D", "AttnDownBlock2D"], "act_fn": "silu",
        });
        let outcome = inspect_bytes("config.json", document.to_string().as_bytes());
        assert_eq!((outcome.format, outcome.findings.len()), (Some("diffusers"), 0));
        survives_damage("config.json", document.to_string().as_bytes());
    }
}
