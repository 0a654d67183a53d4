//! One request from decision to record.

use std::sync::Arc;
use std::time::Instant;

use axum::http::{HeaderMap, HeaderValue, StatusCode};
use jiff::Timestamp;
use serde_json::json;
use weighbridge_inference_wire::{Event, Usage};
use weighbridge_types::ObligationKind;

use crate::answer::Answer;
use crate::app::Inner;
use crate::authority::Ruling;
use crate::door::Visit;
use crate::models::{ModelInfo, ModelState, Work};
use crate::problem::{Problem, Result};
use crate::quota::Share;
use crate::record::{Outcome, RequestRecord};
use crate::upstream::Route;

/// Tokens counted before they are charged.
const CHARGE_TOKENS: u64 = 64;
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
    charged: u64,
    uncharged: u64,
    prompt_estimate: u64,
    keeps: bool,
    notice: Option<HeaderValue>,
}

impl Inner {
    /// Decides about a request for `model`, and counts it.
    pub fn open(self: &Arc<Self>, visit: &Visit, model: &str, endpoint: &'static str) -> Result<Ticket> {
        let place = match self.models.find(model) {
            Some(model) => Place::Local(model),
            None => Place::Provider(self.upstream.route(model).ok_or_else(|| Problem::no_model(model))?),
        };
        let caller = &visit.caller;
        let class = visit.data_class.as_deref().or(self.config.data_class.as_deref());
        let (action, ruling, what, series) = match &place {
            Place::Local(model) => {
                let what = format!("`{}` to answer {}", model.id, caller.shown());
                ("infer", self.authority.infer(caller, model), what, model.id.clone())
            }
            Place::Provider(route) => {
                let id = route.provider();
                let ruling = self.authority.route(caller, id, class);
                let what = format!("data of {} to go to provider `{id}`", caller.shown());
                ("routeToProvider", ruling, what, route.name().to_owned())
            }
        };
        let mut ticket = Ticket {
            entry: self.entry(visit, model, endpoint, action, &place, &ruling),
            app: self.clone(),
            visit: visit.clone(),
            series,
            started: Instant::now(),
            share: None,
            charged: 0,
            uncharged: 0,
            prompt_estimate: 0,
            keeps: ruling.obliges(ObligationKind::RecordPrompt).is_some(),
            notice: ruling
                .obliges(ObligationKind::NotifyUser)
                .and_then(|o| HeaderValue::from_str(o.argument.as_deref()?).ok()),
            place,
        };
        if let Place::Provider(_) = ticket.place {
            ticket.entry.data_class = class.map(str::to_owned);
        }
        if !ruling.allowed {
            let mut refused = Problem::new(StatusCode::FORBIDDEN, "policy_denied", ruling.refusal(&what));
            refused.field = Some("model".to_owned());
            return Err(ticket.refuse(refused));
        }
        let (name, now) = (caller.shown(), ticket.entry.time);
        match self.quotas.begin(&name, now).and_then(|share| self.quotas.rate(&name, &ruling, now).map(|()| share)) {
            Ok(share) => ticket.share = Some(share),
            Err(problem) => return Err(ticket.refuse(problem)),
        }
        Ok(ticket)
    }

    fn entry(
        &self,
        visit: &Visit,
        model: &str,
        endpoint: &'static str,
        action: &'static str,
        place: &Place,
        ruling: &Ruling,
    ) -> RequestRecord {
        let caller = &visit.caller;
        let (digest, by, why) = match place {
            Place::Local(model) => (model.digest, "local".to_owned(), "the model is served on this machine".to_owned()),
            Place::Provider(route) => (None, format!("provider:{}", route.provider()), route.why()),
        };
        RequestRecord {
            time: Timestamp::now(),
            id: visit.id.clone(),
            caller: caller.shown(),
            uid: caller.uid,
            pid: caller.pid,
            process: caller.process.clone(),
            model: model.chars().take(256).collect(),
            digest,
            action,
            endpoint,
            allowed: ruling.allowed,
            policies: ruling.policies.clone(),
            policy_version: ruling.version.clone(),
            obligations: ruling.obligations.clone(),
            data_class: None,
            answered_by: if ruling.allowed { by } else { "nobody".to_owned() },
            why,
            outcome: Outcome::Cancelled,
            reason: None,
            prompt_tokens: 0,
            cached_tokens: 0,
            completion_tokens: 0,
            latency_us: 0,
            first_token_us: None,
            prompt: None,
            answer: None,
        }
    }
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
        if let ModelState::Failed(why) | ModelState::Revoked(why) = &model.state {
            let message = format!("model `{}` is not served any more: {why}", model.id);
            return Err(self.refuse(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "model_unavailable", message)));
        }
        let bytes: usize = works.iter().map(size).sum();
        self.prompt_estimate = u64::try_from(bytes).unwrap_or(u64::MAX) / TOKEN_BYTES;
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

    /// Ends with `problem`, and gives it back.
    pub fn refuse(&mut self, problem: Problem) -> Problem {
        self.entry.outcome = problem.outcome();
        self.entry.reason = Some(problem.message.chars().take(1024).collect());
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
    pub fn keep_prompt(&mut self, text: &[u8]) {
        self.prompt_estimate = u64::try_from(text.len()).unwrap_or(u64::MAX) / TOKEN_BYTES;
        if self.keeps {
            self.entry.prompt = Some(cut(String::from_utf8_lossy(text).into_owned()));
        }
    }

    /// It was answered, at the cost of `usage`.
    pub fn done(&mut self, usage: &Usage) {
        self.entry.outcome = Outcome::Answered;
        self.entry.prompt_tokens = usage.prompt_tokens.into();
        self.entry.cached_tokens = usage.cached_tokens.into();
        self.entry.completion_tokens = usage.completion_tokens.into();
        let all = self.entry.prompt_tokens + self.entry.completion_tokens;
        self.uncharged = 0;
        self.prompt_estimate = 0;
        self.charge(all.saturating_sub(self.charged));
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
            share.charge(tokens, Timestamp::now());
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
            if self.entry.outcome == Outcome::Cancelled {
                self.charge(self.uncharged.saturating_add(self.prompt_estimate));
            } else {
                self.charge(self.uncharged);
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

/// Bytes of text in `work`.
fn size(work: &Work) -> usize {
    use weighbridge_inference_wire::Prompt;
    match work {
        Work::Generate(generate) => match &generate.prompt {
            Prompt::Text(text) => text.len(),
            Prompt::Tokens(tokens) => tokens.len().saturating_mul(4),
            Prompt::Chat(chat) => chat.messages.iter().map(|m| m.content.len()).sum(),
        },
        Work::Embed(embed) => embed.texts.iter().map(String::len).sum(),
        Work::Rerank(rerank) => rerank.documents.iter().map(String::len).sum(),
        Work::Infer(_) => 0,
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
