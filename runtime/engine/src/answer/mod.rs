//! What an answer's bytes mean: text, thoughts, calls, the end.
//!
//! Bytes pass three stations. Characters are made whole, stop texts are looked
//! for across all borders, and what is left is split into thoughts
//! (`<think>…</think>`), text and tool calls. Each station holds back only what
//! may still turn into something else.

mod split;
mod stop;

use weighbridge_inference_wire::Call;

pub use split::Split;
pub use stop::Stops;

use crate::text::Utf8;

/// A part of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Text of the answer.
    Text(String),
    /// A thought before it.
    Thought(String),
    /// A call.
    Call(Call),
}

/// One answer while it is written.
#[derive(Debug, Clone)]
pub struct Answer {
    utf8: Utf8,
    stops: Stops,
    split: Split,
    stopped: bool,
}

impl Answer {
    /// An empty answer.
    #[must_use]
    pub fn new(stops: Stops, split: Split) -> Self {
        Self { utf8: Utf8::default(), stops, split, stopped: false }
    }

    /// Takes the bytes of one token. True once a stop text has ended it.
    pub fn push(&mut self, bytes: &[u8], said: &mut Vec<Said>) -> bool {
        if !self.stopped && !bytes.is_empty() {
            let mut text = String::new();
            self.utf8.push(bytes, &mut text);
            let mut free = String::new();
            self.stopped = self.stops.push(&text, &mut free);
            self.split.push(&free, said);
        }
        self.stopped
    }

    /// Lets go of all that was held back. True if functions were called.
    pub fn finish(&mut self, said: &mut Vec<Said>) -> bool {
        if !self.stopped {
            let (mut text, mut free) = (String::new(), String::new());
            self.utf8.finish(&mut text);
            self.stopped = self.stops.push(&text, &mut free);
            if !self.stopped {
                self.stops.finish(&mut free);
            }
            self.split.push(&free, said);
        }
        self.split.finish(said);
        self.split.calls() > 0
    }

    /// Whether what comes next is a thought. A thought has ended with its mark,
    /// even while that is held back because a stop text may begin in it.
    #[must_use]
    pub fn thinks(&self) -> bool {
        self.split.thinks_after(self.stops.held())
    }

    /// Whether text is held back that may be a call.
    #[must_use]
    pub fn holds_call(&self) -> bool {
        self.split.holds_call()
    }
}

/// Where the longest end of `text` begins that one of `wanted` begins with.
fn open_end<'a>(text: &str, wanted: impl Iterator<Item = &'a str> + Clone) -> usize {
    let longest = wanted.clone().map(str::len).max().unwrap_or(0);
    let from = text.len().saturating_sub(longest.saturating_sub(1));
    text.char_indices()
        .map(|(at, _)| at)
        .filter(|&at| at >= from)
        .find(|&at| text.get(at..).is_some_and(|end| wanted.clone().any(|one| one.starts_with(end))))
        .unwrap_or(text.len())
}

#[cfg(test)]
mod tests;
