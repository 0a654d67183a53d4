//! Text continued, chunk by chunk.

use serde::Serialize;
use weighbridge_inference_wire::Event;

use super::chat::reason;
use super::completions::{TextChoice, TextLogprobs, Wanted};
use super::usage::Usage;
use crate::answer::unasked;
use crate::problem::{Dialect, Problem};
use crate::stream::{self, Writer};

pub(super) struct TextWriter {
    id: String,
    created: i64,
    wanted: Wanted,
    offsets: Vec<usize>,
}

#[derive(Serialize)]
struct Chunk<'a> {
    id: &'a str,
    object: &'static str,
    created: i64,
    model: &'a str,
    choices: &'a [TextChoice],
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<Usage>>,
}

impl TextWriter {
    pub fn new(id: String, wanted: Wanted) -> Self {
        let offsets = vec![0; wanted.echoes.len()];
        Self { id, created: super::now(), wanted, offsets }
    }

    fn write(&self, choices: &[TextChoice], usage: Option<Usage>, out: &mut Vec<u8>) {
        let chunk = Chunk {
            id: &self.id,
            object: "text_completion",
            created: self.created,
            model: &self.wanted.model,
            choices,
            usage: self.wanted.usage.then_some(usage),
        };
        stream::data(out, &chunk);
    }
}

impl Writer for TextWriter {
    const KIND: &'static str = stream::EVENTS;

    fn begin(&mut self, out: &mut Vec<u8>) {
        for (index, echo) in self.wanted.echoes.iter().enumerate().filter(|(_, echo)| !echo.is_empty()) {
            let choice = TextChoice { index, text: echo.clone(), logprobs: None, finish_reason: None };
            self.write(&[choice], None, out);
        }
    }

    fn event(&mut self, event: Event, out: &mut Vec<u8>) {
        let at = |choice: u32| usize::try_from(choice).unwrap_or_default();
        match event {
            Event::Text { choice, text, chances, .. } => {
                let index = at(choice);
                let offset = self.offsets.get_mut(index).filter(|_| self.wanted.logprobs);
                let logprobs = offset.map(|offset| TextLogprobs::of(chances, offset));
                self.write(&[TextChoice { index, text, logprobs, finish_reason: None }], None, out);
            }
            Event::Finished { choice, reason: why } => {
                let end = TextChoice {
                    index: at(choice),
                    text: String::new(),
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
