use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// Why a request is not answered as it wants (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// HTTP's own word for it.
    pub status: StatusCode,
    /// For machines; never changes its meaning.
    pub code: &'static str,
    /// What is wrong and what to do, for people.
    pub detail: String,
    /// The field of the request that is wrong.
    pub field: Option<String>,
    /// When asking again may help.
    pub retry_after: Option<Duration>,
}

/// As it is sent.
#[derive(Serialize)]
struct Sent<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
}

impl Problem {
    /// Without field and time.
    #[must_use]
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), field: None, retry_after: None }
    }

    /// The request is wrong.
    #[must_use]
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid-request", detail)
    }

    /// Too much at once; `after` that it may be better.
    #[must_use]
    pub fn busy(after: Duration) -> Self {
        let detail = "the console has more to do than it can; ask again later";
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail);
        Self { retry_after: Some(after), ..problem }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self { status, code, detail, field, retry_after } = self;
        let title = status.canonical_reason().unwrap_or("Problem");
        // A name, no address to be looked at.
        let kind = format!("urn:weighbridge:problem:{code}");
        let sent = Sent { kind, title, status: status.as_u16(), detail: &detail, field: field.as_deref() };
        let body = serde_json::to_vec(&sent).unwrap_or_default();
        let mut response = (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
        if let Some(after) = retry_after {
            let seconds = after.as_secs().max(1);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
