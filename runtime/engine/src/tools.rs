//! Tool calls: how families write them, out of text and as grammars.

use std::fmt::Write as _;

use serde_json::Value;
use weighbridge_inference_wire::{Failure, Tool, ToolChoice};

use crate::constrain::is_deep;
use crate::failure::invalid;
use crate::text::Text;

/// Most functions offered at once.
const TOOL_COUNT_MAX: usize = 128;
/// Longest name of a function.
const NAME_BYTES_MAX: usize = 256;
/// Most calls read out of one answer.
const CALL_COUNT_MAX: usize = 128;

/// How a family of models writes calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallFormat {
    /// `<tool_call>{"name", "arguments"}</tool_call>`: Hermes, Qwen.
    Hermes,
    /// `{"name", "parameters"}` as the whole answer, perhaps after
    /// `<|python_tag|>`: Llama 3.
    Llama,
    /// `[TOOL_CALLS]` and an array, or name and arguments: Mistral.
    Mistral,
    /// `<|tool_call|>` and an array: Phi 4.
    Phi,
}

impl CallFormat {
    /// The format a chat template speaks of; none if it knows no tools.
    #[must_use]
    pub fn of_template(template: &str) -> Option<Self> {
        let has = |mark: &str| template.contains(mark);
        if !has("tool") {
            None
        } else if has("[TOOL_CALLS]") {
            Some(Self::Mistral)
        } else if has("<|tool_call|>") {
            Some(Self::Phi)
        } else if has("<tool_call>") {
            Some(Self::Hermes)
        } else if has("<|python_tag|>") || (has("ipython") && has("parameters")) {
            Some(Self::Llama)
        } else {
            has("tools").then_some(Self::Hermes)
        }
    }

    /// What comes before a call.
    #[must_use]
    pub fn open(self) -> &'static str {
        match self {
            Self::Hermes => "<tool_call>",
            Self::Llama => "<|python_tag|>",
            Self::Mistral => "[TOOL_CALLS]",
            Self::Phi => "<|tool_call|>",
        }
    }

    /// What comes after it; calls without go on to the end of the answer.
    #[must_use]
    pub fn close(self) -> Option<&'static str> {
        match self {
            Self::Hermes => Some("</tool_call>"),
            Self::Phi => Some("<|/tool_call|>"),
            Self::Llama | Self::Mistral => None,
        }
    }

    /// Whether an answer that begins with a brace is a call.
    #[must_use]
    pub fn bare(self) -> bool {
        self == Self::Llama
    }

    /// Special tokens that mark calls, which [`Text`] would hide.
    #[must_use]
    pub fn marks(self, text: &Text) -> Vec<u32> {
        let further: &[&str] = if self == Self::Mistral { &["[ARGS]", "[CALL_ID]"] } else { &[] };
        [Some(self.open()), self.close()]
            .into_iter()
            .flatten()
            .chain(further.iter().copied())
            .filter_map(|mark| text.token(mark))
            .collect()
    }

    fn arguments(self) -> &'static str {
        if self == Self::Llama { "parameters" } else { "arguments" }
    }

    fn is_array(self) -> bool {
        matches!(self, Self::Mistral | Self::Phi)
    }
}

/// Names and arguments of the calls in `text`; `None` if it is anything else.
#[must_use]
pub fn parse_calls(format: CallFormat, text: &str) -> Option<Vec<(String, String)>> {
    let mut rest = text.trim();
    let mut calls = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix(format.open()) {
            rest = after.trim_start();
        }
        let name = rest.split(['{', '[']).next().unwrap_or_default().trim();
        let named = format == CallFormat::Mistral && !name.is_empty();
        if named {
            let json = rest.get(rest.find('{')?..)?;
            let (arguments, length) = first_value(json)?;
            calls.push((name.to_owned(), arguments_text(&arguments)?));
            rest = json.get(length..)?;
        } else {
            let (value, length) = first_value(rest)?;
            match value {
                Value::Array(items) => {
                    for item in &items {
                        calls.push(call(item)?);
                    }
                }
                item => calls.push(call(&item)?),
            }
            rest = rest.get(length..)?;
        }
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ';' || c == ',');
        if calls.len() > CALL_COUNT_MAX {
            return None;
        }
    }
    (!calls.is_empty()).then_some(calls)
}

/// The JSON value that `text` begins with, and its length.
fn first_value(text: &str) -> Option<(Value, usize)> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let value = values.next()?.ok()?;
    Some((value, values.byte_offset()))
}

fn call(value: &Value) -> Option<(String, String)> {
    // Some families wrap it as they saw it in the prompt.
    let value = value.get("function").filter(|inner| inner.is_object()).unwrap_or(value);
    let name = value.get("name")?.as_str().filter(|name| !name.is_empty() && name.len() <= NAME_BYTES_MAX)?;
    let arguments = value.get("arguments").or_else(|| value.get("parameters"));
    Some((name.to_owned(), arguments.map_or(Some("{}".to_owned()), arguments_text)?))
}

/// Arguments as the text of a JSON object.
fn arguments_text(arguments: &Value) -> Option<String> {
    match arguments {
        Value::Object(_) => Some(arguments.to_string()),
        Value::Null => Some("{}".to_owned()),
        Value::String(text) => {
            let inner: Value = serde_json::from_str(text).ok()?;
            inner.is_object().then(|| inner.to_string())
        }
        _ => None,
    }
}

/// Checks the tools a request offers.
///
/// # Errors
/// Too many, a name that is none, a choice that is not among them.
pub fn check(tools: &[Tool], choice: &ToolChoice) -> Result<(), Failure> {
    if tools.len() > TOOL_COUNT_MAX {
        return Err(invalid("tools", format!("`tools` has {} functions; at most {TOOL_COUNT_MAX} fit", tools.len())));
    }
    for tool in tools {
        let sound = !tool.name.is_empty()
            && tool.name.len() <= NAME_BYTES_MAX
            && tool.name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.:/".contains(c));
        if !sound {
            return Err(invalid(
                "tools",
                format!(
                    "a function is named `{}`; use up to {NAME_BYTES_MAX} letters, digits and _-.:/",
                    tool.name.chars().take(64).collect::<String>().escape_default()
                ),
            ));
        }
    }
    if let Some(tool) = tools.iter().find(|tool| tool.parameters.as_ref().is_some_and(is_deep)) {
        return Err(invalid("tools", format!("the parameters of `{}` are nested too deep; flatten them", tool.name)));
    }
    match choice {
        ToolChoice::Required if tools.is_empty() => {
            Err(invalid("tool_choice", "`tool_choice` is `required` but `tools` is empty; offer one"))
        }
        ToolChoice::Named(name) if tools.iter().all(|tool| &tool.name != name) => Err(invalid(
            "tool_choice",
            format!("`tool_choice` wants `{}`, which is not among `tools`", name.escape_default()),
        )),
        _ => Ok(()),
    }
}

/// A Lark grammar of calls of these tools in the model's own format: exactly
/// one call of `only` if named, else one or more where the format allows.
#[must_use]
pub fn grammar(format: CallFormat, tools: &[Tool], only: Option<&str>, text: &Text) -> String {
    let offered: Vec<&Tool> = tools.iter().filter(|tool| only.is_none_or(|only| tool.name == only)).collect();
    let open = mark(format.open(), text);
    let close = format.close().map(|close| mark(close, text)).unwrap_or_default();
    let many = only.is_none();
    let shape = match format {
        CallFormat::Hermes if many => {
            format!("start: wrapped (\"\\n\" wrapped)*\nwrapped: {open} \"\\n\" call \"\\n\" {close}")
        }
        CallFormat::Hermes => format!("start: {open} \"\\n\" call \"\\n\" {close}"),
        CallFormat::Llama => "start: call".to_owned(),
        CallFormat::Mistral | CallFormat::Phi if many => {
            format!("start: {open} \"[\" call (\", \" call)* \"]\" {close}")
        }
        CallFormat::Mistral | CallFormat::Phi => format!("start: {open} \"[\" call \"]\" {close}"),
    };
    debug_assert!(format.is_array() == shape.contains("\"[\""));
    let names: Vec<String> = (0..offered.len()).map(|number| format!("call_{number}")).collect();
    let mut grammar = format!("{shape}\ncall: {}\n", names.join(" | "));
    for (number, tool) in offered.iter().enumerate() {
        let head = format!("{{\"name\": {}, \"{}\": ", Value::from(tool.name.as_str()), format.arguments());
        let schema = match &tool.parameters {
            Some(Value::Object(schema)) => {
                let mut schema = schema.clone();
                schema.entry("type").or_insert_with(|| "object".into());
                Value::Object(schema).to_string()
            }
            _ => r#"{"type":"object"}"#.to_owned(),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(grammar, "call_{number}: {} arguments_{number} \"}}\"", Value::from(head));
        let _ = writeln!(grammar, "arguments_{number}: %json {schema}");
    }
    grammar
}

/// A mark as its special token, or as text where it is none.
fn mark(mark: &str, text: &Text) -> String {
    match text.token(mark).filter(|&token| text.is_special(token)) {
        Some(token) => format!("<[{token}]>"),
        None => Value::from(mark).to_string(),
    }
}

#[cfg(test)]
mod tests;
