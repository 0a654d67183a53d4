//! Texts of all callers in one ragged batch after the other.
//!
//! A batch takes a text of each request in turn until its tokens are enough,
//! so that a request of one text does not wait for one of thousands. What a
//! text becomes does not depend on the texts beside it.

use std::collections::VecDeque;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use weighbridge_inference_wire::{Event, Failure, FailureKind, RequestId, Stats, Usage};

use super::pooling::of_tokens;
use super::reader::{Row, Wanted, Work};
use super::{DAMAGED, Settings, check_size, failure, normalise};
use crate::failure::{failed, model};
use crate::model::StepError;

/// Texts side by side; nothing is padded.
#[derive(Debug, Clone, Copy)]
pub struct Texts<'a> {
    /// Tokens, text after text.
    pub tokens: &'a [u32],
    /// Which text of a pair each is of.
    pub types: &'a [u32],
    /// Tokens of each text, none of them 0.
    pub counts: &'a [usize],
}

/// What a model makes of texts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Read<'a> {
    /// A row for each text.
    Texts(&'a [f32]),
    /// A row for each token.
    Tokens(&'a [f32]),
}

/// Reads whole texts, of different lengths at once.
pub trait EncoderModel {
    /// Numbers in a row of its output.
    fn size(&self) -> usize;

    /// Rows for all of `texts`.
    ///
    /// # Errors
    /// [`StepError`].
    fn read(&mut self, texts: &Texts<'_>) -> Result<Read<'_>, StepError>;
}

/// What a queue allows itself.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Most tokens in a batch, unless one text has more.
    pub batch_tokens: usize,
    /// Most requests that wait.
    pub requests_max: usize,
    /// Most tokens that wait, unless one request has more.
    pub tokens_max: usize,
    /// Most numbers that answers to all who wait may have, with the same
    /// exception.
    pub numbers_max: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { batch_tokens: 2048, requests_max: 4096, tokens_max: 4 << 20, numbers_max: 64 << 20 }
    }
}

/// A request on its way.
struct Job {
    id: RequestId,
    wanted: Wanted,
    /// Texts it has in all.
    texts: usize,
    /// Texts not yet read.
    rows: VecDeque<Row>,
    /// What became of the others, one after the other.
    out: Vec<f32>,
    failure: Option<Failure>,
    usage: Usage,
    came: Instant,
    began: Option<Instant>,
}

/// Reads the texts of many requests with one model. `sink` hears what comes of
/// each.
pub struct Queue<M, S> {
    model: M,
    settings: Settings,
    bounds: Bounds,
    sink: S,
    /// In the order they came.
    jobs: VecDeque<Job>,
    waiting_tokens: usize,
    /// Whose text did not fit the last batch: it is the first of the next.
    turn: Option<RequestId>,
    stats: Stats,
    /// Kept between batches to save allocations.
    tokens: Vec<u32>,
    types: Vec<u32>,
    counts: Vec<usize>,
    /// Places among `jobs` of the batch's texts.
    places: Vec<usize>,
}

impl<M: EncoderModel, S: FnMut(RequestId, Event)> Queue<M, S> {
    /// A queue without requests.
    pub fn new(model: M, settings: Settings, bounds: Bounds, sink: S) -> Self {
        Self {
            model,
            settings,
            bounds,
            sink,
            jobs: VecDeque::new(),
            waiting_tokens: 0,
            turn: None,
            stats: Stats::default(),
            tokens: Vec::new(),
            types: Vec::new(),
            counts: Vec::new(),
            places: Vec::new(),
        }
    }

    /// Whether there is nothing to do.
    pub fn is_idle(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Figures so far.
    pub fn stats(&self) -> Stats {
        Stats { waiting: u32::try_from(self.jobs.len()).unwrap_or(u32::MAX), ..self.stats }
    }

    /// Takes a request; refuses it where too much waits already.
    pub fn enqueue(&mut self, id: RequestId, work: Work) {
        if let Err(failure) = self.check(&work) {
            return self.refuse(id, failure);
        }
        let tokens = tokens_of(&work.rows);
        self.waiting_tokens += tokens;
        let usage = Usage { prompt_tokens: u32::try_from(tokens).unwrap_or(u32::MAX), ..Usage::default() };
        let job = Job {
            id,
            wanted: work.wanted,
            texts: work.rows.len(),
            rows: work.rows.into(),
            out: Vec::new(),
            failure: None,
            usage,
            came: Instant::now(),
            began: None,
        };
        self.jobs.push_back(job);
    }

    fn check(&self, work: &Work) -> Result<(), Failure> {
        if let Wanted::Vectors { dimensions: Some(size) } = work.wanted {
            check_size(usize::try_from(size).unwrap_or(usize::MAX), self.model.size())?;
        }
        let (jobs, tokens) = (self.jobs.len(), tokens_of(&work.rows));
        let texts = self.jobs.iter().map(|job| job.texts).sum::<usize>() + work.rows.len();
        let full = jobs >= self.bounds.requests_max
            || jobs > 0
                && (self.waiting_tokens.saturating_add(tokens) > self.bounds.tokens_max
                    || texts.saturating_mul(self.model.size()) > self.bounds.numbers_max);
        if full {
            let why = format!("{jobs} requests with {} tokens wait already; try again later", self.waiting_tokens);
            return Err(failed(FailureKind::Busy, why));
        }
        Ok(())
    }

    /// Ends a request before it began.
    pub fn refuse(&mut self, id: RequestId, failure: Failure) {
        (self.sink)(id, Event::Failed { failure });
    }

    /// Forgets a request that nobody waits for.
    pub fn cancel(&mut self, id: RequestId) {
        self.jobs.retain(|job| job.id != id);
        self.waiting_tokens = self.jobs.iter().flat_map(|job| &job.rows).map(|row| row.tokens.len()).sum();
    }

    /// Reads one batch, if there is something to read, and answers requests
    /// that are complete with it.
    pub fn step(&mut self) {
        self.plan();
        if self.places.is_empty() {
            return;
        }
        let begun = Instant::now();
        let texts = Texts { tokens: &self.tokens, types: &self.types, counts: &self.counts };
        let size = self.model.size();
        match self.model.read(&texts) {
            Ok(read) => {
                let settings = &self.settings;
                let mut first = 0;
                for (n, (place, count)) in self.places.iter().zip(&self.counts).enumerate() {
                    let vector = match read {
                        Read::Texts(rows) => rows.get(n * size..(n + 1) * size).map(<[f32]>::to_vec),
                        Read::Tokens(rows) => rows
                            .get(first * size..(first + count) * size)
                            .map(|rows| of_tokens(rows.chunks_exact(size.max(1)), size, settings.pooling)),
                    };
                    first += count;
                    let vector = vector.ok_or_else(|| model("the model gives fewer rows than there are texts"));
                    if let Some(job) = self.jobs.get_mut(*place) {
                        job.take(vector, settings);
                    }
                }
            }
            Err(error) => {
                let failure = failure(&error);
                for place in &self.places {
                    if let Some(job) = self.jobs.get_mut(*place) {
                        job.failure = Some(failure.clone());
                    }
                }
            }
        }
        self.stats.steps += 1;
        self.stats.step_us += micros(begun);
        self.stats.prompt_tokens += self.tokens.len() as u64;
        self.answer();
    }

    /// Fills the next batch.
    fn plan(&mut self) {
        let (tokens, types) = (&mut self.tokens, &mut self.types);
        tokens.clear();
        types.clear();
        self.counts.clear();
        self.places.clear();
        let mut place = self.jobs.iter().position(|job| Some(job.id) == self.turn).unwrap_or(0);
        // Requests in a row that have nothing left.
        let mut without = 0;
        while without < self.jobs.len() {
            let Some(job) = self.jobs.get_mut(place) else { break };
            if let Some(row) = job.rows.front() {
                if !tokens.is_empty() && tokens.len() + row.tokens.len() > self.bounds.batch_tokens {
                    self.turn = Some(job.id);
                    break;
                }
                tokens.extend_from_slice(&row.tokens);
                types.extend_from_slice(&row.types);
                self.counts.push(row.tokens.len());
                self.places.push(place);
                job.rows.pop_front();
                job.began.get_or_insert_with(Instant::now);
                without = 0;
            } else {
                without += 1;
            }
            place = if place + 1 < self.jobs.len() { place + 1 } else { 0 };
        }
        self.waiting_tokens = self.waiting_tokens.saturating_sub(tokens.len());
    }

    /// Answers and forgets requests that are complete, or failed.
    fn answer(&mut self) {
        let over = |job: &Job| job.rows.is_empty() || job.failure.is_some();
        if !self.jobs.iter().any(over) {
            return;
        }
        for job in std::mem::take(&mut self.jobs) {
            if !over(&job) {
                self.jobs.push_back(job);
                continue;
            }
            self.waiting_tokens = self.waiting_tokens.saturating_sub(job.rows.iter().map(|r| r.tokens.len()).sum());
            let id = job.id;
            match job.finish(self.model.size()) {
                Ok((event, usage)) => {
                    (self.sink)(id, event);
                    (self.sink)(id, Event::Done { usage });
                }
                Err(failure) => (self.sink)(id, Event::Failed { failure }),
            }
        }
    }
}

impl Job {
    /// Keeps what became of its next text.
    fn take(&mut self, vector: Result<Vec<f32>, Failure>, settings: &Settings) {
        let finished = vector.and_then(|mut vector| {
            if vector.iter().any(|number| !number.is_finite()) {
                return Err(model(DAMAGED));
            }
            match self.wanted {
                Wanted::Scores => {
                    let score = settings.activation.score(&vector);
                    Ok(vec![score.ok_or_else(|| model("the model gives no score for a pair; it is no reranker"))?])
                }
                Wanted::Vectors { dimensions } => {
                    vector.truncate(dimensions.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX)));
                    if settings.normalises {
                        normalise(&mut vector);
                    }
                    Ok(vector)
                }
            }
        });
        match finished {
            Ok(numbers) => self.out.extend(numbers),
            Err(failure) => self.failure = Some(failure),
        }
    }

    fn finish(self, size: usize) -> Result<(Event, Usage), Failure> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let began = self.began.unwrap_or(self.came);
        let queue_us = u64::try_from(began.duration_since(self.came).as_micros()).unwrap_or(u64::MAX);
        let usage = Usage { queue_us, prefill_us: micros(began), ..self.usage };
        let event = match self.wanted {
            Wanted::Scores => Event::Scores { scores: self.out },
            Wanted::Vectors { dimensions } => {
                let size = dimensions.map_or_else(|| u32::try_from(size), Ok);
                let bytes: Vec<u8> = self.out.iter().flat_map(|number| number.to_le_bytes()).collect();
                let size = size.map_err(|_| model("the model's vectors are too long"))?;
                Event::Vectors { size, data: STANDARD.encode(bytes) }
            }
        };
        Ok((event, usage))
    }
}

fn tokens_of(rows: &[Row]) -> usize {
    rows.iter().map(|row| row.tokens.len()).sum()
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
