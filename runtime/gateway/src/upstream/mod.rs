//! Public providers, for what policy lets out: same request, another machine.
//!
//! Of the caller nothing is passed on but the body; the key is ours. Redirects
//! are not followed, and of the provider's headers only the content type comes
//! back.

mod connect;
mod usage;

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use axum::response::Response;
use futures::Stream;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde_json::Value;
use tokio::time::{Sleep, timeout};

use crate::config::{Config, ConfigError, ProviderConfig};
use crate::problem::{Problem, Result};
use crate::ticket::Ticket;
use connect::Connector;
use usage::Meter;

/// Largest error of a provider that is read, and longest key, bytes.
const ERROR_BYTES_MAX: usize = 16 << 10;
const KEY_BYTES_MAX: u64 = 16 << 10;

/// All providers, by the models they are asked for.
pub(crate) struct Upstream {
    routes: BTreeMap<String, Arc<Route>>,
    timeout: std::time::Duration,
}

/// A model of a provider.
pub(crate) struct Route {
    name: String,
    upstream: String,
    provider: Arc<Provider>,
}

struct Provider {
    id: String,
    base: String,
    key: Option<HeaderValue>,
    client: Client<Connector, Full<Bytes>>,
}

impl Upstream {
    pub fn new(config: &Config) -> std::result::Result<Self, ConfigError> {
        let mut routes = BTreeMap::new();
        for settings in &config.providers {
            let provider = Arc::new(Provider::new(settings)?);
            for model in &settings.models {
                let route = Route {
                    name: model.name.clone(),
                    upstream: model.upstream.clone().unwrap_or_else(|| model.name.clone()),
                    provider: provider.clone(),
                };
                if routes.insert(model.name.clone(), Arc::new(route)).is_some() {
                    return Err(ConfigError::Wrong(format!("two providers are asked for model `{}`", model.name)));
                }
            }
        }
        Ok(Self { routes, timeout: config.limits.upstream() })
    }

    pub fn route(&self, model: &str) -> Option<Arc<Route>> {
        self.routes.get(model).cloned()
    }

    pub fn routes(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.routes.values()
    }

    /// Sends `body` to `path` of the provider and passes back what it says.
    pub async fn forward(&self, mut ticket: Ticket, route: &Route, path: &str, body: &[u8]) -> Result {
        ticket.keep_prompt(body)?;
        let request = ticket.check(route.request(path, body))?;
        let id = &route.provider.id;
        let failed =
            |what: String| Problem::new(StatusCode::BAD_GATEWAY, "provider_failed", format!("provider `{id}` {what}"));
        let asked = timeout(self.timeout, route.provider.client.request(request)).await;
        let response = match asked {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(ticket.refuse(failed(format!("cannot be reached: {}", chain(&error))))),
            Err(_) => return Err(ticket.refuse(failed("does not answer".to_owned()))),
        };
        let status = response.status();
        if !status.is_success() {
            let problem = self.refusal(id, response).await;
            return Err(ticket.refuse(problem));
        }
        let kind = response.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let streams = kind.starts_with("text/event-stream");
        let mut passed = Response::new(Body::empty());
        *passed.status_mut() = status;
        let kind = if streams { "text/event-stream" } else { "application/json" };
        passed.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        ticket.stamp(passed.headers_mut());
        *passed.body_mut() = Body::from_stream(Passed {
            body: response.into_body(),
            timer: Box::pin(tokio::time::sleep(self.timeout)),
            most: self.timeout,
            meter: Meter::new(streams),
            ticket,
        });
        Ok(passed)
    }

    /// A provider's own refusal in our words; what it asks for with its key is
    /// our matter, not the caller's.
    async fn refusal(&self, id: &str, response: hyper::Response<Incoming>) -> Problem {
        let status = response.status();
        let wait = response.headers().get(header::RETRY_AFTER).and_then(|v| v.to_str().ok()?.parse().ok());
        let limited = http_body_util::Limited::new(response.into_body(), ERROR_BYTES_MAX);
        let body = match timeout(self.timeout, limited.collect()).await {
            Ok(Ok(body)) => body.to_bytes(),
            _ => Bytes::new(),
        };
        let said = serde_json::from_slice::<Value>(&body).ok();
        let said = said.as_ref().and_then(|v| v.pointer("/error/message")?.as_str()).unwrap_or_default();
        let said: String = said.chars().take(1024).collect();
        let ours = match status.as_u16() {
            400 | 404 | 413 | 422 => StatusCode::BAD_REQUEST,
            429 => StatusCode::TOO_MANY_REQUESTS,
            503 | 529 => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_GATEWAY,
        };
        let message = match status.as_u16() {
            401 | 403 => format!("provider `{id}` refuses our key; tell your administrator"),
            300..=399 => format!("provider `{id}` redirects elsewhere, which is not followed"),
            code if said.is_empty() => format!("provider `{id}` answered {code}"),
            code => format!("provider `{id}` answered {code}: {said}"),
        };
        let retry_after = wait.map(std::time::Duration::from_secs);
        Problem { retry_after, ..Problem::new(ours, "provider_refused", message) }
    }
}

impl Route {
    pub fn provider(&self) -> &str {
        &self.provider.id
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn why(&self) -> String {
        format!("no model of that name is served here; policy allows provider {}", self.provider.id)
    }

    fn request(&self, path: &str, body: &[u8]) -> Result<Request<Full<Bytes>>> {
        let unusable = |_| Problem::internal(format!("the address of provider `{}` cannot be used", self.provider.id));
        let mut value: Value = serde_json::from_slice(body).map_err(|_| Problem::invalid("the body is not JSON"))?;
        if let Some(object) = value.as_object_mut() {
            object.insert("model".to_owned(), Value::String(self.upstream.clone()));
        }
        let uri: Uri = format!("{}{path}", self.provider.base)
            .parse()
            .map_err(|_| Problem::internal(format!("the address of provider `{}` cannot be used", self.provider.id)))?;
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(uri)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, concat!("weighbridge/", env!("CARGO_PKG_VERSION")));
        if let Some(key) = &self.provider.key {
            request = request.header(header::AUTHORIZATION, key.clone());
        }
        request.body(Full::new(value.to_string().into())).map_err(unusable)
    }
}

impl Provider {
    fn new(settings: &ProviderConfig) -> std::result::Result<Self, ConfigError> {
        let wrong = |what: &str| ConfigError::Wrong(format!("provider `{}`: {what}", settings.id));
        let url = &settings.base_url;
        if !matches!(url.scheme(), "http" | "https") || url.cannot_be_a_base() {
            return Err(wrong("`base_url` begins with https://"));
        }
        let host = url.host_str().unwrap_or_default();
        // A key in clear text may cross this machine, not a network.
        if url.scheme() == "http" && !matches!(host, "localhost" | "127.0.0.1" | "[::1]") {
            return Err(wrong("`base_url` is not encrypted; write https://"));
        }
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
            return Err(wrong("`base_url` holds a password or a query; put the key into `key_file`"));
        }
        let key = settings.key_file.as_ref().map(|path| {
            let shown = path.display().to_string();
            let mut text = String::new();
            let read = std::fs::File::open(path)
                .and_then(|f| io::Read::read_to_string(&mut io::Read::take(f, KEY_BYTES_MAX), &mut text));
            read.map_err(|source| ConfigError::Read { path: shown.clone(), source })?;
            let mut value = HeaderValue::from_str(&format!("Bearer {}", text.trim()))
                .map_err(|_| ConfigError::Wrong(format!("`{shown}` is not a key of one line")))?;
            value.set_sensitive(true);
            Ok::<_, ConfigError>(value)
        });
        let connector = Connector::new(settings.roots.as_deref())?;
        let client = Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);
        let base = url.as_str().trim_end_matches('/').to_owned();
        Ok(Self { id: settings.id.clone(), base, key: key.transpose()?, client })
    }
}

/// `a: b: c`
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}

/// A provider's answer on its way to the caller.
struct Passed {
    body: Incoming,
    timer: Pin<Box<Sleep>>,
    most: std::time::Duration,
    meter: Meter,
    ticket: Ticket,
}

impl Stream for Passed {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            match hyper::body::Body::poll_frame(Pin::new(&mut this.body), context) {
                Poll::Ready(Some(Ok(frame))) => {
                    let until = tokio::time::Instant::now() + this.most;
                    this.timer.as_mut().reset(until);
                    let Ok(data) = frame.into_data() else { continue };
                    this.ticket.token();
                    this.ticket.keep(&String::from_utf8_lossy(&data));
                    this.meter.see(&data);
                    if let Some(failure) = this.ticket.spent() {
                        return Poll::Ready(Some(Err(io::Error::other(failure.message))));
                    }
                    return Poll::Ready(Some(Ok(data)));
                }
                Poll::Ready(None) => {
                    let usage = this.meter.usage().unwrap_or_else(|| this.ticket.estimate());
                    this.ticket.done(&usage);
                    return Poll::Ready(None);
                }
                Poll::Ready(Some(Err(error))) => {
                    let text = format!("the provider broke off: {}", chain(&error));
                    this.ticket.refuse(Problem::new(StatusCode::BAD_GATEWAY, "provider_failed", text.clone()));
                    return Poll::Ready(Some(Err(io::Error::other(text))));
                }
                Poll::Pending => {
                    if this.timer.as_mut().poll(context).is_ready() {
                        let text = "the provider stopped answering";
                        this.ticket.refuse(Problem::new(StatusCode::BAD_GATEWAY, "provider_failed", text));
                        return Poll::Ready(Some(Err(io::Error::other(text))));
                    }
                    return Poll::Pending;
                }
            }
        }
    }
}
