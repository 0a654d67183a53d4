use serde_json::Value;

use crate::codec::json;
use crate::core::{FormatError, Input, Inspection};

use super::{operator_rule, rules};

/// Largest program read.
const PROGRAM_BYTES_MAX: usize = 64 << 20;
/// Findings about one program.
const FINDINGS_MAX: u32 = 50;

/// Walks a program of Paddle 3: operators are objects whose `#` is the name,
/// with dialects shortened to digits (`1.relu` is `pd_op.relu`).
pub fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let document = json::parse(input, PROGRAM_BYTES_MAX)?;
    if let Some(version) = document.value.pointer("/base_code/version").and_then(Value::as_u64) {
        ctx.fact("format_version", version);
    }
    let mut found = 0;
    let mut open = vec![&document.value];
    while let Some(value) = open.pop() {
        ctx.work(1)?;
        match value {
            Value::Array(items) => open.extend(items),
            Value::Object(map) => {
                if let Some(Value::String(name)) = map.get("#")
                    && found < FINDINGS_MAX
                {
                    found += u32::from(operator(ctx, name, map.get("A")));
                }
                open.extend(map.values());
            }
            _ => {}
        }
    }
    Ok(())
}

/// Reports an operator; returns whether there was something to say.
fn operator(ctx: &mut Inspection<'_>, name: &str, attributes: Option<&Value>) -> bool {
    let (dialect, operator) = name.split_once('.').unwrap_or(("", name));
    let attributes = attributes.map(Value::to_string).unwrap_or_default();
    if let Some((rule, does)) = operator_rule(operator.trim_end_matches('_')) {
        ctx.find(rule, None, format!("{name} {does}: {attributes}"));
    } else if dialect == "custom_op" {
        ctx.find(&rules::CUSTOM, None, format!("operator `{name}`: {attributes}"));
    } else {
        return false;
    }
    true
}
