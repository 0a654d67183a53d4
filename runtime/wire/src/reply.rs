use serde::{Deserialize, Serialize};

use crate::{RequestId, Tensor};

/// From a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum FromWorker {
    /// How far loading is; more follow until [`FromWorker::Ready`].
    Loading(Load),
    /// The model can be used.
    Ready(Box<Facts>),
    /// It never will be.
    Refused(Failure),
    /// Something came of a request.
    Event {
        /// Of the request.
        id: RequestId,
        /// What.
        event: Event,
    },
    /// Answer to [`crate::ToWorker::Stats`].
    Stats(Stats),
}

/// A step of loading.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// What is being done, for people.
    pub step: String,
    /// Layers of confinement that are missing, with the reason.
    pub unconfined: Vec<(String, String)>,
}

/// What a loaded model can do.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// Writes text.
    pub generates: bool,
    /// Has a chat template.
    pub chats: bool,
    /// Its template knows tools.
    pub calls_tools: bool,
    /// Turns text into vectors of that many numbers.
    pub embedding_size: Option<u32>,
    /// Orders documents.
    pub reranks: bool,
    /// Architecture as in its own configuration: `qwen2`, `bert`.
    pub architecture: String,
    /// Longest sequence, tokens.
    pub context_length: usize,
    /// Number of tokens known.
    pub vocabulary: usize,
    /// Number of weights.
    pub parameters: u64,
    /// How they are stored: `int4`, `f32`.
    pub quantization: String,
    /// The chat template, for those who ask (`/api/show`).
    pub template: Option<String>,
    /// Inputs of the graph: name, element type, shape (-1 for any).
    pub inputs: Vec<(String, String, Vec<i64>)>,
    /// Outputs of the graph.
    pub outputs: Vec<(String, String, Vec<i64>)>,
    /// Milliseconds that loading took.
    pub load_ms: u64,
}

/// Something that came of a request. A request ends with
/// [`Event::Done`] or [`Event::Failed`], once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// More text of one answer.
    Text {
        /// Which answer, from 0.
        choice: u32,
        /// Whole characters.
        text: String,
        /// Thoughts before the answer rather than the answer.
        thought: bool,
        /// The tokens it is made of, if asked for.
        chances: Vec<TokenChance>,
    },
    /// The model calls a function.
    Call {
        /// Which answer.
        choice: u32,
        /// The call.
        call: Call,
    },
    /// One answer is complete.
    Finished {
        /// Which.
        choice: u32,
        /// Why.
        reason: FinishReason,
    },
    /// Vectors of all texts.
    Vectors {
        /// Numbers in each.
        size: u32,
        /// Base64 of `f32`, little-endian, text after text.
        data: String,
    },
    /// Score of each document, in the order given; more is better.
    Scores {
        /// Numbers.
        scores: Vec<f32>,
    },
    /// Outputs of a run.
    Tensors {
        /// By name.
        outputs: Vec<Tensor>,
    },
    /// All is said.
    Done {
        /// What it took.
        usage: Usage,
    },
    /// It cannot be done, or no further.
    Failed {
        /// Why.
        failure: Failure,
    },
}

/// A call of a function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Place among the calls of the answer, from 0.
    pub index: u32,
    /// Which function.
    pub name: String,
    /// JSON object, as text.
    pub arguments: String,
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FinishReason {
    /// The model, or a stop text, or the constraint ended it.
    Stop,
    /// As many tokens as asked for, or as fit.
    Length,
    /// It calls functions.
    Calls,
}

/// How likely a token was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenChance {
    /// The token.
    pub token: u32,
    /// Its text, as far as it is text alone.
    pub text: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Natural logarithm of its probability.
    pub logprob: f32,
    /// The likeliest at this place, best first: token, text, bytes, logarithm.
    pub likeliest: Vec<(u32, String, Vec<u8>, f32)>,
}

/// What a request took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Tokens read.
    pub prompt_tokens: u32,
    /// Of them, found in the prefix cache.
    pub cached_tokens: u32,
    /// Tokens written, all answers together.
    pub completion_tokens: u32,
    /// Of them, thoughts.
    pub thought_tokens: u32,
    /// Before the first step, microseconds.
    pub queue_us: u64,
    /// From first step to first token, microseconds.
    pub prefill_us: u64,
    /// From first token to last, microseconds.
    pub decode_us: u64,
}

/// Why something cannot be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind.
    pub kind: FailureKind,
    /// For people: what failed, on what, what to do next.
    pub message: String,
    /// Which field of the request is at fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

/// Kinds of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// The request is wrong; the same request will fail again.
    Invalid,
    /// The prompt does not fit the context.
    TooLong,
    /// The model does not do that (chat without a template).
    Unsupported,
    /// No memory or no room in the queue now; try later.
    Busy,
    /// The model's own fault: a bad graph, a bad template.
    Model,
    /// The worker went away.
    Gone,
    /// Policy took the model back. No worker says so.
    Revoked,
    /// The caller has used up what it may have. No worker says so.
    Limited,
    /// Our fault.
    Internal,
}

/// Figures of a worker, since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stats {
    /// Sequences that write now.
    pub running: u32,
    /// Requests that wait.
    pub waiting: u32,
    /// Pages of keys and values: all, and those in use by sequences.
    pub pages: u32,
    /// In use by sequences that run.
    pub pages_used: u32,
    /// Kept for later requests with the same beginning.
    pub pages_cached: u32,
    /// Tokens read.
    pub prompt_tokens: u64,
    /// Of them, found in the prefix cache.
    pub cached_tokens: u64,
    /// Tokens written.
    pub completion_tokens: u64,
    /// Steps of the model.
    pub steps: u64,
    /// Time in them, microseconds.
    pub step_us: u64,
    /// Resident memory, bytes.
    pub resident_bytes: u64,
}
