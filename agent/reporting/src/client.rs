//! One connection to the console, kept while it is used.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::{Address, CONSOLE_NAME, ReportError};

/// For a connection, and for an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Largest answer, bytes.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// Bodies from here on are packed, bytes.
const PACKED_FROM: usize = 1_024;
/// Longest text of a console that is shown, characters.
const DETAIL_MAX: usize = 400;

/// What a console answered, and whether it is pleased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer<T> {
    /// It did what was asked.
    Done(T),
    /// It did nothing: what was sent does not fit what it knows (HTTP 409).
    Unfit(T),
}

/// Speaks to one console.
pub struct Client {
    address: Address,
    config: Arc<ClientConfig>,
    runtime: Runtime,
    open: Option<SendRequest<Full<Bytes>>>,
}

impl Client {
    pub(crate) fn new(address: Address, config: ClientConfig) -> Result<Self, ReportError> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime =
            runtime.map_err(|e| ReportError::Network { address: address.to_string(), reason: e.to_string() })?;
        Ok(Self { address, config: Arc::new(config), runtime, open: None })
    }

    /// Sends `message` to `/endpoint/v1/{path}` and reads the answer.
    ///
    /// # Errors
    /// [`ReportError`]; whether the console took the message is unknown then,
    /// unless it refused.
    pub fn tell<T: DeserializeOwned>(
        &mut self,
        path: &str,
        message: &impl Serialize,
    ) -> Result<Answer<T>, ReportError> {
        let unusable = |e: serde_json::Error| ReportError::Answer(e.to_string());
        let body = serde_json::to_vec(message).map_err(unusable)?;
        let kept = self.open.take().filter(|open| !open.is_closed());
        let (open, status, retry_after, bytes) =
            self.runtime.block_on(exchange(&self.address, &self.config, kept, path, body))?;
        self.open = Some(open);
        match status {
            StatusCode::OK => serde_json::from_slice(&bytes).map(Answer::Done).map_err(unusable),
            StatusCode::NO_CONTENT => serde_json::from_slice(b"null").map(Answer::Done).map_err(unusable),
            StatusCode::CONFLICT => serde_json::from_slice(&bytes).map(Answer::Unfit).map_err(unusable),
            status => Err(ReportError::Refused { status: status.as_u16(), detail: detail(&bytes), retry_after }),
        }
    }
}

type Exchanged = (SendRequest<Full<Bytes>>, StatusCode, Option<Duration>, Bytes);

async fn exchange(
    address: &Address,
    config: &Arc<ClientConfig>,
    kept: Option<SendRequest<Full<Bytes>>>,
    path: &str,
    body: Vec<u8>,
) -> Result<Exchanged, ReportError> {
    let lost = |reason: String| ReportError::Network { address: address.to_string(), reason };
    let late = |_| lost(format!("it did not answer within {} seconds", PATIENCE.as_secs()));
    let mut open = match kept {
        Some(open) => open,
        None => timeout(PATIENCE, connect(address, config)).await.map_err(late)?.map_err(lost)?,
    };
    let request = request(address, path, body).map_err(&lost)?;
    let answered = async {
        open.ready().await.map_err(|e| lost(e.to_string()))?;
        let answer = open.send_request(request).await.map_err(|e| lost(e.to_string()))?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|e| ReportError::Answer(e.to_string()))?.to_bytes();
        let after = head.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        Ok::<_, ReportError>((head.status, after.map(Duration::from_secs), body))
    };
    let (status, retry_after, body) = timeout(PATIENCE, answered).await.map_err(late)??;
    Ok((open, status, retry_after, body))
}

async fn connect(address: &Address, config: &Arc<ClientConfig>) -> Result<SendRequest<Full<Bytes>>, String> {
    let stream = TcpStream::connect((address.host(), address.port())).await.map_err(|e| e.to_string())?;
    stream.set_nodelay(true).map_err(|e| e.to_string())?;
    let name = ServerName::try_from(CONSOLE_NAME).map_err(|e| e.to_string())?;
    let stream = TlsConnector::from(Arc::clone(config)).connect(name, stream).await.map_err(|e| e.to_string())?;
    let (open, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.map_err(|e| e.to_string())?;
    // Ends with the connection; whoever sends is told why.
    tokio::spawn(async move { drop(connection.await) });
    Ok(open)
}

fn request(address: &Address, path: &str, body: Vec<u8>) -> Result<Request<Full<Bytes>>, String> {
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(format!("{address}/endpoint/v1/{path}"))
        .header(header::CONTENT_TYPE, "application/json");
    let body = if body.len() < PACKED_FROM {
        body
    } else {
        request = request.header(header::CONTENT_ENCODING, "gzip");
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(&body).and_then(|()| packed.finish()).map_err(|e| e.to_string())?
    };
    request.body(Full::new(Bytes::from(body))).map_err(|e| e.to_string())
}

/// What a problem says (RFC 9457).
fn detail(bytes: &[u8]) -> String {
    let problem: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let text = problem.get("detail").and_then(Value::as_str).unwrap_or("no reason given");
    text.chars().filter(|c| !c.is_control()).take(DETAIL_MAX).collect()
}
