use std::time::Instant;

use weighbridge_inference_wire::{Event, Failure, FinishReason, RequestId, TokenChance};

use super::sequence::{Request, Sequence};
use crate::answer::Said;
use crate::sample::{Scratch, chances};
use crate::text::Text;

impl Sequence {
    /// Draws the next token from its logits and says what came of it.
    pub(super) fn advance(
        &mut self,
        logits: &[f32],
        request: &mut Request,
        text: &Text,
        scratch: &mut Scratch,
        sink: &mut impl FnMut(RequestId, Event),
    ) {
        request.first_token.get_or_insert_with(Instant::now);
        self.fresh = false;
        match self.draw(logits, request, text, scratch) {
            Ok((token, complete)) => {
                let mut said = Vec::new();
                let reason = self.take(token, complete, request, text, &mut said);
                if self.choice.answer.holds_call() {
                    // Calls are told without chances, and may be long.
                    self.chances.clear();
                }
                match reason {
                    None => self.say(said, sink),
                    Some(reason) => {
                        let called = self.choice.answer.finish(&mut said);
                        self.say(said, sink);
                        let reason = if called && reason == FinishReason::Stop { FinishReason::Calls } else { reason };
                        sink(self.request, Event::Finished { choice: self.number, reason });
                        self.over = Some(Ok(()));
                    }
                }
            }
            Err(failure) => self.over = Some(Err(failure)),
        }
    }

    /// The next token, and whether the constraint is complete with it.
    fn draw(
        &mut self,
        logits: &[f32],
        request: &Request,
        text: &Text,
        scratch: &mut Scratch,
    ) -> Result<(u32, bool), Failure> {
        // Thoughts come before what the constraint is for, and must come to an end.
        let thinks = self.choice.answer.thinks();
        let banned = if thinks && self.choice.grammar.is_some() { text.ends() } else { &[] };
        let grammar = self.choice.grammar.as_mut().filter(|_| !thinks);
        let (token, complete) = match grammar {
            Some(grammar) => {
                let token = self.choice.sampler.draw(logits, Some(grammar.mask()?), banned, scratch)?;
                (token, text.ends().contains(&token) || grammar.accept(token)?)
            }
            None => (self.choice.sampler.draw(logits, None, banned, scratch)?, false),
        };
        if let Some(count) = request.logprobs {
            self.chances.push(chance(logits, token, count, text, scratch)?);
        }
        Ok((token, complete))
    }

    /// Adds a token to the answer; why the answer ends, if it does.
    fn take(
        &mut self,
        token: u32,
        complete: bool,
        request: &mut Request,
        text: &Text,
        said: &mut Vec<Said>,
    ) -> Option<FinishReason> {
        request.usage.completion_tokens += 1;
        if self.choice.answer.thinks() {
            request.usage.thought_tokens += 1;
        }
        let ends = text.ends().contains(&token);
        if ends && (complete || !request.ignores_end) {
            self.chances.pop();
            return Some(FinishReason::Stop);
        }
        self.tokens.push(token);
        self.choice.sampler.wrote(token);
        let bytes = self.choice.detokenizer.push(text, token);
        let stopped = self.choice.answer.push(&bytes, said);
        if stopped || complete {
            Some(FinishReason::Stop)
        } else {
            (self.tokens.len() >= self.length_max).then_some(FinishReason::Length)
        }
    }

    fn say(&mut self, said: Vec<Said>, sink: &mut impl FnMut(RequestId, Event)) {
        for part in said {
            let chances = std::mem::take(&mut self.chances);
            let event = match part {
                Said::Text(text) => Event::Text { choice: self.number, text, thought: false, chances },
                Said::Thought(text) => Event::Text { choice: self.number, text, thought: true, chances },
                Said::Call(call) => Event::Call { choice: self.number, call },
            };
            sink(self.request, event);
        }
    }
}

fn chance(
    logits: &[f32],
    token: u32,
    count: usize,
    text: &Text,
    scratch: &mut Scratch,
) -> Result<TokenChance, Failure> {
    let found = chances(logits, token, count, scratch)?;
    let shown = |token: u32| (String::from_utf8_lossy(text.bytes(token)).into_owned(), text.bytes(token).to_vec());
    let (drawn, bytes) = shown(token);
    let likeliest = found
        .likeliest
        .into_iter()
        .map(|(token, logprob)| {
            let (text, bytes) = shown(token);
            (token, text, bytes, logprob)
        })
        .collect();
    Ok(TokenChance { token, text: drawn, bytes, logprob: found.drawn, likeliest })
}
