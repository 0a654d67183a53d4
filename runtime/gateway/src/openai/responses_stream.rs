//! An answer told step by step (OpenAI, "Streaming events").

use serde::Serialize;
use serde_json::{Map, Value, json};
use weighbridge_inference_wire::{Call, Event};

use super::responses::{OutputItem, OutputPart, ResponseBody, function_call, item_id, message};
use crate::answer::{Collected, unasked};
use crate::problem::{Dialect, Problem};
use crate::stream::{self, Writer};

/// Text kept to be repeated when an item is done, bytes.
const KEPT_BYTES_MAX: usize = 4 << 20;

pub(super) struct ResponseWriter {
    body: ResponseBody,
    number: u64,
    said: Collected,
    /// The item that is being written, and its place.
    open: Open,
    index: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    Nothing,
    Thoughts,
    Text,
}

/// The frequent one, without building a tree.
#[derive(Serialize)]
struct Delta<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    sequence_number: u64,
    item_id: &'a str,
    output_index: usize,
    content_index: u32,
    delta: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<[(); 0]>,
}

impl ResponseWriter {
    pub fn new(body: ResponseBody) -> Self {
        Self { body, number: 0, said: Collected::default(), open: Open::Nothing, index: 0 }
    }

    fn number(&mut self) -> u64 {
        self.number += 1;
        self.number - 1
    }

    fn tell(&mut self, name: &str, more: Value, out: &mut Vec<u8>) {
        let mut event = Map::new();
        event.insert("type".to_owned(), name.into());
        event.insert("sequence_number".to_owned(), self.number().into());
        if let Value::Object(more) = more {
            event.extend(more);
        }
        stream::named(out, name, &event);
    }

    fn item_id(&self, open: Open) -> String {
        let kind = if open == Open::Thoughts { "rs" } else { "msg" };
        item_id(kind, &self.body.id, self.index)
    }

    /// Makes `wanted` the item that is being written.
    fn turn(&mut self, wanted: Open, out: &mut Vec<u8>) {
        if self.open == wanted {
            return;
        }
        self.close(out);
        self.open = wanted;
        let (item, part) = match wanted {
            Open::Nothing => return,
            Open::Thoughts => (
                OutputItem::Reasoning {
                    id: self.item_id(wanted),
                    summary: Vec::new(),
                    content: Vec::new(),
                    status: "in_progress",
                },
                OutputPart::ReasoningText { text: String::new() },
            ),
            Open::Text => (
                message(self.item_id(wanted), "in_progress", None),
                OutputPart::OutputText { text: String::new(), annotations: Vec::new() },
            ),
        };
        let index = self.index;
        self.tell("response.output_item.added", json!({ "output_index": index, "item": item }), out);
        let item_id = self.item_id(wanted);
        let more = json!({ "item_id": item_id, "output_index": index, "content_index": 0, "part": part });
        self.tell("response.content_part.added", more, out);
    }

    /// Completes the item that is being written.
    fn close(&mut self, out: &mut Vec<u8>) {
        let (open, index) = (self.open, self.index);
        if open == Open::Nothing {
            return;
        }
        let item_id = self.item_id(open);
        let (name, text, part, item) = if open == Open::Thoughts {
            let text = std::mem::take(&mut self.said.thoughts);
            let part = OutputPart::ReasoningText { text: text.clone() };
            let content = vec![part.clone()];
            let item = OutputItem::Reasoning { id: item_id.clone(), summary: Vec::new(), content, status: "completed" };
            ("response.reasoning_text.done", text, part, item)
        } else {
            let text = std::mem::take(&mut self.said.text);
            let part = OutputPart::OutputText { text: text.clone(), annotations: Vec::new() };
            let item = message(item_id.clone(), "completed", Some(text.clone()));
            ("response.output_text.done", text, part, item)
        };
        let place = json!({ "item_id": item_id, "output_index": index, "content_index": 0 });
        let with = |key: &str, value: Value| {
            let mut place = place.clone();
            if let Some(map) = place.as_object_mut() {
                map.insert(key.to_owned(), value);
            }
            place
        };
        let mut done = with("text", text.into());
        if let (Some(map), Open::Text) = (done.as_object_mut(), open) {
            map.insert("logprobs".to_owned(), json!([]));
        }
        self.tell(name, done, out);
        self.tell("response.content_part.done", with("part", json!(part)), out);
        self.tell("response.output_item.done", json!({ "output_index": index, "item": item }), out);
        self.body.output.push(item);
        self.index += 1;
        self.open = Open::Nothing;
    }

    fn text(&mut self, text: &str, thought: bool, out: &mut Vec<u8>) {
        let open = if thought { Open::Thoughts } else { Open::Text };
        self.turn(open, out);
        let kind = if thought { "response.reasoning_text.delta" } else { "response.output_text.delta" };
        let kept = if thought { &mut self.said.thoughts } else { &mut self.said.text };
        if kept.len() < KEPT_BYTES_MAX {
            kept.push_str(text);
        }
        let delta = Delta {
            kind,
            sequence_number: self.number(),
            item_id: &self.item_id(open),
            output_index: self.index,
            content_index: 0,
            delta: text,
            logprobs: (!thought).then_some([]),
        };
        stream::named(out, kind, &delta);
    }

    fn call(&mut self, call: Call, out: &mut Vec<u8>) {
        let any = self.body.output.iter().any(|item| matches!(item, OutputItem::FunctionCall { .. }));
        if any && !self.body.parallel_tool_calls {
            return;
        }
        self.close(out);
        let (id, index) = (self.body.id.clone(), self.index);
        let item_id = format!("fc_{id}-{}", call.index);
        let arguments = call.arguments.clone();
        let begun = function_call(&id, Call { arguments: String::new(), ..call.clone() }, "in_progress");
        self.tell("response.output_item.added", json!({ "output_index": index, "item": begun }), out);
        let delta = json!({ "item_id": item_id, "output_index": index, "delta": arguments });
        self.tell("response.function_call_arguments.delta", delta, out);
        let done = json!({ "item_id": item_id, "output_index": index, "name": call.name, "arguments": arguments });
        self.tell("response.function_call_arguments.done", done, out);
        let item = function_call(&id, call, "completed");
        self.tell("response.output_item.done", json!({ "output_index": index, "item": item }), out);
        self.body.output.push(item);
        self.index += 1;
    }

    fn fail(&mut self, problem: &Problem, out: &mut Vec<u8>) {
        let error = problem.json(Dialect::OpenAi);
        let part = |name: &str| error.pointer(name).cloned().unwrap_or_default();
        self.body.status = "failed";
        self.body.error = Some(json!({ "code": part("/error/code"), "message": part("/error/message") }));
        let body = self.body.clone();
        self.tell("response.failed", json!({ "response": body }), out);
    }
}

impl Writer for ResponseWriter {
    const KIND: &'static str = stream::EVENTS;

    fn begin(&mut self, out: &mut Vec<u8>) {
        let body = self.body.clone();
        self.tell("response.created", json!({ "response": body }), out);
        self.tell("response.in_progress", json!({ "response": body }), out);
    }

    fn event(&mut self, event: Event, out: &mut Vec<u8>) {
        match event {
            Event::Text { text, thought, .. } => self.text(&text, thought, out),
            Event::Call { call, .. } => self.call(call, out),
            Event::Finished { reason, .. } => self.said.reason = Some(reason),
            Event::Done { usage } => {
                if self.body.output.is_empty() && self.open == Open::Nothing {
                    self.turn(Open::Text, out);
                }
                self.close(out);
                let output = std::mem::take(&mut self.body.output);
                self.body.fill(std::mem::take(&mut self.said), &usage);
                self.body.output = output;
                let name = if self.body.status == "incomplete" { "response.incomplete" } else { "response.completed" };
                let body = self.body.clone();
                self.tell(name, json!({ "response": body }), out);
            }
            Event::Failed { failure } => self.fail(&failure.into(), out),
            _ => self.fail(&unasked(), out),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::openai::responses::Nothing;

    fn body() -> ResponseBody {
        ResponseBody {
            id: "resp_1".to_owned(),
            object: "response",
            created_at: 0,
            status: "in_progress",
            model: "m".to_owned(),
            output: Vec::new(),
            error: None,
            incomplete_details: None,
            instructions: None,
            parallel_tool_calls: true,
            tool_choice: "auto".into(),
            tools: Vec::new(),
            metadata: Nothing {},
            store: false,
            usage: None,
        }
    }

    #[test]
    fn every_item_has_an_identifier_of_its_own() {
        let mut writer = ResponseWriter::new(body());
        let mut out = Vec::new();
        let text = |thought| Event::Text { choice: 0, text: "x".to_owned(), thought, chances: Vec::new() };
        let call = Call { index: 0, name: "f".to_owned(), arguments: "{}".to_owned() };
        let call = Event::Call { choice: 0, call };
        let done = Event::Done { usage: weighbridge_inference_wire::Usage::default() };
        for event in [text(true), text(false), call, text(true), text(false), done] {
            writer.event(event, &mut out);
        }
        let said = String::from_utf8(out).unwrap();
        let last = said.lines().filter_map(|line| line.strip_prefix("data: ")).next_back().unwrap();
        let last: Value = serde_json::from_str(last).unwrap();
        let items = last["response"]["output"].as_array().unwrap();
        let ids: BTreeSet<_> = items.iter().map(|item| item["id"].as_str().unwrap()).collect();
        assert_eq!((items.len(), ids.len()), (5, 5), "{ids:?}");
    }
}
