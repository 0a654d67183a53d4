//! The inference HTTP APIs: OpenAI, Ollama, Open Inference Protocol.
//!
//! Job: turns requests of those dialects into the messages of
//! [`weighbridge_inference_wire`], asks policy about each, and turns what comes
//! back into answers. Models, decisions and the record are reached through
//! [`Models`], [`Authority`] and [`Record`].
//!
//! Trust boundary: every byte of a request is a stranger's, and so is every
//! event of a worker. Bodies, lists, waiting and buffers are bounded by
//! [`Limits`]; a caller is who the kernel or a token says, never who the
//! request says.
//!
//! Deliberately unknown here: where models come from, how they compute, where
//! records are kept.
#![forbid(unsafe_code)]

mod answer;
mod app;
mod authority;
mod body;
mod config;
mod docs;
mod door;
mod identity;
mod kserve;
mod metrics;
mod models;
mod ollama;
mod openai;
mod problem;
mod quota;
mod record;
mod room;
mod server;
mod status;
mod stream;
mod ticket;
mod upstream;

pub use app::App;
pub use authority::{Authority, Place, PolicyAuthority, Ruling};
pub use config::{Config, ConfigError, Limits, ProviderConfig, ProviderModel, Quota};
pub use identity::{Caller, Via};
pub use metrics::Metrics;
pub use models::{EventSender, Events, ModelInfo, ModelState, Models, NotTaken, Refusal, Work, events};
pub use record::{Outcome, Record, RequestRecord};
pub use server::{Listener, ServeError, serve};

/// The OpenAPI 3.1 document that `/openapi.json` answers with.
#[must_use]
pub fn openapi() -> String {
    docs::document()
}
