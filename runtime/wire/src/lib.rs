//! Messages between the inference gateway and the confined model workers.
//!
//! Job: one vocabulary for "what to run" and "what came of it", free of HTTP
//! and of any model's own format. A message is one JSON frame; descriptors
//! travel beside [`ToWorker::Open`] and [`ToWorker::Rest`] alone.
//!
//! Trust boundary: a worker has read hostile bytes, so the gateway believes
//! nothing in [`FromWorker`] but its shape, and bounds what it keeps of it. A
//! worker believes the gateway.
//!
//! Deliberately unknown here: callers, policy, paths.
#![forbid(unsafe_code)]

mod reply;
mod request;

pub use reply::{Call, Event, Facts, Failure, FailureKind, FinishReason, FromWorker, Load, Stats, TokenChance, Usage};
pub use request::{
    Chat, Constraint, Embed, Generate, Infer, Message, Open, Part, PartRole, Prompt, Rerank, Sampling, Tensor,
    TensorType, ToWorker, Tool, ToolCall, ToolChoice,
};

/// Version of these messages. A worker of another version is refused.
pub const VERSION: u32 = 3;
/// Largest frame either way, bytes.
pub const FRAME_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Identifies a request within one worker.
pub type RequestId = u64;
