use std::time::Instant;

use weighbridge_inference_wire::{Event, RequestId};

use super::Engine;
use super::sequence::Sequence;
use crate::model::LanguageModel;

impl<M: LanguageModel, S: FnMut(RequestId, Event)> Engine<M, S> {
    /// Lets waiting sequences in, in order, while their prompts fit beside what
    /// the running ones still have to read.
    pub(super) fn admit(&mut self) {
        while self.running.len() < self.limits.sequences_max {
            let Some(mut sequence) = self.waiting.pop_front() else { break };
            let saved = sequence.adopt(&mut self.pool);
            let wanted = (sequence.tokens.len() + self.limits.reserve_tokens).min(sequence.length_max);
            let needed = self.pages_for(wanted).saturating_sub(sequence.pages.len());
            let promised: usize = self
                .running
                .iter()
                .map(|other| self.pages_for(other.tokens.len()).saturating_sub(other.pages.len()))
                .sum();
            if !self.running.is_empty() && needed + promised > self.pool.available() {
                sequence.release(&mut self.pool);
                self.waiting.push_front(sequence);
                break;
            }
            self.saved(&sequence, saved);
            if let Some(request) = self.requests.get_mut(&sequence.request) {
                if request.begun.is_none() {
                    self.stats.prompt_tokens += u64::from(request.usage.prompt_tokens);
                }
                request.begun.get_or_insert_with(Instant::now);
            }
            self.running.push(sequence);
        }
    }

    /// Chooses the tokens of the next step, into `self.planned`; takes pages
    /// for them.
    pub(super) fn plan(&mut self, running: &mut Vec<Sequence>) {
        self.planned.clear();
        self.plan_writing(running);
        let writing = self.planned.len();
        let room = self.limits.step_tokens.saturating_sub(writing);
        let budget = self.pace.tokens(room, writing > 0).max(self.pool.page_tokens());
        self.plan_reading(running, budget);
    }

    /// One token for each answer being written; the youngest give way.
    fn plan_writing(&mut self, running: &mut Vec<Sequence>) {
        let mut place = 0;
        while let Some(sequence) = running.get_mut(place) {
            if sequence.unread() == 1 {
                if sequence.cover(1, &mut self.pool) == 0 {
                    if let Some(youngest) = running.pop() {
                        self.preempt(youngest);
                    }
                    continue;
                }
                self.planned.push((place, 1));
            }
            place += 1;
        }
    }

    /// Chunks of prompts, oldest first.
    fn plan_reading(&mut self, running: &mut [Sequence], mut budget: usize) {
        let size = self.pool.page_tokens();
        for (place, sequence) in running.iter_mut().enumerate() {
            if budget == 0 {
                break;
            }
            if sequence.unread() <= 1 {
                continue;
            }
            let saved = sequence.adopt(&mut self.pool);
            self.saved(sequence, saved);
            let mut count = sequence.cover(sequence.unread().min(budget), &mut self.pool);
            if count < sequence.unread() {
                // A chunk ends with a page, so that others can take it over.
                let beyond = (sequence.past + count) % size;
                count = if count > beyond { count - beyond } else { count };
            }
            if count == 0 {
                continue;
            }
            self.planned.push((place, count));
            budget -= count;
        }
    }

    fn pages_for(&self, tokens: usize) -> usize {
        tokens.div_ceil(self.pool.page_tokens())
    }

    /// Counts a prompt's tokens when they are first read or found.
    fn saved(&mut self, sequence: &Sequence, saved: usize) {
        if sequence.fresh && sequence.number == 0 {
            let saved = u32::try_from(saved).unwrap_or(u32::MAX);
            self.stats.cached_tokens += u64::from(saved);
            if let Some(request) = self.requests.get_mut(&sequence.request) {
                request.usage.cached_tokens += saved;
            }
        }
    }
}
