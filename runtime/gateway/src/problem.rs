//! What goes wrong, in the words of each dialect.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use weighbridge_inference_wire::{Failure, FailureKind};

use crate::models::Refusal;
use crate::record::Outcome;

/// Which interface a path belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    OpenAi,
    Ollama,
    Kserve,
}

impl Dialect {
    pub fn of(path: &str) -> Self {
        if path.starts_with("/api/") {
            Self::Ollama
        } else if path == "/v2" || path.starts_with("/v2/") {
            Self::Kserve
        } else {
            Self::OpenAi
        }
    }
}

/// A request that gets no answer, and why.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub status: StatusCode,
    pub code: &'static str,
    pub message: String,
    pub field: Option<String>,
    pub retry_after: Option<Duration>,
}

pub(crate) type Result<T = Response> = std::result::Result<T, Problem>;

impl Problem {
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), field: None, retry_after: None }
    }

    /// The request is wrong.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", message)
    }

    /// A field of it is.
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: Some(field.into()), ..Self::invalid(message) }
    }

    /// Our fault, or the model's.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", message)
    }

    pub fn no_model(name: &str) -> Self {
        let shown: String = name.chars().take(128).collect();
        let message = format!("there is no model `{}`; GET /v1/models lists those served", shown.escape_debug());
        Self { field: Some("model".to_owned()), ..Self::new(StatusCode::NOT_FOUND, "model_not_found", message) }
    }

    pub fn limited(message: impl Into<String>, free_in: Duration) -> Self {
        Self { retry_after: Some(free_in), ..Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded", message) }
    }

    /// How a request with this problem is recorded.
    pub fn outcome(&self) -> Outcome {
        match self.status.as_u16() {
            401 | 403 => Outcome::Denied,
            429 => Outcome::Limited,
            503 => Outcome::Busy,
            400..500 => Outcome::Invalid,
            _ => Outcome::Failed,
        }
    }

    /// Why, for the record.
    pub fn reason(&self) -> String {
        self.message.chars().take(1024).collect()
    }

    /// OpenAI's name of the kind.
    fn kind(&self) -> &'static str {
        match self.status.as_u16() {
            401 => "authentication_error",
            403 => "permission_denied_error",
            404 => "not_found_error",
            429 => "rate_limit_error",
            400..500 => "invalid_request_error",
            503 => "overloaded_error",
            _ => "server_error",
        }
    }

    /// The body in `dialect`.
    pub fn json(&self, dialect: Dialect) -> Value {
        match dialect {
            Dialect::OpenAi => json!({ "error": {
                "message": self.message, "type": self.kind(), "param": self.field, "code": self.code,
            }}),
            Dialect::Ollama | Dialect::Kserve => json!({ "error": self.message }),
        }
    }

    /// The whole response in `dialect`.
    pub fn response(&self, dialect: Dialect) -> Response {
        let mut response = (self.status, axum::Json(self.json(dialect))).into_response();
        let headers = response.headers_mut();
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"weighbridge\""));
        }
        response
    }
}

/// Carried out to where the dialect is known.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        let (status, code) = match failure.kind {
            FailureKind::Invalid => (StatusCode::BAD_REQUEST, "invalid_request"),
            FailureKind::TooLong => (StatusCode::BAD_REQUEST, "context_length_exceeded"),
            FailureKind::Unsupported => (StatusCode::BAD_REQUEST, "unsupported_by_model"),
            FailureKind::Busy => (StatusCode::SERVICE_UNAVAILABLE, "overloaded"),
            FailureKind::Model => (StatusCode::INTERNAL_SERVER_ERROR, "model_error"),
            FailureKind::Gone => (StatusCode::SERVICE_UNAVAILABLE, "model_restarting"),
            FailureKind::Revoked => (StatusCode::FORBIDDEN, "model_revoked"),
            FailureKind::Limited => (StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded"),
            FailureKind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal_error"),
        };
        let wait = (status == StatusCode::SERVICE_UNAVAILABLE).then_some(Duration::from_secs(1));
        // A worker may say anything, at any length.
        let message: String = failure.message.chars().take(4096).collect();
        let field = failure.field.map(|f| f.chars().take(256).collect());
        Self { field, retry_after: wait, ..Self::new(status, code, message) }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let problem = Self::from(refusal.failure);
        Self { retry_after: refusal.retry_after.or(problem.retry_after), ..problem }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_dialect_has_its_own_words() {
        let problem = Problem::field("n", "`n` is 0");
        assert_eq!(problem.json(Dialect::of("/v1/chat/completions")).pointer("/error/param"), Some(&json!("n")));
        assert_eq!(problem.json(Dialect::of("/api/chat")), json!({ "error": "`n` is 0" }));
        assert_eq!(problem.json(Dialect::of("/v2/models/m")), json!({ "error": "`n` is 0" }));
    }

    #[test]
    fn waiting_is_told_in_whole_seconds_never_none() {
        let wait = |ms| Problem::limited("", Duration::from_millis(ms)).response(Dialect::OpenAi);
        for (ms, seconds) in [(0, "1"), (1, "1"), (1000, "1"), (1001, "2")] {
            assert_eq!(wait(ms).headers().get("retry-after").unwrap(), seconds);
        }
    }
}
