//! What the gateway is told: `[gateway]` of the configuration.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use url::Url;

/// Something in the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A file it names.
    #[error("cannot read `{path}`, which the configuration of the gateway names")]
    Read {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Something it says.
    #[error("{0}")]
    Wrong(String),
}

/// All of it. Unknown keys are refused.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Names in `Host` beside `localhost`, `127.0.0.1` and `[::1]`.
    pub hosts: Vec<String>,
    /// Pages in browsers that may call: `https://chat.example.com`.
    pub origins: Vec<String>,
    /// Lines of `name sha256-of-token`, for services.
    pub tokens: Option<PathBuf>,
    /// Finds out which program calls, not only which user; costs a look at
    /// every process for each connection.
    pub identify_process: bool,
    /// Lets those in whom neither the system nor a token names: they are
    /// `workload:anonymous` to policies, and share one quota.
    pub anonymous: bool,
    /// By user name, `service-account:NAME`, or `*` for everyone else.
    pub quotas: BTreeMap<String, Quota>,
    /// Class of data of requests that do not say.
    pub data_class: Option<String>,
    /// Where else to ask.
    pub providers: Vec<ProviderConfig>,
    /// Bounds.
    pub limits: Limits,
}

/// What one user may have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quota {
    /// Read and written.
    pub tokens_per_minute: Option<u64>,
    /// Read and written, from midnight to midnight UTC.
    pub tokens_per_day: Option<u64>,
    /// At the same time.
    pub concurrent_requests: Option<u32>,
}

/// A provider with an OpenAI-compatible interface.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderConfig {
    /// As in `data/providers.yaml` of the policy.
    pub id: String,
    /// Up to and with `/v1`.
    pub base_url: Url,
    /// Holds the key.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
    /// Trusted instead of the roots of the machine (PEM).
    #[serde(default)]
    pub roots: Option<PathBuf>,
    /// What it is asked for.
    pub models: Vec<ProviderModel>,
}

/// A model of a provider.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderModel {
    /// As callers name it.
    pub name: String,
    /// As the provider names it; the same if absent.
    #[serde(default)]
    pub upstream: Option<String>,
}

/// Bounds that keep one caller from taking everything.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Largest body of a request.
    pub body_bytes_max: usize,
    /// All bodies of requests that have not ended, together; a quarter of it
    /// for one caller.
    pub bodies_bytes_max: usize,
    /// Values in a JSON body.
    pub json_values_max: usize,
    /// Nesting of a JSON body.
    pub json_depth_max: usize,
    /// Open connections; further ones wait. One caller has at most a quarter.
    pub connections_max: usize,
    /// Text kept of one answer that is not streamed.
    pub answer_bytes_max: usize,
    /// Answers to one request (`n` times prompts).
    pub choices_max: u32,
    /// Until the head of a request is there, from its first byte, or for the
    /// first one from the beginning of the connection, milliseconds.
    pub head_timeout_ms: u64,
    /// For a connection between two requests, milliseconds.
    pub idle_timeout_ms: u64,
    /// Without a byte of a body, milliseconds.
    pub body_idle_timeout_ms: u64,
    /// Until all of a body is there, milliseconds.
    pub body_timeout_ms: u64,
    /// Without a reader taking a byte, milliseconds.
    pub write_stall_timeout_ms: u64,
    /// For requests in flight when the gateway is told to end, milliseconds.
    pub drain_timeout_ms: u64,
    /// Without a byte of a provider, milliseconds.
    pub upstream_timeout_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: 32 << 20,
            bodies_bytes_max: 512 << 20,
            json_values_max: 1 << 20,
            json_depth_max: 64,
            connections_max: 4096,
            answer_bytes_max: 16 << 20,
            choices_max: 128,
            head_timeout_ms: 10_000,
            idle_timeout_ms: 75_000,
            body_idle_timeout_ms: 10_000,
            body_timeout_ms: 120_000,
            write_stall_timeout_ms: 30_000,
            drain_timeout_ms: 10_000,
            upstream_timeout_ms: 120_000,
        }
    }
}

impl Limits {
    pub(crate) fn body_idle(&self) -> Duration {
        Duration::from_millis(self.body_idle_timeout_ms)
    }

    pub(crate) fn body(&self) -> Duration {
        Duration::from_millis(self.body_timeout_ms)
    }

    pub(crate) fn upstream(&self) -> Duration {
        Duration::from_millis(self.upstream_timeout_ms)
    }
}
