use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use weighbridge_inference_wire::{Failure, RequestId, TokenChance, Usage};

use crate::pages::{Node, PagePool};
use crate::prepare::{Choice, Prepared};

/// A request while its answers are written.
pub(super) struct Request {
    /// Answers not complete.
    pub(super) left: usize,
    /// Answers that wait for the first to have read the prompt.
    pub(super) later: Vec<Sequence>,
    pub(super) logprobs: Option<usize>,
    pub(super) ignores_end: bool,
    pub(super) usage: Usage,
    submitted: Instant,
    pub(super) begun: Option<Instant>,
    pub(super) first_token: Option<Instant>,
}

impl Request {
    pub(super) fn usage(&self) -> Usage {
        let now = Instant::now();
        let begun = self.begun.unwrap_or(now);
        let first = self.first_token.unwrap_or(now);
        Usage {
            queue_us: micros(begun.saturating_duration_since(self.submitted)),
            prefill_us: micros(first.saturating_duration_since(begun)),
            decode_us: micros(now.saturating_duration_since(first)),
            ..self.usage
        }
    }
}

/// Prompt and answer. All answers to one prompt share it until they have
/// tokens of their own.
pub(super) enum Tokens {
    Prompt(Arc<[u32]>),
    Own(Vec<u32>),
}

impl Tokens {
    pub(super) fn push(&mut self, token: u32) {
        if let Self::Prompt(prompt) = self {
            *self = Self::Own(prompt.to_vec());
        }
        if let Self::Own(tokens) = self {
            tokens.push(token);
        }
    }
}

impl Deref for Tokens {
    type Target = [u32];

    fn deref(&self) -> &[u32] {
        match self {
            Self::Prompt(prompt) => prompt,
            Self::Own(tokens) => tokens,
        }
    }
}

/// One answer and what comes before it.
pub(super) struct Sequence {
    /// For the model.
    pub(super) key: u64,
    pub(super) request: RequestId,
    pub(super) number: u32,
    pub(super) tokens: Tokens,
    pub(super) length_max: usize,
    /// Tokens whose keys and values lie in the pages.
    pub(super) past: usize,
    pub(super) pages: Vec<u32>,
    /// Whose pages may be taken over, and who may take over these.
    scope: u64,
    /// The beginning that the last indexed page ends.
    node: Node,
    /// Pages indexed.
    indexed: usize,
    /// Read for the first time, not again after it gave way.
    pub(super) fresh: bool,
    pub(super) choice: Choice,
    /// Chances of tokens whose text is held back.
    pub(super) chances: Vec<TokenChance>,
    /// Complete, or beyond help.
    pub(super) over: Option<Result<(), Failure>>,
}

/// The first sequence of a request, and the request with the others.
pub(super) fn of(id: RequestId, prepared: Prepared, count: &mut u64) -> Option<(Sequence, Request)> {
    let prompt_tokens = u32::try_from(prepared.tokens.len()).unwrap_or(u32::MAX);
    let left = prepared.choices.len();
    let mut sequences: Vec<Sequence> = (0u32..)
        .zip(prepared.choices)
        .map(|(number, choice)| {
            *count += 1;
            Sequence {
                key: *count,
                request: id,
                number,
                tokens: Tokens::Prompt(Arc::clone(&prepared.tokens)),
                length_max: prepared.length_max,
                past: 0,
                pages: Vec::new(),
                scope: prepared.scope,
                node: Node::Root(prepared.scope),
                indexed: 0,
                fresh: true,
                choice,
                chances: Vec::new(),
                over: None,
            }
        })
        .collect();
    let later = sequences.split_off(1.min(left));
    let request = Request {
        left,
        later,
        logprobs: prepared.logprobs,
        ignores_end: prepared.ignores_end,
        usage: Usage { prompt_tokens, ..Usage::default() },
        submitted: Instant::now(),
        begun: None,
        first_token: None,
    };
    Some((sequences.pop()?, request))
}

impl Sequence {
    /// Tokens not read yet.
    pub(super) fn unread(&self) -> usize {
        self.tokens.len() - self.past
    }

    /// Takes over pages that hold what is to be read next; all but the last
    /// token, whose logits are needed. Returns the tokens saved.
    pub(super) fn adopt(&mut self, pool: &mut PagePool) -> usize {
        let size = pool.page_tokens();
        let before = self.past;
        while self.pages.len() * size == self.past && self.indexed == self.pages.len() {
            let until = self.past + size;
            if until >= self.tokens.len() {
                break;
            }
            let Some((page, node)) = self.tokens.get(self.past..until).and_then(|tokens| pool.find(self.node, tokens))
            else {
                break;
            };
            self.pages.push(page);
            (self.node, self.indexed, self.past) = (node, self.indexed + 1, until);
        }
        self.past - before
    }

    /// Takes pages for up to `count` more tokens; how many fit.
    pub(super) fn cover(&mut self, count: usize, pool: &mut PagePool) -> usize {
        let size = pool.page_tokens();
        while self.pages.len() * size < self.past + count {
            match pool.take() {
                Some(page) => self.pages.push(page),
                None => break,
            }
        }
        (self.pages.len() * size).saturating_sub(self.past).min(count)
    }

    /// Lets others find the pages that became full.
    pub(super) fn index(&mut self, pool: &mut PagePool) {
        let size = pool.page_tokens();
        while (self.indexed + 1) * size <= self.past {
            let tokens = self.tokens.get(self.indexed * size..(self.indexed + 1) * size);
            let (Some(tokens), Some(page)) = (tokens, self.pages.get_mut(self.indexed)) else { break };
            (*page, self.node) = pool.index(*page, self.node, tokens);
            self.indexed += 1;
        }
    }

    /// Gives all pages back.
    pub(super) fn release(&mut self, pool: &mut PagePool) {
        pool.release(&std::mem::take(&mut self.pages));
        (self.past, self.indexed, self.node) = (0, 0, Node::Root(self.scope));
    }
}

pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
