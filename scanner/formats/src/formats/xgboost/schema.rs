//! What the document says, in either encoding.

use base64::Engine;
use serde_json::Value;

use super::{rules, trees};
use crate::codec::{indicators, python};
use crate::core::{FormatError, Input, Inspection};
use crate::formats::pickle;

/// Most features, classes, targets and trees that a model plausibly has.
pub const COUNT_MAX: u32 = 1 << 28;
/// Most classes.
const CLASSES_MAX: u32 = 1 << 24;
/// Longest attribute looked at as source text.
const SOURCE_BYTES_MAX: usize = 64 * 1024;
/// Longest attribute decoded.
const ENCODED_BYTES_MAX: usize = 16 << 20;
/// Boosters there are.
const BOOSTERS: &[&str] = &["gbtree", "gblinear", "dart"];

/// Whether `name` is one that XGBoost gives objectives, metrics and boosters.
pub fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 128
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b":_-@.".contains(&b))
        && !name.contains("..")
}

/// Inspects the document.
pub fn inspect(ctx: &mut Inspection<'_>, document: &Value) -> Result<(), FormatError> {
    if let Some(version) = document.get("version").and_then(Value::as_array) {
        let parts: Vec<_> = version.iter().take(3).map(Value::to_string).collect();
        ctx.fact("format_version", parts.join("."));
    }
    let Some(learner) = document.get("learner").filter(|v| v.is_object()) else {
        return Err(FormatError::malformed("learner", 0, "no object of that name"));
    };
    let parameter = |name: &str| learner.get("learner_model_param").and_then(|p| p.get(name));
    for (name, key, max) in [
        ("num_feature", "features", COUNT_MAX),
        ("num_class", "classes", CLASSES_MAX),
        ("num_target", "targets", CLASSES_MAX),
    ] {
        if let Some(n) = count(ctx, name, parameter(name), max) {
            ctx.fact(key, n);
        }
    }
    if let Some(names) = learner.get("feature_names").and_then(Value::as_array).filter(|n| !n.is_empty()) {
        ctx.fact("feature_names", names.len());
    }
    for (pointer, key) in [("/objective/name", "objective"), ("/gradient_booster/name", "booster")] {
        let Some(name) = learner.pointer(pointer).and_then(Value::as_str) else { continue };
        if !is_name(name) || key == "booster" && !BOOSTERS.contains(&name) {
            ctx.find(&rules::ODD_NAME, None, format!("{key} `{name}`"));
        }
        ctx.fact(key, name);
    }
    attributes(ctx, learner);
    let booster = learner.get("gradient_booster");
    // DART wraps the trees of `gbtree`.
    let model = booster.and_then(|b| b.get("model").or_else(|| b.pointer("/gbtree/model")));
    let Some(model) = model else { return Ok(()) };
    let stated = count(ctx, "num_trees", model.pointer("/gbtree_model_param/num_trees"), COUNT_MAX);
    let features = parameter("num_feature").and_then(number).and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
    trees::inspect(ctx, model, stated, features)
}

/// A count, which both encodings keep as text.
pub fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// A count, held against `max`.
fn count(ctx: &mut Inspection<'_>, name: &str, value: Option<&Value>, max: u32) -> Option<u64> {
    let value = value?;
    let n = number(value).and_then(|n| u64::try_from(n).ok()).filter(|n| *n <= max.into());
    if n.is_none() {
        ctx.find(&rules::BAD_COUNT, None, format!("{name}={value}"));
    }
    n
}

/// Texts that programs keep with the model.
fn attributes(ctx: &mut Inspection<'_>, learner: &Value) {
    for (key, value) in learner.get("attributes").and_then(Value::as_object).into_iter().flatten().take(10_000) {
        let Some(text) = value.as_str() else { continue };
        indicators::inspect_text(ctx, text, key);
        if let Some(content) = pickled(text) {
            ctx.find(&rules::PICKLED_ATTRIBUTE, None, format!("attribute `{key}`"));
            ctx.child(key, &content);
        } else if text.len() <= SOURCE_BYTES_MAX
            && let Some(call) = python::analyse(text).calls.iter().find(|call| call.danger.is_some())
        {
            ctx.find(
                &rules::CODE_ATTRIBUTE,
                None,
                format!("attribute `{key}` calls `{}`: {}", call.name, call.evidence),
            );
        }
    }
}

/// The pickle that `text` holds in base64, if it does.
fn pickled(text: &str) -> Option<Input> {
    let text = text.trim();
    if !(16..=ENCODED_BYTES_MAX).contains(&text.len()) {
        return None;
    }
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).ok()?;
    let content = Input::bytes(bytes);
    pickle::begins(&content).then_some(content)
}
