//! YAML configurations: of NeMo, Hydra and Lightning wherever they are found,
//! of anything else beside a model.

mod places;
mod rules;

use serde_json::Value;

use crate::codec::{indicators, json, yaml};
use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Recognise, Scope, Sniff};

/// Registry entry of YAML beside models.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "yaml-config",
    name: "YAML configuration",
    extensions: &["yaml", "yml"],
    runs_code: false,
    is_model: false,
    scope: Scope::BesideModel,
    recognise: Recognise::Bytes(recognise),
    inspect,
    rules: &[&rules::OUTPUT_OUTSIDE, &yaml::rules::CODE_TAG, &yaml::rules::OBJECT_TAG, &yaml::rules::ALIAS_BOMB],
};

/// Registry entry of YAML that builds objects when it is read.
pub static CALLING: FormatSpec = FormatSpec {
    id: "hydra-config",
    name: "configuration that calls code",
    extensions: &["yaml", "yml"],
    runs_code: false,
    is_model: false,
    scope: Scope::Anywhere,
    recognise: Recognise::Bytes(recognise_calling),
    inspect,
    rules: &[],
};

/// Registry entry of JSON that does.
pub static CALLING_JSON: FormatSpec = FormatSpec {
    id: "hydra-json",
    name: "JSON configuration that calls code",
    extensions: &["json"],
    runs_code: false,
    is_model: false,
    scope: Scope::Anywhere,
    recognise: Recognise::Json(recognise_json),
    inspect: inspect_json,
    rules: &[],
};

/// Names under which frameworks look for a model's configuration.
const NAMES: &[&str] = &["model_config.yaml", "hparams.yaml", "hyperparams.yaml"];
/// What stands in text that builds objects when it is read.
const CALLS: &[&[u8]] = &[
    b"_target_:",
    b"_target_\":",
    b"_target_':",
    b"_component_:",
    b"!!python/",
    b"tag:yaml.org,2002:python/",
    b"!apply:",
    b"!applyref:",
    b"!new:",
    b"!!javax.",
    b"!ruby/object",
];
/// Keys of JSON that do.
const CALLING_KEYS: &[&str] =
    &["_target_", "_component_", "py/reduce", "py/object", "py/function", "py/type", "py/repr"];
/// Largest JSON document inspected, bytes.
const JSON_BYTES_MAX: usize = 16 << 20;

fn is_text(sniff: &Sniff<'_>) -> bool {
    let utf16 = sniff.starts_with(b"\xff\xfe") || sniff.starts_with(b"\xfe\xff");
    !sniff.head.is_empty() && (utf16 || !sniff.head.contains(&0))
}

fn recognise(sniff: &Sniff<'_>) -> Confidence {
    if sniff.name.has_extension(&["yaml", "yml", "dvc"]) && is_text(sniff) {
        Confidence::Plausible
    } else {
        Confidence::No
    }
}

fn recognise_calling(sniff: &Sniff<'_>) -> Confidence {
    if !sniff.name.has_extension(&["yaml", "yml"]) || !is_text(sniff) {
        return Confidence::No;
    }
    let calls = || CALLS.iter().any(|mark| sniff.contains(mark));
    if NAMES.contains(&sniff.name.as_str()) || calls() { Confidence::Likely } else { Confidence::No }
}

fn recognise_json(value: &Value, _: &Sniff<'_>) -> Confidence {
    let mut queue = vec![value];
    while let Some(value) = queue.pop() {
        match value {
            Value::Array(items) => queue.extend(items),
            Value::Object(map) => {
                if CALLING_KEYS.iter().any(|key| map.contains_key(*key)) {
                    return Confidence::Plausible;
                }
                queue.extend(map.values());
            }
            _ => {}
        }
    }
    Confidence::No
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let document = yaml::parse(input)?;
    yaml::inspect(ctx, &document)?;
    for value in &document.values {
        facts(ctx, value);
        places::inspect(ctx, value)?;
        indicators::inspect_value(ctx, value)?;
    }
    document.stopped.map_or(Ok(()), Err)
}

fn inspect_json(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    crate::formats::hf_config::inspect_document(ctx, &json::parse(input, JSON_BYTES_MAX)?)
}

/// NeMo's class and version; Hydra's outermost target.
fn facts(ctx: &mut Inspection<'_>, value: &Value) {
    for (key, fact) in
        [("target", "architecture"), ("_target_", "architecture"), ("nemo_version", "producer"), ("name", "name")]
    {
        if let Some(text) = value.get(key).and_then(Value::as_str) {
            ctx.fact(fact, text);
        }
    }
}

#[cfg(test)]
mod tests;
