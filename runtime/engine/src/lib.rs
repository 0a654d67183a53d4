//! Everything of text generation but the arithmetic.
//!
//! Job: prompts in, text out. Tokens, chat templates, grammars, sampling,
//! stop texts and tool calls; key-value pages with a prefix cache; one ragged
//! batch per step for all sequences ([`Engine::step`]). The arithmetic stands
//! behind [`LanguageModel`], [`EncoderModel`] and [`TensorModel`].
//!
//! Trust boundary: tokenizer, template and request are an attacker's bytes.
//! Each is bounded before memory is reserved for it and ends in a
//! [`weighbridge_inference_wire::Failure`] that says what to change. One
//! request never sees another's keys and values: pages are shared by equal
//! tokens, compared token by token, and within one scope alone, so that time
//! and `cached_tokens` tell nobody what others asked.
//!
//! Deliberately unknown here: files, sockets, ONNX, callers, policy.
#![forbid(unsafe_code)]
#![cfg_attr(test, expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small numbers of tests"))]

pub mod answer;
pub mod constrain;
pub mod embedding;
mod failure;
pub mod model;
pub mod pages;
pub mod prepare;
pub mod sample;
pub mod scheduler;
pub mod template;
pub mod text;
pub mod tools;

pub use answer::Answer;
pub use constrain::Grammars;
pub use embedding::{Embedder, EncoderModel, TensorModel};
pub use model::{Batch, LanguageModel, Segment, Shape, StepError};
pub use prepare::{Prepare, Prepared};
pub use scheduler::{Engine, Limits};
pub use template::Template;
pub use text::{Text, TextFiles};
