//! A gateway in front of models that are played: they answer by what they are
//! told, at the pace they are told.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests are tests"
)]

pub mod fake;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use weighbridge_gateway::{App, Authority, Caller, Config, Listener, ModelInfo, Record, RequestRecord, Ruling, serve};

pub use fake::Fake;

/// Keeps everything.
#[derive(Default)]
pub struct Log(pub Mutex<Vec<RequestRecord>>);

impl Record for Log {
    fn record(&self, entry: RequestRecord) {
        self.0.lock().unwrap().push(entry);
    }
}

/// Allows everything but the model `secret`, and lets `public` data out.
pub struct Rules;

impl Authority for Rules {
    fn infer(&self, _: &Caller, model: &ModelInfo) -> Ruling {
        Ruling {
            allowed: model.id != "secret",
            policies: vec!["no-secrets".to_owned()],
            version: "1".to_owned(),
            reason: "it is secret.".to_owned(),
            ask: Some("ask alice".to_owned()),
            ..Ruling::default()
        }
    }

    fn route(&self, _: &Caller, _: &str, data_class: Option<&str>) -> Ruling {
        Ruling { allowed: data_class == Some("public"), reason: "data stays.".to_owned(), ..Ruling::default() }
    }
}

pub struct Gateway {
    pub address: SocketAddr,
    pub fake: Arc<Fake>,
    pub log: Arc<Log>,
    stop: Option<oneshot::Sender<()>>,
    pub ended: tokio::task::JoinHandle<()>,
}

impl Gateway {
    pub async fn start(config: Config) -> Self {
        Self::with(config, Arc::new(Rules), Vec::new()).await
    }

    pub async fn with(config: Config, rules: Arc<dyn Authority>, mut more: Vec<Listener>) -> Self {
        let (fake, log) = (Arc::new(Fake::default()), Arc::new(Log::default()));
        let app = App::new(config, fake.clone(), rules, log.clone()).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        more.push(Listener::Tcp(listener));
        let (stop, stopped) = oneshot::channel::<()>();
        let ended = tokio::spawn(serve(more, app, async {
            let _ = stopped.await;
        }));
        Self { address, fake, log, stop: Some(stop), ended }
    }

    pub fn stop(&mut self) {
        self.stop.take();
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends `bytes` as they are and returns all that comes back.
    pub async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        // A server that has heard enough answers and closes.
        let _ = stream.write_all(bytes).await;
        let mut all = Vec::new();
        let _ = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut all)).await;
        String::from_utf8_lossy(&all).into_owned()
    }

    pub async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head.push_str("Host: localhost\r\n");
        }
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) && method != "GET" {
            head.push_str("Content-Type: application/json\r\n");
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let head = format!("{head}Content-Length: {}\r\n\r\n", body.len());
        Answer::parse(&self.raw(&[head.as_bytes(), body].concat()).await)
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.ask("POST", path, &[], body.to_string().as_bytes()).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], b"").await
    }

    /// Waits until the fake does nothing any more.
    pub async fn idle(&self) {
        let started = Instant::now();
        while self.fake.running() > 0 {
            assert!(started.elapsed() < Duration::from_secs(10), "{} still run", self.fake.running());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub async fn entry(&self) -> RequestRecord {
        let started = Instant::now();
        loop {
            if let Some(entry) = self.log.0.lock().unwrap().last() {
                return entry.clone();
            }
            assert!(started.elapsed() < Duration::from_secs(10), "nothing was recorded");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        let head = head.to_ascii_lowercase();
        let body = if head.contains("transfer-encoding: chunked") { unchunk(body) } else { body.to_owned() };
        Self { status, head, body }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// Data of server-sent events, without the closing mark.
    pub fn events(&self) -> Vec<Value> {
        let data = self.body.lines().filter_map(|line| line.strip_prefix("data: "));
        data.filter(|d| *d != "[DONE]").map(|d| serde_json::from_str(d).unwrap()).collect()
    }
}

fn unchunk(text: &str) -> String {
    let (mut rest, mut out) = (text.as_bytes(), Vec::new());
    while let Some(at) = rest.windows(2).position(|w| w == b"\r\n") {
        let size = std::str::from_utf8(&rest[..at]).ok().and_then(|s| usize::from_str_radix(s, 16).ok()).unwrap_or(0);
        let from = at + 2;
        if size == 0 {
            break;
        }
        if rest.len() < from + size {
            out.extend_from_slice(rest.get(from..).unwrap_or_default());
            break;
        }
        out.extend_from_slice(&rest[from..from + size]);
        rest = rest.get(from + size + 2..).unwrap_or_default();
    }
    String::from_utf8_lossy(&out).into_owned()
}
