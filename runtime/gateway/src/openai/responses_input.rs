//! What was said, as `POST /v1/responses` has it.

use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use weighbridge_inference_wire as wire;

use super::messages::{self, ChoiceMode, Content, Function, ToolKind, Unread};
use super::sampling::schema_of;
use crate::problem::{Problem, Result};

/// A text, or what was said and done so far.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged, expecting = "a text or a list of items")]
pub(crate) enum Input {
    Text(String),
    Items(Vec<Item>),
}

/// One thing said or done.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged, expecting = "a message, a `function_call`, a `function_call_output` or `reasoning`")]
pub(crate) enum Item {
    Typed(TypedItem),
    /// A message that does not say that it is one.
    Plain(SaidItem),
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum TypedItem {
    Message(SaidItem),
    FunctionCall(CalledItem),
    FunctionCallOutput(AnsweredItem),
    /// Earlier thoughts; not read again.
    Reasoning(Unread),
}

#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct SaidItem {
    #[schema(min_length = 1, max_length = 64)]
    pub role: String,
    pub content: Content,
}

#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct CalledItem {
    pub call_id: String,
    pub name: String,
    pub arguments: String,
}

#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct AnsweredItem {
    pub call_id: String,
    pub output: Content,
}

/// A function the model may call.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct ResponseTool {
    #[serde(rename = "type")]
    #[expect(dead_code, reason = "its type is checked, its value has no use")]
    pub kind: ToolKind,
    #[serde(flatten)]
    pub function: Function,
}

/// `auto`, `none`, `required`, or which.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged, expecting = "`auto`, `none`, `required` or {\"type\": \"function\", \"name\": …}")]
pub(crate) enum ResponseChoice {
    Mode(ChoiceMode),
    Named(NamedResponseChoice),
}

#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct NamedResponseChoice {
    #[serde(rename = "type")]
    pub kind: ToolKind,
    pub name: String,
}

/// What the text must look like.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct TextOptions {
    #[serde(default)]
    pub format: Option<TextFormat>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum TextFormat {
    Text,
    JsonObject,
    JsonSchema {
        name: String,
        #[schema(value_type = Object)]
        schema: Map<String, Value>,
    },
}

impl TextOptions {
    pub fn constraint(options: Option<Self>) -> Result<wire::Constraint> {
        match options.and_then(|o| o.format) {
            None | Some(TextFormat::Text) => Ok(wire::Constraint::Free),
            Some(TextFormat::JsonObject) => Ok(wire::Constraint::Json),
            Some(TextFormat::JsonSchema { name, schema }) if !name.is_empty() => schema_of(Value::Object(schema)),
            Some(TextFormat::JsonSchema { .. }) => {
                Err(Problem::field("text.format.name", "the name of the schema is empty"))
            }
        }
    }
}

impl ResponseChoice {
    pub fn wire(choice: Option<Self>, tools: &[wire::Tool]) -> Result<wire::ToolChoice> {
        let as_chat = choice.map(|choice| match choice {
            Self::Mode(mode) => messages::ToolChoice::Mode(mode),
            Self::Named(named) => messages::ToolChoice::Named(messages::NamedChoice {
                kind: named.kind,
                function: messages::ChosenFunction { name: named.name },
            }),
        });
        messages::choice(as_chat, tools)
    }
}

fn said(role: &str, content: String) -> wire::Message {
    wire::Message { role: role.to_owned(), content, name: None, tool_calls: Vec::new(), tool_call_id: None }
}

/// The conversation: instructions first. Calls of one turn become one message.
pub(crate) fn conversation(instructions: Option<String>, input: Input) -> Result<Vec<wire::Message>> {
    let mut all: Vec<wire::Message> = instructions.map(|text| said("system", text)).into_iter().collect();
    let items = match input {
        Input::Text(text) => {
            all.push(said("user", text));
            return Ok(all);
        }
        Input::Items(items) => items,
    };
    for (at, item) in items.into_iter().enumerate() {
        let field = format!("input[{at}]");
        match item {
            Item::Plain(message) | Item::Typed(TypedItem::Message(message)) => {
                let role = if message.role == "developer" { "system" } else { message.role.as_str() };
                if role.is_empty() || role.len() > 64 {
                    return Err(Problem::field(field, "a role has 1 to 64 bytes"));
                }
                all.push(said(role, message.content.text(&field)?));
            }
            Item::Typed(TypedItem::FunctionCall(call)) => {
                let call = messages::made(call.call_id, call.name, &call.arguments)?;
                match all.last_mut().filter(|m| m.role == "assistant") {
                    Some(last) => last.tool_calls.push(call),
                    None => all.push(wire::Message { tool_calls: vec![call], ..said("assistant", String::new()) }),
                }
            }
            Item::Typed(TypedItem::FunctionCallOutput(output)) => {
                let text = output.output.text(&field)?;
                all.push(wire::Message { tool_call_id: Some(output.call_id), ..said("tool", text) });
            }
            Item::Typed(TypedItem::Reasoning(_)) => {}
        }
    }
    if all.is_empty() {
        return Err(Problem::field("input", "`input` is empty; say something"));
    }
    Ok(all)
}
