//! What every request passes first: names, origins, who calls; and last, the
//! words of its dialect for what went wrong.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::app::Inner;
use crate::identity::{Caller, Known, Via};
use crate::problem::{Dialect, Problem, Result};

/// Headers of answers that pages may read.
const SHOWN_TO_PAGES: &str = "x-request-id, x-weighbridge-answered-by, x-weighbridge-why, x-weighbridge-notice, openai-processing-ms, retry-after";
/// What may be asked by whom nobody knows: whether the gateway runs.
const ALIVE: [&str; 2] = ["/healthz", "/v2/health/live"];
const UNKNOWN: &str = "it is not known who you are: from this machine, connect to 127.0.0.1 or to the Unix socket; from elsewhere, send a token (`Authorization: Bearer …`); whoever keeps the gateway can let everybody in with `anonymous = true`";

/// The other end of a connection.
#[derive(Debug)]
pub(crate) struct Peer {
    pub kind: PeerKind,
    caller: OnceLock<Caller>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum PeerKind {
    Tcp { peer: SocketAddr, local: SocketAddr },
    Unix { uid: u32, pid: Option<u32> },
}

impl Peer {
    pub fn new(kind: PeerKind) -> Arc<Self> {
        Arc::new(Self { kind, caller: OnceLock::new() })
    }

    /// Found out once for a connection: its other end stays what it is. What
    /// could not be found out is looked for again.
    pub async fn caller(&self, find_process: bool) -> Caller {
        if let Some(known) = self.caller.get() {
            return known.clone();
        }
        let kind = self.kind;
        let found = tokio::task::spawn_blocking(move || match kind {
            PeerKind::Tcp { peer, local } => Caller::of_tcp(peer, local, find_process),
            PeerKind::Unix { uid, pid } => Caller::of_unix(uid, pid),
        });
        match found.await {
            Ok(found) if found.via != Via::Nothing => self.caller.get_or_init(|| found).clone(),
            _ => Caller::anonymous(),
        }
    }

    /// Whose connections are counted together: a caller's, or those from one
    /// address.
    pub async fn shown(&self, find_process: bool) -> String {
        match (self.kind, self.caller(find_process).await) {
            (PeerKind::Tcp { peer, .. }, Caller { via: Via::Nothing, .. }) => format!("address:{}", peer.ip()),
            (_, caller) => caller.shown(),
        }
    }
}

/// A request's caller and circumstances.
#[derive(Debug, Clone)]
pub(crate) struct Visit {
    pub caller: Caller,
    pub id: String,
    pub data_class: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Visit {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        parts.extensions.get().cloned().ok_or_else(|| Problem::internal("the request came past the door"))
    }
}

/// Around every route.
pub(crate) async fn pass(State(app): State<Arc<Inner>>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let path = request.uri().path().to_owned();
    let dialect = Dialect::of(&path);
    let origin = request.headers().get(header::ORIGIN).cloned();
    let id = number();
    let peer = request.extensions().get::<Arc<Peer>>().cloned();
    let caller = match &peer {
        Some(peer) => peer.caller(app.config.identify_process).await,
        None => Caller::anonymous(),
    };
    let mut response = match enter(&app, &mut request, peer.as_deref(), &caller, &id) {
        Ok(None) => next.run(request).await,
        Ok(Some(response)) => response,
        Err(problem) => {
            app.turn_away_at_door(&caller, &id, &path, &problem);
            problem.into_response()
        }
    };
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let allow = response.headers_mut().remove(header::ALLOW);
        response = problem.response(dialect);
        response.headers_mut().extend(allow.map(|allow| (header::ALLOW, allow)));
    }
    let headers = response.headers_mut();
    if let Some(origin) = origin.filter(|o| app.origin_known(o)) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(SHOWN_TO_PAGES));
        headers.insert(header::VARY, HeaderValue::from_static("Origin, Access-Control-Request-Headers"));
    }
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert("x-request-id", id);
    }
    headers
        .insert("openai-processing-ms", HeaderValue::from(started.elapsed().as_millis().try_into().unwrap_or(0_u64)));
    response
}

/// Lets `request` of `caller` in, or answers a browser's question whether it
/// may send one.
fn enter(
    app: &Inner,
    request: &mut Request,
    peer: Option<&Peer>,
    caller: &Caller,
    id: &str,
) -> Result<Option<Response>> {
    if !matches!(peer, Some(Peer { kind: PeerKind::Unix { .. }, .. })) {
        host(app, request.uri(), request.headers())?;
    }
    let headers = request.headers();
    origin(app, headers)?;
    if request.method() == Method::OPTIONS && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
        return Ok(Some(preflight(headers)));
    }
    let caller = token(app, headers, caller.clone())?;
    if caller.via == Via::Nothing && !app.config.anonymous && !ALIVE.contains(&request.uri().path()) {
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "caller_unknown", UNKNOWN));
    }
    let visit = Visit { caller, id: id.to_owned(), data_class: data_class(headers)? };
    request.extensions_mut().insert(visit);
    Ok(None)
}

/// A page that has its own name resolved to 127.0.0.1 (DNS rebinding) still
/// sends that name.
fn host(app: &Inner, uri: &Uri, headers: &HeaderMap) -> Result<()> {
    let refused = |shown: &str| {
        let message = format!(
            "`Host: {}` is no name of this service; use localhost, or add the name to `hosts`",
            shown.chars().take(128).collect::<String>().escape_debug()
        );
        Err(Problem::new(StatusCode::FORBIDDEN, "host_not_allowed", message))
    };
    let mut names: Vec<&str> = uri.authority().map(|a| a.as_str()).into_iter().collect();
    for value in headers.get_all(header::HOST) {
        match value.to_str() {
            Ok(name) => names.push(name),
            Err(_) => return refused("?"),
        }
    }
    if names.is_empty() {
        return Err(Problem::invalid("the request names no `Host`"));
    }
    for name in names {
        let bare = match name.rsplit_once(':') {
            Some((bare, port)) if port.bytes().all(|b| b.is_ascii_digit()) => bare,
            _ => name,
        };
        let ours = ["localhost", "127.0.0.1", "[::1]"].iter().any(|n| bare.eq_ignore_ascii_case(n));
        if !ours && !app.config.hosts.iter().any(|n| bare.eq_ignore_ascii_case(n)) {
            return refused(name);
        }
    }
    Ok(())
}

fn origin(app: &Inner, headers: &HeaderMap) -> Result<()> {
    let refused = |what: &str| {
        let message = format!("requests of web pages are refused ({what}); add the page to `origins` if it may ask");
        Err(Problem::new(StatusCode::FORBIDDEN, "origin_not_allowed", message))
    };
    let mut known = false;
    for value in headers.get_all(header::ORIGIN) {
        if !app.origin_known(value) {
            let shown: String = value.to_str().unwrap_or("?").chars().take(128).collect();
            return refused(&format!("`Origin: {}`", shown.escape_debug()));
        }
        known = true;
    }
    // Browsers leave `Origin` out of some requests, but not this.
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    if !known && matches!(site, Some(b"cross-site" | b"same-site")) {
        return refused("`Sec-Fetch-Site`");
    }
    Ok(())
}

/// For a page that is known: it may send what it says it will.
fn preflight(asked: &HeaderMap) -> Response {
    let usual = HeaderValue::from_static("authorization, content-type, x-weighbridge-data-class");
    let wanted = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned().unwrap_or(usual);
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST")),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, wanted),
        (header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600")),
    ];
    (StatusCode::NO_CONTENT, axum::response::AppendHeaders(headers)).into_response()
}

fn token(app: &Inner, headers: &HeaderMap, caller: Caller) -> Result<Caller> {
    let wrong = |message: &str| Problem::new(StatusCode::UNAUTHORIZED, "invalid_api_key", message);
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(caller) };
    let text = value.to_str().map_err(|_| wrong("`Authorization` is not text"))?;
    let bearer = text.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let found = match bearer {
        Some((_, token)) => app.tokens.find(token.trim()),
        None => Known::Foreign,
    };
    match found {
        Known::Service(name) => Ok(caller.with_token(name)),
        // Clients insist on sending a key; whom the kernel knows needs none.
        Known::Foreign if caller.uid.is_some() => Ok(caller),
        Known::Foreign | Known::Refused => {
            Err(wrong("the token is not known; it was mistyped, or taken back: ask for a new one"))
        }
    }
}

fn data_class(headers: &HeaderMap) -> Result<Option<String>> {
    let Some(value) = headers.get("x-weighbridge-data-class") else { return Ok(None) };
    let plain = |text: &&str| {
        (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    let text = value.to_str().ok().filter(plain);
    let wrong = "X-Weighbridge-Data-Class is 1 to 64 letters, digits, `-`, `_` and `.`";
    text.map(|t| Some(t.to_owned())).ok_or_else(|| Problem::field("X-Weighbridge-Data-Class", wrong))
}

/// Unlike any other since the start, and of any other start.
fn number() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    static START: std::sync::LazyLock<i64> = std::sync::LazyLock::new(|| jiff::Timestamp::now().as_microsecond());
    format!("{:x}-{:x}", *START, NEXT.fetch_add(1, Ordering::Relaxed))
}
