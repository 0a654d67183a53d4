//! A conversation as the variables a chat template expects.

use std::collections::BTreeMap;

use minijinja::Value;
use serde_json::{Map, Value as Json, json};
use weighbridge_inference_wire::{Chat, Message, Tool};

use crate::text::Text;

/// All variables, and the bytes of text in them.
pub(super) fn context(chat: &Chat, text: &Text) -> (Value, usize) {
    let messages: Vec<Json> = chat.messages.iter().map(message).collect();
    let tools: Vec<Json> = chat.tools.iter().map(tool).collect();
    let mut bytes = 0;
    let mut variables: BTreeMap<String, Value> = BTreeMap::new();
    for (name, json) in &chat.template_variables {
        variables.insert(name.clone(), guarded(json, text, &mut bytes));
    }
    variables.insert("messages".to_owned(), guarded(&Json::from(messages), text, &mut bytes));
    if tools.is_empty() || chat.tool_choice == weighbridge_inference_wire::ToolChoice::None {
        variables.insert("tools".to_owned(), Value::from(()));
    } else {
        variables.insert("tools".to_owned(), guarded(&Json::from(tools), text, &mut bytes));
    }
    variables.insert("add_generation_prompt".to_owned(), true.into());
    for (name, token) in [("bos_token", text.leading()), ("eos_token", text.ending())] {
        variables.insert(name.to_owned(), token.unwrap_or_default().into());
    }
    (Value::from_pairs(variables), bytes)
}

fn message(message: &Message) -> Json {
    let mut fields = Map::new();
    fields.insert("role".to_owned(), message.role.clone().into());
    fields.insert("content".to_owned(), message.content.clone().into());
    if let Some(name) = &message.name {
        fields.insert("name".to_owned(), name.clone().into());
    }
    if !message.tool_calls.is_empty() {
        let calls = message.tool_calls.iter().map(|call| {
            json!({"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}})
        });
        fields.insert("tool_calls".to_owned(), calls.collect());
    }
    if let Some(id) = &message.tool_call_id {
        fields.insert("tool_call_id".to_owned(), id.clone().into());
    }
    Json::Object(fields)
}

fn tool(tool: &Tool) -> Json {
    let mut function = Map::new();
    function.insert("name".to_owned(), tool.name.clone().into());
    if let Some(description) = &tool.description {
        function.insert("description".to_owned(), description.clone().into());
    }
    let nothing = || json!({"type": "object", "properties": {}});
    function.insert("parameters".to_owned(), tool.parameters.clone().unwrap_or_else(nothing));
    json!({"type": "function", "function": function})
}

/// `json` with special tokens in its texts broken.
fn guarded(json: &Json, text: &Text, bytes: &mut usize) -> Value {
    *bytes += 16;
    match json {
        Json::String(inner) => {
            *bytes += inner.len();
            Value::from(text.guard(inner))
        }
        Json::Array(items) => Value::from(items.iter().map(|item| guarded(item, text, bytes)).collect::<Vec<_>>()),
        Json::Object(fields) => Value::from_pairs(fields.iter().map(|(name, field)| {
            *bytes += name.len();
            (text.guard(name), guarded(field, text, bytes))
        })),
        Json::Null => Value::from(()),
        Json::Bool(flag) => Value::from(*flag),
        Json::Number(number) => number
            .as_i64()
            .map(Value::from)
            .or_else(|| number.as_u64().map(Value::from))
            .or_else(|| number.as_f64().map(Value::from))
            .unwrap_or_default(),
    }
}
