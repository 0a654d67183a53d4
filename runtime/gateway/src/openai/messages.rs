//! What was said so far, and the functions that may be called.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use weighbridge_inference_wire as wire;

use crate::problem::{Problem, Result};

/// Most functions of one request, as the engine has it.
const TOOLS_MAX: usize = 128;

/// One thing said.
#[derive(Debug, Clone, Deserialize, ToSchema)]
pub(crate) struct Message {
    /// `system`, `developer`, `user`, `assistant`, `tool`.
    #[schema(min_length = 1, max_length = 64)]
    pub role: String,
    /// Text, or parts of it.
    #[serde(default)]
    pub content: Option<Content>,
    #[serde(default)]
    pub name: Option<String>,
    /// What the assistant called.
    #[serde(default)]
    pub tool_calls: Option<Vec<ToolCall>>,
    /// Which call a tool answers.
    #[serde(default)]
    pub tool_call_id: Option<String>,
}

/// Text, or parts of it.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(untagged, expecting = "a text or a list of parts, each with a known `type` and its text")]
pub(crate) enum Content {
    Text(String),
    Parts(Vec<ContentPart>),
}

/// A part of what was said. Only text is understood.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(try_from = "RawPart", tag = "type", rename_all = "snake_case")]
pub(crate) enum ContentPart {
    Text { text: String },
    InputText { text: String },
    OutputText { text: String },
    Refusal { refusal: String },
    ImageUrl(Unread),
    InputImage(Unread),
    InputAudio(Unread),
    File(Unread),
    InputFile(Unread),
}

/// What parts consist of. Their kind is a text: serde would take its number.
#[derive(Deserialize)]
struct RawPart {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
    refusal: Option<String>,
}

impl TryFrom<RawPart> for ContentPart {
    type Error = String;

    fn try_from(part: RawPart) -> std::result::Result<Self, String> {
        let missing = |field: &str| format!("a part of the content has no `{field}`");
        let text = part.text.ok_or_else(|| missing("text"));
        Ok(match part.kind.as_str() {
            "text" => Self::Text { text: text? },
            "input_text" => Self::InputText { text: text? },
            "output_text" => Self::OutputText { text: text? },
            "refusal" => Self::Refusal { refusal: part.refusal.ok_or_else(|| missing("refusal"))? },
            "image_url" => Self::ImageUrl(Unread {}),
            "input_image" => Self::InputImage(Unread {}),
            "input_audio" => Self::InputAudio(Unread {}),
            "file" => Self::File(Unread {}),
            "input_file" => Self::InputFile(Unread {}),
            _ => return Err("a part of the content is of no known type".to_owned()),
        })
    }
}

/// What is refused whatever it holds.
#[derive(Debug, Clone, Deserialize, ToSchema)]
pub(crate) struct Unread {}

impl Content {
    /// The text of all parts.
    pub fn text(self, field: &str) -> Result<String> {
        let parts = match self {
            Self::Text(text) => return Ok(text),
            Self::Parts(parts) => parts,
        };
        let mut all = String::new();
        for part in parts {
            match part {
                ContentPart::Text { text }
                | ContentPart::InputText { text }
                | ContentPart::OutputText { text }
                | ContentPart::Refusal { refusal: text } => all.push_str(&text),
                other => {
                    let what = match other {
                        ContentPart::ImageUrl(_) | ContentPart::InputImage(_) => "images",
                        ContentPart::InputAudio(_) => "sound",
                        _ => "files",
                    };
                    let message = format!("the models served here read text, not {what}; leave that part out");
                    return Err(Problem::field(field, message));
                }
            }
        }
        Ok(all)
    }
}

/// A call, as it stands in messages and answers.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct ToolCall {
    pub id: String,
    /// Always `function`.
    #[serde(rename = "type", default = "function")]
    pub kind: String,
    pub function: CalledFunction,
}

/// Which function, with what.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct CalledFunction {
    pub name: String,
    /// A JSON object, as text.
    pub arguments: String,
}

fn function() -> String {
    "function".to_owned()
}

/// A function the model may call.
#[derive(Debug, Clone, Deserialize, ToSchema)]
pub(crate) struct Tool {
    /// Always `function`.
    #[serde(rename = "type")]
    #[expect(dead_code, reason = "its type is checked, its value has no use")]
    pub kind: ToolKind,
    pub function: Function,
}

#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ToolKind {
    Function,
}

/// Its name and arguments.
#[derive(Debug, Clone, Deserialize, ToSchema)]
pub(crate) struct Function {
    #[schema(min_length = 1, max_length = 128)]
    pub name: String,
    #[serde(default)]
    pub description: Option<String>,
    /// JSON schema.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub parameters: Option<serde_json::Map<String, Value>>,
}

/// Whether functions are to be called: `auto`, `none`, `required`, or which.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(untagged, expecting = "`auto`, `none`, `required` or {\"type\": \"function\", \"function\": {\"name\": …}}")]
pub(crate) enum ToolChoice {
    Mode(ChoiceMode),
    Named(NamedChoice),
}

#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ChoiceMode {
    Auto,
    None,
    Required,
}

/// `{"type": "function", "function": {"name": …}}`
#[derive(Debug, Clone, Deserialize, ToSchema)]
pub(crate) struct NamedChoice {
    #[serde(rename = "type")]
    #[expect(dead_code, reason = "its type is checked, its value has no use")]
    pub kind: ToolKind,
    pub function: ChosenFunction,
}

#[derive(Debug, Clone, Deserialize, ToSchema)]
pub(crate) struct ChosenFunction {
    pub name: String,
}

impl Function {
    pub fn wire(self) -> Result<wire::Tool> {
        if self.name.is_empty() || self.name.len() > 128 {
            return Err(Problem::field("tools", "the name of a function has 1 to 128 bytes"));
        }
        Ok(wire::Tool {
            name: self.name,
            description: self.description,
            parameters: self.parameters.map(Value::Object),
        })
    }
}

pub(crate) fn tools(list: Vec<Function>) -> Result<Vec<wire::Tool>> {
    if list.len() > TOOLS_MAX {
        return Err(Problem::field("tools", format!("there are more than {TOOLS_MAX} tools")));
    }
    list.into_iter().map(Function::wire).collect()
}

/// Whether what must be called is there.
pub(crate) fn choice(choice: Option<ToolChoice>, tools: &[wire::Tool]) -> Result<wire::ToolChoice> {
    let wrong = |message: String| Err(Problem::field("tool_choice", message));
    match choice {
        None | Some(ToolChoice::Mode(ChoiceMode::Auto)) => Ok(wire::ToolChoice::Auto),
        Some(ToolChoice::Mode(ChoiceMode::None)) => Ok(wire::ToolChoice::None),
        Some(ToolChoice::Mode(ChoiceMode::Required)) if tools.is_empty() => {
            wrong("`tool_choice` is `required`, but there are no `tools`".to_owned())
        }
        Some(ToolChoice::Mode(ChoiceMode::Required)) => Ok(wire::ToolChoice::Required),
        Some(ToolChoice::Named(named)) => {
            let name = named.function.name;
            if tools.iter().all(|t| t.name != name) {
                let shown: String = name.chars().take(128).collect();
                return wrong(format!("`{}` is not among the `tools`", shown.escape_debug()));
            }
            Ok(wire::ToolChoice::Named(name))
        }
    }
}

pub(crate) fn messages(list: Vec<Message>) -> Result<Vec<wire::Message>> {
    if list.is_empty() {
        return Err(Problem::field("messages", "`messages` is empty; say something"));
    }
    let one = |(at, message): (usize, Message)| {
        let field = format!("messages[{at}].content");
        if message.role.is_empty() || message.role.len() > 64 {
            return Err(Problem::field(format!("messages[{at}].role"), "a role has 1 to 64 bytes"));
        }
        // OpenAI's newer name for what every template calls so.
        let role = if message.role == "developer" { "system".to_owned() } else { message.role };
        let calls = message.tool_calls.unwrap_or_default();
        Ok(wire::Message {
            role,
            content: message.content.map_or(Ok(String::new()), |c| c.text(&field))?,
            name: message.name,
            tool_calls: calls
                .into_iter()
                .map(|call| made(call.id, call.function.name, &call.function.arguments))
                .collect::<Result<_>>()?,
            tool_call_id: message.tool_call_id,
        })
    };
    list.into_iter().enumerate().map(one).collect()
}

/// A call made earlier. What a model wrote is not always JSON; it is kept as
/// text then, as templates print it anyhow.
pub(crate) fn made(id: String, name: String, arguments: &str) -> Result<wire::ToolCall> {
    let arguments = match arguments.trim() {
        "" => Value::Object(serde_json::Map::new()),
        text => serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned())),
    };
    Ok(wire::ToolCall { id, name, arguments })
}

/// Calls of an answer. Their identifiers are made from that of the request.
pub(crate) fn calls_of(id: &str, choice: usize, calls: &[wire::Call]) -> Vec<ToolCall> {
    calls
        .iter()
        .map(|call| ToolCall {
            id: call_id(id, choice, call.index),
            kind: function(),
            function: CalledFunction { name: call.name.clone(), arguments: call.arguments.clone() },
        })
        .collect()
}

pub(crate) fn call_id(id: &str, choice: usize, index: u32) -> String {
    format!("call_{id}-{choice}-{index}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: Value) -> Result<Vec<wire::Message>> {
        messages(serde_json::from_value(value).unwrap())
    }

    #[test]
    fn parts_of_text_are_joined_and_images_refused() {
        let parts =
            json!([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]);
        assert_eq!(read(parts).unwrap()[0].content, "ab");
        let image = json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:x"}}]}]);
        let problem = read(image).unwrap_err();
        assert_eq!((problem.status.as_u16(), problem.field.as_deref()), (400, Some("messages[0].content")));
    }

    #[test]
    fn a_call_whose_arguments_are_no_json_is_kept() {
        let call = |text: &str| made("1".to_owned(), "f".to_owned(), text).unwrap().arguments;
        assert_eq!((call("{\"a\":1}"), call(""), call("{")), (json!({"a": 1}), json!({}), json!("{")));
    }

    #[test]
    fn what_must_be_called_must_be_there() {
        let named = || serde_json::from_value(json!({"type": "function", "function": {"name": "f"}})).unwrap();
        assert!(choice(named(), &[]).is_err());
        let tool = wire::Tool { name: "f".to_owned(), description: None, parameters: None };
        assert_eq!(choice(named(), &[tool]).unwrap(), wire::ToolChoice::Named("f".to_owned()));
        assert!(choice(Some(ToolChoice::Mode(ChoiceMode::Required)), &[]).is_err());
    }
}
