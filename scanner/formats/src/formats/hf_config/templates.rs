//! Chat templates inside JSON: one text, a list of named ones, or an object.

use serde_json::Value;

use crate::codec::jinja;
use crate::core::Inspection;

/// Most templates in one file.
const TEMPLATES_MAX: usize = 64;

/// Inspects the templates under `chat_template`, records the default one.
pub(super) fn inspect_templates(ctx: &mut Inspection<'_>, value: &Value) {
    match value.get("chat_template") {
        Some(Value::String(template)) => {
            ctx.fact("chat_template", template.as_str());
            jinja::inspect(ctx, template, "chat_template");
        }
        Some(Value::Array(named)) => {
            for entry in named.iter().take(TEMPLATES_MAX) {
                let name = entry.get("name").and_then(Value::as_str).unwrap_or("unnamed");
                if let Some(template) = entry.get("template").and_then(Value::as_str) {
                    inspect_named(ctx, name, template);
                }
            }
        }
        Some(Value::Object(named)) => {
            for (name, template) in named.iter().take(TEMPLATES_MAX) {
                if let Value::String(template) = template {
                    inspect_named(ctx, name, template);
                }
            }
        }
        _ => {}
    }
}

fn inspect_named(ctx: &mut Inspection<'_>, name: &str, template: &str) {
    if name == "default" {
        ctx.fact("chat_template", template);
    }
    jinja::inspect(ctx, template, &format!("chat_template.{name}"));
}
