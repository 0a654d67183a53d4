//! The gateway put together.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::from_fn_with_state;

use crate::authority::Authority;
use crate::config::{Config, ConfigError};
use crate::door;
use crate::identity::Tokens;
use crate::metrics::Metrics;
use crate::models::Models;
use crate::problem::{Problem, Result};
use crate::quota::Quotas;
use crate::record::Record;
use crate::room::Room;
use crate::upstream::Upstream;
use crate::{body, kserve, ollama, openai, status};

/// Everything a request needs.
pub(crate) struct Inner {
    pub config: Config,
    pub models: Arc<dyn Models>,
    pub authority: Arc<dyn Authority>,
    pub record: Arc<dyn Record>,
    pub quotas: Arc<Quotas>,
    pub metrics: Metrics,
    pub tokens: Tokens,
    pub room: Room,
    pub upstream: Upstream,
}

impl Inner {
    pub fn origin_known(&self, origin: &HeaderValue) -> bool {
        self.config.origins.iter().any(|known| known.as_bytes() == origin.as_bytes())
    }
}

/// The gateway: give it to [`crate::serve`].
#[derive(Clone)]
pub struct App(pub(crate) Arc<Inner>);

impl App {
    /// Serves `models` as `authority` allows, and tells `record`.
    ///
    /// # Errors
    /// A file that `config` names cannot be read.
    pub fn new(
        config: Config,
        models: Arc<dyn Models>,
        authority: Arc<dyn Authority>,
        record: Arc<dyn Record>,
    ) -> std::result::Result<Self, ConfigError> {
        let tokens = config.tokens.as_deref().map(Tokens::read).transpose()?.unwrap_or_default();
        let upstream = Upstream::new(&config)?;
        Ok(Self(Arc::new(Inner {
            quotas: Quotas::new(config.quotas.clone()),
            metrics: Metrics::default(),
            room: body::room(&config.limits),
            config,
            models,
            authority,
            record,
            tokens,
            upstream,
        })))
    }

    /// All routes, for a server of one's own. [`crate::serve`] also bounds time
    /// and knows who calls.
    pub fn router(&self) -> Router {
        let wrong_method = || async {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "the path is there, but not with this method",
            )
        };
        Router::new()
            .merge(status::routes())
            .merge(openai::routes())
            .merge(ollama::routes())
            .merge(kserve::routes())
            .fallback(missing)
            .method_not_allowed_fallback(wrong_method)
            // Bodies are bounded as they are read.
            .layer(DefaultBodyLimit::disable())
            .layer(from_fn_with_state(self.0.clone(), door::pass))
            .with_state(self.0.clone())
    }
}

async fn missing(request: Request) -> Result {
    let path: String = request.uri().path().chars().take(128).collect();
    let message = format!("there is nothing at `{}`; /openapi.json lists what is", path.escape_debug());
    Err(Problem::new(StatusCode::NOT_FOUND, "not_found", message))
}
