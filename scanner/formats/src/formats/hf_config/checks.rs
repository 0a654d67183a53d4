//! Keys of Hugging Face configurations that decide which code runs.

use serde_json::Value;
use weighbridge_types::{LinkKind, Shown};

use crate::codec::config::{Place, excerpt, instantiate, walk};
use crate::codec::indicators;
use crate::codec::json::Document;
use crate::core::{FormatError, Inspection};
use crate::formats::hf_config::reference::{Reference, parse};
use crate::formats::hf_config::{rules, templates};

/// Keys that name an attention or experts implementation.
const KERNEL_KEYS: &[&str] = &[
    "_attn_implementation_internal",
    "_attn_implementation",
    "attn_implementation",
    "_experts_implementation_internal",
    "_experts_implementation",
    "experts_implementation",
];

/// Inspects everything a configuration of Hugging Face's libraries can hold,
/// in `document` and in the values that duplicate keys replaced.
///
/// # Errors
/// When the work budget is spent.
pub(crate) fn inspect_document(ctx: &mut Inspection<'_>, document: &Document) -> Result<(), FormatError> {
    instantiate::inspect(ctx, &document.value, "")?;
    instantiate::inspect_duplicates(ctx, &document.duplicates)?;
    inspect_keys(ctx, &document.value, "")?;
    templates::inspect_templates(ctx, &document.value);
    for (path, replaced) in &document.duplicates {
        let (parent, key) = path.rsplit_once('.').unwrap_or(("", path));
        let value = instantiate::replaced_as_object(key, replaced);
        inspect_keys(ctx, &value, parent)?;
        templates::inspect_templates(ctx, &value);
    }
    indicators::inspect_value(ctx, &document.value)
}

fn inspect_keys(ctx: &mut Inspection<'_>, value: &Value, place: &str) -> Result<(), FormatError> {
    walk(ctx, &Place::root(place), value, &mut |ctx, place, value| {
        let Some(key) = place.own_key() else { return };
        match key {
            "auto_map" => each_text(value, &mut |text| report_reference(ctx, place, text)),
            "custom_pipelines" => {
                let pipelines = value.as_object().into_iter().flat_map(|m| m.values());
                for name in pipelines.filter_map(|p| p.get("impl").and_then(Value::as_str)) {
                    report_reference(ctx, place, name);
                }
            }
            "custom_generate" => {
                if let Some(text) = value.as_str().filter(|t| t.contains('/')) {
                    ctx.find(&rules::REMOTE_CODE, None, format!("{place}: generation code of `{text}`"));
                }
            }
            "trust_remote_code" if is_true(value) => {
                ctx.find(&rules::TRUST_REMOTE_CODE, None, format!("`{place}` is {}", excerpt(value, 20)));
            }
            "custom_ops_library" => {
                if let Some(file) = value.as_str().filter(|file| !file.is_empty()) {
                    ctx.find(&rules::CUSTOM_OPS_LIBRARY, None, format!("{place}: `{}`", Shown(file)));
                }
            }
            _ if KERNEL_KEYS.contains(&key) => each_text(value, &mut |text| kernel(ctx, place, text)),
            _ => {}
        }
    })
}

/// Reports the class that `text` names, and links its file.
pub(crate) fn report_reference(ctx: &mut Inspection<'_>, place: &Place<'_>, text: &str) {
    match parse(text) {
        Reference::Local { file } => {
            ctx.find(&rules::LOCAL_CODE, None, format!("{place}: `{text}` in `{file}`"));
            ctx.link(LinkKind::Code, &file);
        }
        Reference::Remote { repository } => {
            ctx.find(&rules::REMOTE_CODE, None, format!("{place}: `{text}` of `{repository}`"));
        }
        Reference::Outside(why) => ctx.find(&rules::CODE_OUTSIDE, None, format!("{place}: `{text}` {why}")),
    }
}

/// An implementation with a `/` is fetched from that repository and imported.
fn kernel(ctx: &mut Inspection<'_>, place: &Place<'_>, text: &str) {
    let repository = text.rsplit('|').next().unwrap_or_default();
    if !repository.contains('/') {
        return;
    }
    let rule =
        if repository.starts_with("kernels-community/") { &rules::KERNEL_OF_HUB } else { &rules::KERNEL_REPOSITORY };
    ctx.find(rule, None, format!("{place}: `{text}`"));
}

fn is_true(value: &Value) -> bool {
    match value {
        Value::Bool(b) => *b,
        Value::String(text) => text.eq_ignore_ascii_case("true"),
        Value::Number(n) => n.as_u64() == Some(1),
        _ => false,
    }
}

/// Calls `f` for `value` if it is text, and for the texts directly in it.
fn each_text(value: &Value, f: &mut dyn FnMut(&str)) {
    match value {
        Value::String(text) => f(text),
        Value::Array(items) => items.iter().filter_map(Value::as_str).for_each(f),
        Value::Object(map) => map.values().for_each(|v| match v {
            Value::String(text) => f(text),
            Value::Array(items) => items.iter().filter_map(Value::as_str).for_each(&mut *f),
            _ => {}
        }),
        _ => {}
    }
}
