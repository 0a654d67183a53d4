//! What is kept of every request.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Serialize;
use weighbridge_types::{Obligation, Sha256};

use crate::identity::Caller;

/// Takes one entry per request. It must not wait: it is called from the tasks
/// that serve.
pub trait Record: Send + Sync + 'static {
    /// Keeps `entry`.
    fn record(&self, entry: RequestRecord);
}

/// Who asked for what, what was decided, and what it took. What was said is
/// in it only where policy obliges to keep it.
#[derive(Debug, Clone, Serialize)]
pub struct RequestRecord {
    /// When it began.
    pub time: Timestamp,
    /// Its number, as in `X-Request-Id`.
    pub id: String,
    /// `user:alice`, `service-account:ci`, `workload:anonymous`.
    pub caller: String,
    /// The operating system's number of the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// The process, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Its program, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// As asked for, cut to 256 bytes.
    pub model: String,
    /// Of the bytes that answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Sha256>,
    /// `infer` or `routeToProvider`.
    pub action: &'static str,
    /// Path of the interface.
    pub endpoint: Cow<'static, str>,
    /// Whether it was allowed.
    pub allowed: bool,
    /// `@id` of the policies that decided.
    pub policies: Vec<String>,
    /// Version of the policy.
    pub policy_version: String,
    /// What the decision obliges to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub obligations: Vec<Obligation>,
    /// Class of the data, as far as a provider was considered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_class: Option<String>,
    /// `local`, `provider:NAME`, or `nobody`.
    pub answered_by: String,
    /// Why there.
    pub why: String,
    /// How it ended.
    pub outcome: Outcome,
    /// For people, if it did not end well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Tokens read.
    pub prompt_tokens: u64,
    /// Of them, found in the prefix cache.
    pub cached_tokens: u64,
    /// Tokens written.
    pub completion_tokens: u64,
    /// From beginning to end, microseconds.
    pub latency_us: u64,
    /// Until the first token, microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_token_us: Option<u64>,
    /// What was asked, if policy obliges to keep it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// What was answered, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
}

impl RequestRecord {
    /// A request that nothing is decided about: it was refused.
    pub(crate) fn of(caller: &Caller, id: &str, endpoint: impl Into<Cow<'static, str>>) -> Self {
        Self {
            time: Timestamp::now(),
            id: id.to_owned(),
            caller: caller.shown(),
            uid: caller.uid,
            pid: caller.pid,
            process: caller.process.clone(),
            model: String::new(),
            digest: None,
            action: "infer",
            endpoint: endpoint.into(),
            allowed: false,
            policies: Vec::new(),
            policy_version: String::new(),
            obligations: Vec::new(),
            data_class: None,
            answered_by: "nobody".to_owned(),
            why: String::new(),
            outcome: Outcome::Denied,
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

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was answered.
    Answered,
    /// The caller went away.
    Cancelled,
    /// Policy said no, or nobody knows who asked.
    Denied,
    /// A quota or rate was used up.
    Limited,
    /// The request was wrong.
    Invalid,
    /// It could not be done now.
    Busy,
    /// The model, the provider or we failed.
    Failed,
}

impl Outcome {
    /// All of them.
    pub(crate) const ALL: [Self; 7] =
        [Self::Answered, Self::Cancelled, Self::Denied, Self::Limited, Self::Invalid, Self::Busy, Self::Failed];

    /// As in records and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Cancelled => "cancelled",
            Self::Denied => "denied",
            Self::Limited => "limited",
            Self::Invalid => "invalid",
            Self::Busy => "busy",
            Self::Failed => "failed",
        }
    }
}
