//! Plain scalars as PyYAML reads them (YAML 1.1 booleans included).

use serde_json::Value;

use crate::codec::config::excerpt;

/// Prefix of the core schema's tags (YAML 1.2.2, section 10.3).
pub(super) const CORE: &str = "tag:yaml.org,2002:";

/// Types of the core schema and of YAML 1.1: no loader runs code for them.
const TYPES: &[&str] = &[
    "str",
    "int",
    "float",
    "bool",
    "null",
    "map",
    "seq",
    "set",
    "omap",
    "pairs",
    "binary",
    "timestamp",
    "merge",
    "value",
];

/// Whether `tag` is one of [`TYPES`], or the `!` that only says "not plain".
pub(super) fn is_core(tag: &str) -> bool {
    tag == "!" || tag.strip_prefix(CORE).is_some_and(|name| TYPES.contains(&name))
}

/// The value of a scalar.
pub(super) fn value(text: &str, plain: bool, tag: Option<&str>) -> Value {
    if !plain || tag == Some("!") || tag.and_then(|t| t.strip_prefix(CORE)) == Some("str") {
        return text.into();
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => return true.into(),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => return false.into(),
        _ => {}
    }
    if !text.starts_with(['-', '+', '.', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']) || text.len() > 40 {
        return text.into();
    }
    if let Ok(n) = text.parse::<i64>() {
        return n.into();
    }
    match text.parse::<f64>() {
        Ok(n) if n.is_finite() => n.into(),
        _ => text.into(),
    }
}

/// A mapping key as text.
pub(super) fn key(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => excerpt(other, 128),
    }
}
