//! A conversation continued, chunk by chunk.

use serde::Serialize;
use weighbridge_inference_wire::Event;

use super::chat::{Wanted, reason};
use super::logprobs::Logprobs;
use super::messages::call_id;
use super::usage::Usage;
use crate::answer::unasked;
use crate::problem::{Dialect, Problem};
use crate::stream::{self, Writer};

pub(super) struct ChatWriter {
    id: String,
    created: i64,
    wanted: Wanted,
    /// Answers whose first chunk was written.
    greeted: Vec<bool>,
    /// Answers that called a function.
    called: Vec<bool>,
}

#[derive(Serialize)]
struct Chunk<'a> {
    id: &'a str,
    object: &'static str,
    created: i64,
    model: &'a str,
    choices: &'a [ChunkChoice<'a>],
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<Usage>>,
}

#[derive(Serialize)]
struct ChunkChoice<'a> {
    index: u32,
    delta: Delta<'a>,
    logprobs: Option<Logprobs>,
    finish_reason: Option<&'static str>,
}

#[derive(Default, Serialize)]
struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<[CallDelta<'a>; 1]>,
}

#[derive(Serialize)]
struct CallDelta<'a> {
    index: u32,
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    function: FunctionDelta<'a>,
}

#[derive(Serialize)]
struct FunctionDelta<'a> {
    name: &'a str,
    arguments: &'a str,
}

impl ChatWriter {
    pub fn new(id: String, wanted: Wanted) -> Self {
        let all = vec![false; usize::try_from(wanted.choices).unwrap_or_default()];
        Self { id, created: super::now(), wanted, greeted: all.clone(), called: all }
    }

    fn write(&self, choices: &[ChunkChoice<'_>], usage: Option<Usage>, out: &mut Vec<u8>) {
        let chunk = Chunk {
            id: &self.id,
            object: "chat.completion.chunk",
            created: self.created,
            model: &self.wanted.model,
            choices,
            usage: self.wanted.usage.then_some(usage),
        };
        stream::data(out, &chunk);
    }

    fn delta(&mut self, index: u32, mut delta: Delta<'_>, logprobs: Option<Logprobs>, out: &mut Vec<u8>) {
        let greeted = usize::try_from(index).ok().and_then(|at| self.greeted.get_mut(at));
        if let Some(greeted) = greeted.filter(|greeted| !**greeted) {
            *greeted = true;
            delta.role = Some("assistant");
        }
        self.write(&[ChunkChoice { index, delta, logprobs, finish_reason: None }], None, out);
    }
}

impl Writer for ChatWriter {
    const KIND: &'static str = stream::EVENTS;

    fn event(&mut self, event: Event, out: &mut Vec<u8>) {
        match event {
            Event::Text { choice, text, thought, chances } => {
                let logprobs = self.wanted.logprobs.then(|| chances.into());
                let delta = match thought {
                    true => Delta { reasoning_content: Some(&text), ..Delta::default() },
                    false => Delta { content: Some(&text), ..Delta::default() },
                };
                self.delta(choice, delta, logprobs, out);
            }
            Event::Call { choice, call } => {
                let at = usize::try_from(choice).unwrap_or_default();
                if self.called.get(at) == Some(&true) && !self.wanted.parallel {
                    return;
                }
                if let Some(called) = self.called.get_mut(at) {
                    *called = true;
                }
                let function = FunctionDelta { name: &call.name, arguments: &call.arguments };
                let id = call_id(&self.id, at, call.index);
                let one = CallDelta { index: call.index, id, kind: "function", function };
                self.delta(choice, Delta { tool_calls: Some([one]), ..Delta::default() }, None, out);
            }
            Event::Finished { choice, reason: why } => {
                let end = ChunkChoice {
                    index: choice,
                    delta: Delta::default(),
                    logprobs: None,
                    finish_reason: Some(reason(Some(why))),
                };
                self.write(&[end], None, out);
            }
            Event::Done { usage } => {
                if self.wanted.usage {
                    self.write(&[], Some((&usage).into()), out);
                }
                out.extend_from_slice(b"data: [DONE]\n\n");
            }
            Event::Failed { failure } => stream::data(out, &Problem::from(failure).json(Dialect::OpenAi)),
            _ => stream::data(out, &unasked().json(Dialect::OpenAi)),
        }
    }
}
