//! One request from decision to record.

mod open;

use std::sync::Arc;
use std::time::Instant;

use axum::http::{HeaderMap, HeaderValue};
use jiff::Timestamp;
use serde_json::json;
use weighbridge_inference_wire::{Event, Failure, FailureKind, Usage};

use crate::answer::Answer;
use crate::app::Inner;
use crate::door::Visit;
use crate::models::{ModelInfo, Work};
use crate::problem::{Problem, Result};
use crate::quota::Share;
use crate::record::{Outcome, RequestRecord};
use crate::room::Hold;
use crate::upstream::Route;

/// Tokens counted before they are charged.
const CHARGE_TOKENS: u64 = 16;
/// Most text kept of a prompt or an answer, bytes.
const KEPT_BYTES_MAX: usize = 1 << 20;
/// Bytes to a token, where nobody counted.
const TOKEN_BYTES: u64 = 4;

/// Where a request is answered.
#[derive(Clone)]
pub(crate) enum Place {
    Local(Arc<ModelInfo>),
    Provider(Arc<Route>),
}

/// A request that was allowed. Dropped, it is recorded.
pub(crate) struct Ticket {
    app: Arc<Inner>,
    visit: Visit,
    pub place: Place,
    entry: RequestRecord,
    /// Among served names, for metrics.
    series: String,
    started: Instant,
    share: Option<Share>,
    /// Tokens written, those that were charged and those that were not.
    charged: u64,
    uncharged: u64,
    /// Tokens that the prompt has, about.
    prompt_estimate: u64,
    /// What the caller may have was used up while this was written.
    spent: Option<Problem>,
    keeps: bool,
    notice: Option<HeaderValue>,
    /// For what was sent, wherever it waits.
    _room: Hold,
}

impl Ticket {
    /// The model, if it is here: only OpenAI's interface reaches providers.
    pub fn local(&mut self) -> Result<Arc<ModelInfo>> {
        match &self.place {
            Place::Local(model) => Ok(model.clone()),
            Place::Provider(route) => {
                let message = format!(
                    "`{}` is a model of provider `{}`, which this interface does not reach; use /v1/chat/completions",
                    route.name(),
                    route.provider()
                );
                Err(self.refuse(Problem::field("model", message)))
            }
        }
    }

    /// Hands `works` to the model, all at once.
    pub async fn submit(mut self, works: Vec<Work>, choices: u32) -> Result<Answer> {
        let model = self.local()?;
        let served = open::served(&model);
        self.check(served)?;
        self.reserve(works.iter().map(read).fold(0, usize::saturating_add))?;
        if self.keeps {
            let text = works.iter().map(shown).collect::<Vec<_>>().join("\n");
            self.entry.prompt = Some(cut(text));
        }
        let mut parts = Vec::with_capacity(works.len());
        for work in works {
            match self.app.models.submit(&model, work, &self.visit.caller).await {
                Ok(events) => parts.push(events),
                Err(refusal) => return Err(self.refuse(refusal.into())),
            }
        }
        Ok(Answer::new(self, parts, choices))
    }

    /// Charges what reading that many bytes will take, about, before they are
    /// read: requests side by side see what the others have begun.
    fn reserve(&mut self, bytes: usize) -> Result<()> {
        self.prompt_estimate = u64::try_from(bytes).unwrap_or(u64::MAX) / TOKEN_BYTES;
        let reserved = self.share.as_mut().map_or(Ok(()), |s| s.reserve(self.prompt_estimate, Timestamp::now()));
        self.check(reserved)
    }

    /// Ends with `problem`, and gives it back.
    pub fn refuse(&mut self, problem: Problem) -> Problem {
        self.entry.outcome = problem.outcome();
        self.entry.reason = Some(problem.reason());
        problem
    }

    /// `outcome`, or ends with its problem.
    pub fn check<T>(&mut self, outcome: Result<T>) -> Result<T> {
        outcome.map_err(|problem| self.refuse(problem))
    }

    /// Takes note of `event`.
    pub fn see(&mut self, event: &Event) {
        match event {
            Event::Text { text, .. } => {
                self.token();
                if self.keeps {
                    self.keep(text);
                }
            }
            Event::Call { call, .. } => {
                self.token();
                if self.keeps {
                    self.keep(&format!("{}({})", call.name, call.arguments));
                }
            }
            Event::Failed { failure } => {
                self.refuse(failure.clone().into());
            }
            _ => {}
        }
    }

    /// A token came.
    pub fn token(&mut self) {
        if self.entry.first_token_us.is_none() {
            self.entry.first_token_us = Some(micros(self.started));
        }
        self.uncharged += 1;
        if self.uncharged >= CHARGE_TOKENS {
            self.charge(self.uncharged);
        }
    }

    pub fn keep(&mut self, text: &str) {
        let kept = self.entry.answer.get_or_insert_default();
        if self.keeps && kept.len() < KEPT_BYTES_MAX {
            kept.push_str(text);
        }
    }

    /// Takes note of what is asked; keeps it only if policy obliges to.
    pub fn keep_prompt(&mut self, text: &[u8]) -> Result<()> {
        if self.keeps {
            self.entry.prompt = Some(cut(String::from_utf8_lossy(text).into_owned()));
        }
        self.reserve(text.len())
    }

    /// Whether the answer must end: the caller has used up what it may have.
    pub fn spent(&mut self) -> Option<Failure> {
        let problem = self.spent.clone()?;
        let message = self.refuse(problem).message;
        Some(Failure { kind: FailureKind::Limited, message, field: None })
    }

    /// `failure` as its caller is told.
    pub fn problem(&self, failure: Failure) -> Problem {
        match &self.spent {
            Some(problem) if failure.kind == FailureKind::Limited => problem.clone(),
            _ => failure.into(),
        }
    }

    /// It was answered, at the cost of `usage`.
    pub fn done(&mut self, usage: &Usage) {
        self.entry.outcome = Outcome::Answered;
        self.entry.prompt_tokens = usage.prompt_tokens.into();
        self.entry.cached_tokens = usage.cached_tokens.into();
        self.entry.completion_tokens = usage.completion_tokens.into();
        if let Some(share) = &mut self.share {
            share.settle(self.entry.prompt_tokens, Timestamp::now());
        }
        self.charge(self.entry.completion_tokens.saturating_sub(self.charged));
    }

    /// What it took, where nobody tells: a token for each piece, and the length
    /// of the prompt.
    pub fn estimate(&self) -> Usage {
        let cut = |tokens: u64| u32::try_from(tokens).unwrap_or(u32::MAX);
        Usage {
            prompt_tokens: cut(self.prompt_estimate),
            completion_tokens: cut(self.charged.saturating_add(self.uncharged)),
            ..Usage::default()
        }
    }

    fn charge(&mut self, tokens: u64) {
        self.charged = self.charged.saturating_add(tokens);
        self.uncharged = 0;
        if let Some(share) = &self.share {
            self.spent = share.charge(tokens, Timestamp::now());
        }
    }

    /// Says in `headers` where and why there.
    pub fn stamp(&self, headers: &mut HeaderMap) {
        let mut put = |name: &'static str, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        };
        put("x-weighbridge-answered-by", &self.entry.answered_by);
        put("x-weighbridge-why", &self.entry.why);
        if let Some(notice) = &self.notice {
            headers.insert("x-weighbridge-notice", notice.clone());
        }
    }

    pub fn limits(&self) -> &crate::config::Limits {
        &self.app.config.limits
    }

    pub fn id(&self) -> &str {
        &self.visit.id
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // Whoever leaves before the end still had it read and written.
        if self.entry.outcome != Outcome::Answered && self.share.is_some() {
            let written = self.charged.saturating_add(self.uncharged);
            self.charge(self.uncharged);
            if let Some(share) = &mut self.share
                && !matches!(self.entry.outcome, Outcome::Cancelled | Outcome::Limited)
            {
                share.settle(0, Timestamp::now());
            }
            self.entry.completion_tokens = written;
        }
        self.entry.latency_us = micros(self.started);
        self.app.metrics.count(&self.series, &self.entry);
        self.app.record.record(self.entry.clone());
    }
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// Bytes that `work` has a model read as text. Tensors are no text, and a
/// query is read with each document.
fn read(work: &Work) -> usize {
    match work {
        Work::Infer(_) => 0,
        Work::Rerank(rerank) => {
            work.bytes().saturating_add(rerank.query.len().saturating_mul(rerank.documents.len().saturating_sub(1)))
        }
        other => other.bytes(),
    }
}

/// What `work` asks, for the record.
fn shown(work: &Work) -> String {
    match work {
        Work::Generate(generate) => json!(generate.prompt).to_string(),
        Work::Embed(embed) => json!(embed).to_string(),
        Work::Rerank(rerank) => json!(rerank).to_string(),
        Work::Infer(infer) => json!(infer).to_string(),
    }
}

fn cut(mut text: String) -> String {
    let end = (0..=KEPT_BYTES_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    if text.len() > KEPT_BYTES_MAX {
        text.truncate(end);
    }
    text
}
