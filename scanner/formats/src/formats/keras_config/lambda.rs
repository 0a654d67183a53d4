//! Python functions stored in a configuration: Lambda layers and `__lambda__`
//! values. Keras stores the marshalled code object as base64, with defaults
//! and closure (`keras.src.utils.python_utils.func_dump`).

use serde_json::Value;

use super::names::{self, Meaning};
use super::walk::{Place, Walker, shown};
use super::{blob, rules};
use crate::codec::marshal;

/// Arguments of a Lambda layer that may hold a function.
const FUNCTION_KEYS: &[&str] = &["function", "output_shape", "mask"];
/// Most names shown of harmless code.
const NAMES_SHOWN_MAX: usize = 12;

/// A Lambda layer with this configuration. Functions given as objects are
/// looked at where the walk meets them.
pub(super) fn layer(walker: &mut Walker<'_, '_>, config: &Value, place: Place<'_>) {
    for key in FUNCTION_KEYS {
        let kind = config.get(format!("{key}_type")).and_then(Value::as_str).unwrap_or_default();
        let value = config.get(key).map(untupled);
        match value {
            Some(Value::Array(parts)) if parts.first().is_some_and(Value::is_string) => {
                stored(walker, value.unwrap_or(&Value::Null), place);
            }
            Some(Value::String(name)) if kind == "function" || kind.is_empty() && is_name(name) && !is_code(name) => {
                named(walker, config, name, place);
            }
            Some(function @ Value::String(_)) if *key == "function" || kind == "lambda" => {
                stored(walker, function, place);
            }
            None if *key == "function" => {
                walker.find(&rules::LAMBDA, place.layer, place, "a Lambda layer without a function");
            }
            _ => {}
        }
    }
}

/// The items of a tuple, which SavedModels spell as an object.
fn untupled(value: &Value) -> &Value {
    let is_tuple = value.get("class_name").and_then(Value::as_str) == Some("__tuple__");
    value.get("items").filter(|_| is_tuple).unwrap_or(value)
}

/// A function by name: looked up among what the loader has registered, or in
/// the module that the layer names.
fn named(walker: &mut Walker<'_, '_>, config: &Value, name: &str, place: Place<'_>) {
    let module = config.get("module").and_then(Value::as_str).filter(|m| *m != "__main__");
    let unsafe_name = names::is_dangerous_call(name);
    let rule = match names::meaning(module, name, None, true) {
        Meaning::Unsafe => &rules::UNSAFE_REFERENCE,
        _ if unsafe_name => &rules::UNSAFE_REFERENCE,
        Meaning::Known => return,
        Meaning::Custom | Meaning::Unknown => &rules::LAMBDA,
    };
    walker.find(rule, name, place, format_args!("a Lambda layer calls `{}`", shown(name)));
}

/// Stored code: base64 text, or a list that starts with it.
pub(super) fn stored(walker: &mut Walker<'_, '_>, function: &Value, place: Place<'_>) {
    let code = function.as_array().and_then(|parts| parts.first()).unwrap_or(function);
    let Some(text) = code.as_str() else {
        walker.find(&rules::LAMBDA, place.layer, place, "a stored function of a form that is not known");
        return;
    };
    let decoded = blob::decoded(text);
    // Keras before 2.0 stored the bytes themselves, one character each.
    let plain: Vec<u8> = text.chars().filter_map(|c| u8::try_from(u32::from(c)).ok()).collect();
    let title = place.to_string();
    for bytes in [&decoded, &plain] {
        if let Some(code) = marshal::read(bytes) {
            marshal::inspect(walker.ctx, bytes, &title);
            let names: Vec<_> = code.names.iter().take(NAMES_SHOWN_MAX).map(|n| format!("`{}`", shown(n))).collect();
            let names = if names.is_empty() { "no names".to_owned() } else { names.join(", ") };
            let detail = format!("{} uses {names}", code.title());
            walker.find(&rules::LAMBDA, place.layer, place, detail);
            return;
        }
    }
    for bytes in [&decoded, &plain] {
        if let Some(danger) = marshal::danger_in_bytes(bytes) {
            walker.find(&rules::DANGEROUS_CODE, place.layer, place, format_args!("a stored function holds `{danger}`"));
            return;
        }
    }
    let detail = format!("a stored function that is no code object of any Python: `{}`", shown(text));
    walker.find(&rules::LAMBDA, place.layer, place, detail);
}

/// Whether `text` is base64 of bytecode or source.
fn is_code(text: &str) -> bool {
    let bytes = blob::decoded(text);
    marshal::read(&bytes).is_some() || marshal::danger_in_bytes(&bytes).is_some()
}

/// Whether `text` could be the name of a function.
fn is_name(text: &str) -> bool {
    text.len() < 100 && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '>'))
}
