use weighbridge_inference_wire::Call;

use super::{Said, open_end};
use crate::tools::{CallFormat, parse_calls};

const THINK: &str = "<think>";
const THOUGHT: &str = "</think>";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing but white space was said.
    Silent,
    Text,
    Thought,
    /// Between the marks of a call.
    Call,
    /// Calls to the end of the answer.
    Calls,
}

/// Splits an answer into thoughts, text and calls.
#[derive(Debug, Clone)]
pub struct Split {
    state: State,
    /// Whether thoughts are told from text at all.
    thoughts: bool,
    format: Option<CallFormat>,
    held: String,
    /// Line ends to be dropped before the next text.
    trims: bool,
    calls: u32,
}

impl Split {
    /// Text and nothing else.
    #[must_use]
    pub fn plain() -> Self {
        Self::new(false, false, None)
    }

    /// `thoughts`: whether the model marks them; `thinking`: whether the prompt
    /// ends in the middle of one; `format`: how it calls functions, if it may.
    #[must_use]
    pub fn new(thoughts: bool, thinking: bool, format: Option<CallFormat>) -> Self {
        let state = if thoughts && thinking { State::Thought } else { State::Silent };
        Self { state, thoughts, format, held: String::new(), trims: state == State::Thought, calls: 0 }
    }

    /// Calls seen so far.
    #[must_use]
    pub fn calls(&self) -> u32 {
        self.calls
    }

    /// Whether what comes next is a thought.
    #[must_use]
    pub fn thinks(&self) -> bool {
        self.state == State::Thought
    }

    /// Whether what comes next is a thought, if `coming` comes first.
    pub(super) fn thinks_after(&self, coming: &str) -> bool {
        // The mark may begin in what is held here and end in what is coming.
        self.thinks() && (coming.is_empty() || !format!("{}{coming}", self.held).contains(THOUGHT))
    }

    /// Whether text is held back that may be a call.
    #[must_use]
    pub fn holds_call(&self) -> bool {
        matches!(self.state, State::Call | State::Calls)
    }

    /// Takes more of the answer.
    pub fn push(&mut self, text: &str, said: &mut Vec<Said>) {
        self.held.push_str(text);
        while self.advance(said) {}
    }

    /// No more comes.
    pub fn finish(&mut self, said: &mut Vec<Said>) {
        match self.state {
            State::Silent | State::Text | State::Thought => {
                let rest = std::mem::take(&mut self.held);
                self.say(&rest, said);
            }
            State::Call | State::Calls => {
                let rest = std::mem::take(&mut self.held);
                self.call(&rest, None, said);
            }
        }
    }

    /// One step; false when more text is needed.
    fn advance(&mut self, said: &mut Vec<Said>) -> bool {
        match self.state {
            State::Silent => self.silent(),
            State::Text => self.text(said),
            State::Thought => self.thought(said),
            State::Call => {
                let Some(close) = self.format.and_then(CallFormat::close) else { return false };
                let Some(at) = self.held.find(close) else { return false };
                let rest = self.held.split_off(at + close.len());
                let call = std::mem::replace(&mut self.held, rest);
                self.state = State::Text;
                self.call(call.get(..at).unwrap_or_default(), Some(close), said);
                true
            }
            State::Calls => false,
        }
    }

    /// Before the first word: a thought or a bare call may begin.
    fn silent(&mut self) -> bool {
        let spoken = self.held.trim_start();
        let bare = self.format.is_some_and(CallFormat::bare);
        if self.thoughts {
            if let Some(rest) = spoken.strip_prefix(THINK) {
                self.held = rest.to_owned();
                (self.state, self.trims) = (State::Thought, true);
                return true;
            }
            if THINK.starts_with(spoken) {
                return false;
            }
        }
        if spoken.is_empty() {
            return false;
        }
        self.state = if bare && spoken.starts_with('{') { State::Calls } else { State::Text };
        true
    }

    fn text(&mut self, said: &mut Vec<Said>) -> bool {
        let open = self.format.map(CallFormat::open);
        if let Some(open) = open
            && let Some(at) = self.held.find(open)
        {
            let rest = self.held.split_off(at + open.len());
            let before = std::mem::replace(&mut self.held, rest);
            self.say(before.get(..at).unwrap_or_default(), said);
            let closes = self.format.and_then(CallFormat::close).is_some();
            self.state = if closes { State::Call } else { State::Calls };
            return true;
        }
        self.free(open, said);
        false
    }

    fn thought(&mut self, said: &mut Vec<Said>) -> bool {
        if let Some(at) = self.held.find(THOUGHT) {
            let rest = self.held.split_off(at + THOUGHT.len());
            let thought = std::mem::replace(&mut self.held, rest);
            self.say(thought.get(..at).unwrap_or_default(), said);
            (self.state, self.trims) = (State::Silent, true);
            self.thoughts = false;
            return true;
        }
        self.free(Some(THOUGHT), said);
        false
    }

    /// Says all but an end that may become `mark`.
    fn free(&mut self, mark: Option<&str>, said: &mut Vec<Said>) {
        let keep = self.held.split_off(open_end(&self.held, mark.into_iter()));
        let free = std::mem::replace(&mut self.held, keep);
        self.say(&free, said);
    }

    fn say(&mut self, text: &str, said: &mut Vec<Said>) {
        let text = if self.trims { text.trim_start_matches(['\n', '\r']) } else { text };
        if text.is_empty() {
            return;
        }
        self.trims = false;
        match (self.state, said.last_mut()) {
            (State::Thought, Some(Said::Thought(before))) => before.push_str(text),
            (State::Thought, _) => said.push(Said::Thought(text.to_owned())),
            (_, Some(Said::Text(before))) => before.push_str(text),
            _ => said.push(Said::Text(text.to_owned())),
        }
    }

    /// Says the calls in `inside`, or, if it is none, the text as it came.
    fn call(&mut self, inside: &str, close: Option<&str>, said: &mut Vec<Said>) {
        let Some(format) = self.format else { return };
        match parse_calls(format, inside) {
            Some(calls) => {
                for (name, arguments) in calls {
                    said.push(Said::Call(Call { index: self.calls, name, arguments }));
                    self.calls += 1;
                }
                self.trims = true;
            }
            None => {
                self.state = State::Text;
                self.trims = false;
                let open = if format.bare() && inside.trim_start().starts_with('{') { "" } else { format.open() };
                self.say(&format!("{open}{inside}{}", close.unwrap_or_default()), said);
            }
        }
    }
}
