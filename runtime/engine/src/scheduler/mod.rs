//! Continuous batching: which tokens of which sequences go into each step.
//!
//! A step holds the newest token of every answer being written and, up to a
//! budget ([`pace`]), chunks of prompts being read, so that no answer stalls
//! behind a long prompt. Requests are served first come, first served. When pages run out the
//! youngest sequence gives all of its back and is read again later; its answer
//! goes on as if nothing had happened.

mod advance;
mod pace;
mod plan;
mod sequence;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use weighbridge_inference_wire::{Event, Failure, FailureKind, Generate, RequestId, Stats};

use crate::failure::failed;
use crate::model::{Batch, LanguageModel, Segment, Shape, StepError};
use crate::pages::PagePool;
use crate::prepare::{Prepare, Prepared};
use crate::sample::Scratch;
use pace::Pace;
use sequence::{Request, Sequence, micros};

/// What a scheduler allows itself.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most sequences in a step.
    pub sequences_max: usize,
    /// Most tokens in a step, unless more answers than that are written.
    pub step_tokens: usize,
    /// Most sequences that wait.
    pub queue_max: usize,
    /// Tokens of answer that must fit, beside the prompt, to begin.
    pub reserve_tokens: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { sequences_max: 256, step_tokens: 512, queue_max: 4096, reserve_tokens: 64 }
    }
}

/// Writes text for many requests with one model. `sink` hears what comes of
/// each.
pub struct Engine<M, S> {
    model: M,
    shape: Shape,
    prepare: Arc<Prepare>,
    limits: Limits,
    sink: S,
    pool: PagePool,
    /// In the order they were let in.
    running: Vec<Sequence>,
    waiting: VecDeque<Sequence>,
    requests: HashMap<RequestId, Request>,
    sequences: u64,
    stats: Stats,
    pace: Pace,
    /// Room for drawing, for one sequence after the other.
    scratch: Scratch,
    /// Kept between steps to save allocations: place among `running`, tokens.
    planned: Vec<(usize, usize)>,
    tokens: Vec<u32>,
    rows: Vec<usize>,
}

impl<M: LanguageModel, S: FnMut(RequestId, Event)> Engine<M, S> {
    /// An engine without requests.
    pub fn new(model: M, prepare: Arc<Prepare>, limits: Limits, sink: S) -> Self {
        let shape = model.shape();
        Self {
            pool: PagePool::new(shape.pages, shape.page_tokens, shape.shares_pages),
            model,
            shape,
            prepare,
            limits,
            sink,
            running: Vec::new(),
            waiting: VecDeque::new(),
            requests: HashMap::new(),
            sequences: 0,
            stats: Stats::default(),
            pace: Pace::default(),
            scratch: Scratch::default(),
            planned: Vec::new(),
            tokens: Vec::new(),
            rows: Vec::new(),
        }
    }

    /// What turns requests into tokens; may be used on another thread.
    pub fn prepare(&self) -> &Arc<Prepare> {
        &self.prepare
    }

    /// Takes a request. A refusal is told to the sink.
    pub fn submit(&mut self, id: RequestId, request: Generate) {
        match Arc::clone(&self.prepare).prepare(request) {
            Ok(prepared) => self.enqueue(id, prepared),
            Err(failure) => self.refuse(id, failure),
        }
    }

    /// Takes a request that was prepared elsewhere.
    pub fn enqueue(&mut self, id: RequestId, prepared: Prepared) {
        let later: usize = self.requests.values().map(|request| request.later.len()).sum();
        let waiting = self.waiting.len() + later;
        if waiting.saturating_add(prepared.choices.len()) > self.limits.queue_max {
            let failure = failed(FailureKind::Busy, format!("{waiting} answers wait already; try again later"));
            return self.refuse(id, failure);
        }
        if self.requests.contains_key(&id) {
            let failure = failed(FailureKind::Internal, format!("request {id} is being answered already"));
            return self.refuse(id, failure);
        }
        let Some((first, request)) = sequence::of(id, prepared, &mut self.sequences) else {
            return self.refuse(id, failed(FailureKind::Internal, "a request without answers"));
        };
        self.requests.insert(id, request);
        self.waiting.push_back(first);
    }

    /// Tells the sink why a request is not served.
    pub fn refuse(&mut self, id: RequestId, failure: Failure) {
        (self.sink)(id, Event::Failed { failure });
    }

    /// Forgets a request and frees what it held. Nothing more is said of it.
    pub fn cancel(&mut self, id: RequestId) {
        if self.requests.remove(&id).is_none() {
            return;
        }
        self.waiting.retain(|sequence| sequence.request != id);
        let (gone, kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.running).into_iter().partition(|one| one.request == id);
        self.running = kept;
        for mut sequence in gone {
            self.release(&mut sequence);
        }
    }

    /// Whether anything is to be done.
    pub fn is_idle(&self) -> bool {
        self.running.is_empty() && self.waiting.is_empty()
    }

    /// Figures; resident memory is the caller's to fill in.
    pub fn stats(&self) -> Stats {
        let of = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let later: usize = self.requests.values().map(|request| request.later.len()).sum();
        Stats {
            running: of(self.running.len()),
            waiting: of(self.waiting.len() + later),
            pages: of(self.pool.total()),
            pages_used: of(self.pool.used()),
            pages_cached: of(self.pool.cached()),
            ..self.stats
        }
    }

    /// The model.
    pub fn model(&self) -> &M {
        &self.model
    }

    /// Runs one step. False if there was nothing to do.
    pub fn step(&mut self) -> bool {
        self.admit();
        if self.running.is_empty() {
            return false;
        }
        let mut running = std::mem::take(&mut self.running);
        self.plan(&mut running);
        if self.planned.is_empty() {
            self.give_way(running);
            return true;
        }
        let begun = Instant::now();
        let planned = std::mem::take(&mut self.planned);
        let failure = self.compute(&mut running, &planned);
        let took = begun.elapsed();
        self.stats.steps += 1;
        self.stats.step_us += micros(took);
        let read = planned.iter().filter(|&&(_, count)| count > 1).map(|&(_, count)| count).sum();
        self.pace.learn(self.tokens.len(), read, took);
        if let Err(failure) = failure {
            let requests: Vec<RequestId> =
                planned.iter().filter_map(|&(place, _)| running.get(place)).map(|s| s.request).collect();
            self.running = running;
            for id in requests {
                self.fail(id, &failure);
            }
        } else {
            self.settle(running);
        }
        self.planned = planned;
        true
    }

    /// Nothing fits: the youngest makes room.
    fn give_way(&mut self, mut running: Vec<Sequence>) {
        let youngest = running.pop();
        let alone = running.is_empty();
        self.running = running;
        let Some(youngest) = youngest else { return };
        if alone {
            let id = youngest.request;
            self.running.push(youngest);
            let why = "no page is left for the only answer being written; restart the model";
            self.fail(id, &failed(FailureKind::Internal, why));
        } else {
            self.preempt(youngest);
        }
    }

    /// Runs the model and lets every sequence with logits go on.
    fn compute(&mut self, running: &mut [Sequence], planned: &[(usize, usize)]) -> Result<(), Failure> {
        self.tokens.clear();
        self.rows.clear();
        let mut segments = Vec::with_capacity(planned.len());
        for &(place, count) in planned {
            let Some(sequence) = running.get(place) else { continue };
            let first = self.tokens.len();
            let until = sequence.past + count;
            self.tokens.extend_from_slice(sequence.tokens.get(sequence.past..until).unwrap_or_default());
            if until == sequence.tokens.len() {
                self.rows.push(self.tokens.len() - 1);
            }
            let Sequence { past, key, .. } = *sequence;
            segments.push(Segment { first, count, past, pages: &sequence.pages, sequence: key });
        }
        let batch = Batch { tokens: &self.tokens, segments: &segments, logit_rows: &self.rows };
        let logits = self.model.step(&batch).map_err(|error| {
            let kind = if matches!(error, StepError::Memory { .. }) { FailureKind::Busy } else { FailureKind::Model };
            failed(kind, error.to_string())
        })?;
        let width = self.shape.vocabulary.max(1);
        if logits.len() != self.rows.len() * width {
            let (rows, numbers) = (self.rows.len(), logits.len());
            let why = format!("the model's graph gave {numbers} logits for {rows} rows of {width}");
            return Err(failed(FailureKind::Model, why));
        }
        let mut rows = logits.chunks_exact(width);
        for &(place, count) in planned {
            let Some(sequence) = running.get_mut(place) else { continue };
            sequence.past += count;
            sequence.index(&mut self.pool);
            if sequence.past < sequence.tokens.len() {
                continue;
            }
            let (Some(row), Some(request)) = (rows.next(), self.requests.get_mut(&sequence.request)) else { continue };
            let text = self.prepare.text();
            self.stats.completion_tokens += 1;
            sequence.advance(row, request, text, &mut self.scratch, &mut self.sink);
        }
        Ok(())
    }

    /// Sorts out which sequences go on after a step.
    fn settle(&mut self, running: Vec<Sequence>) {
        let mut failures = Vec::new();
        for mut sequence in running {
            match sequence.over.take() {
                None => self.running.push(sequence),
                Some(Ok(())) => {
                    self.release(&mut sequence);
                    self.one_done(sequence.request);
                }
                Some(Err(failure)) => {
                    self.release(&mut sequence);
                    failures.push((sequence.request, failure));
                }
            }
        }
        for (id, failure) in failures {
            self.fail(id, &failure);
            if failure.kind == FailureKind::Model {
                // What led to bad logits must not be read again.
                self.pool.forget();
            }
        }
        // Further answers may begin once the first has read the prompt.
        for request in self.requests.values_mut().filter(|request| request.first_token.is_some()) {
            while let Some(sequence) = request.later.pop() {
                self.waiting.push_front(sequence);
            }
        }
    }

    /// One answer of a request is complete.
    fn one_done(&mut self, id: RequestId) {
        let Some(request) = self.requests.get_mut(&id) else { return };
        request.left = request.left.saturating_sub(1);
        if request.left == 0 {
            let usage = request.usage();
            self.requests.remove(&id);
            (self.sink)(id, Event::Done { usage });
        }
    }

    /// A request ends here, once, with all its answers.
    fn fail(&mut self, id: RequestId, failure: &Failure) {
        if self.requests.contains_key(&id) {
            self.cancel(id);
            self.refuse(id, failure.clone());
        }
    }

    /// Takes a sequence's pages and puts it before all that wait.
    fn preempt(&mut self, mut sequence: Sequence) {
        self.release(&mut sequence);
        sequence.fresh = false;
        self.waiting.push_front(sequence);
    }

    fn release(&mut self, sequence: &mut Sequence) {
        sequence.release(&mut self.pool);
        self.model.released(sequence.key);
    }
}

#[cfg(test)]
mod chat_tests;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;
