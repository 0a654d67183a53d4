//! Who may, how much, and what is kept of it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "helpers of tests are tests")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use common::{Fake, Gateway, Log, Rules};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower::ServiceExt;
use weighbridge_gateway::{App, Config, Limits, Outcome, Quota};

fn chat(text: &str) -> Value {
    json!({ "model": "tiny", "messages": [{ "role": "user", "content": text }] })
}

fn streamed(text: &str) -> Value {
    let mut body = chat(text);
    body["stream"] = true.into();
    body
}

/// As long as a request runs, what was sent for it counts.
#[tokio::test]
async fn what_is_on_its_way_keeps_its_room() {
    let limits = Limits { body_bytes_max: 4096, bodies_bytes_max: 16_384, ..Limits::default() };
    let gateway = Gateway::start(Config { limits, ..Config::default() }).await;
    let long = |word: &str| streamed(&format!("{word} {}", "x".repeat(3000))).to_string();
    let mut running = gateway.connect().await;
    let body = long("forever");
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    running.write_all(head.as_bytes()).await.unwrap();
    while gateway.fake.running() == 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let second = long("hello");
    let refused = gateway.ask("POST", "/v1/chat/completions", &[], second.as_bytes()).await;
    assert!(refused.status == 429 && refused.header("retry-after").is_some(), "{refused:?}");
    // A service is somebody else, whoever runs it; a small request has room.
    assert_eq!(gateway.post("/v1/chat/completions", chat("hello")).await.status, 200);
    drop(running);
    gateway.idle().await;
    let begun = std::time::Instant::now();
    while gateway.ask("POST", "/v1/chat/completions", &[], second.as_bytes()).await.status != 200 {
        assert!(begun.elapsed() < Duration::from_secs(5), "the room is not given back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn one_caller_has_not_all_connections() {
    let limits = Limits { connections_max: 8, ..Limits::default() };
    let gateway = Gateway::start(Config { limits, ..Config::default() }).await;
    let mut idle = Vec::new();
    for _ in 0..2 {
        let mut stream = gateway.connect().await;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
        idle.push(stream);
    }
    let refused = gateway.get("/healthz").await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")), "{refused:?}");
    assert_eq!(refused.json()["error"]["code"], "too_many_connections");
    drop(idle);
    let begun = std::time::Instant::now();
    while gateway.get("/healthz").await.status != 200 {
        assert!(begun.elapsed() < Duration::from_secs(5), "the places are not given back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn prompts_are_not_repeated_without_end() {
    let gateway = Gateway::start(Config::default()).await;
    let body = json!({ "model": "tiny", "prompt": "x".repeat(1 << 20), "n": 128, "echo": true });
    let answer = gateway.post("/v1/completions", body).await;
    assert_eq!((answer.status, answer.json()["error"]["param"].as_str()), (400, Some("echo")), "{answer:?}");
}

/// A router without a server knows no connection, and so nobody.
#[tokio::test]
async fn whom_nobody_knows_is_let_in_only_if_the_configuration_says_so() {
    let ask = async |config: Config, path: &str| {
        let log = Arc::new(Log::default());
        let app = App::new(config, Arc::new(Fake::default()), Arc::new(Rules), log.clone()).unwrap();
        let request = Request::get(path).header("host", "localhost").body(Body::empty()).unwrap();
        let response = app.router().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        let kept: Vec<_> = log.0.lock().unwrap().iter().map(|e| (e.outcome, e.caller.clone())).collect();
        (status, String::from_utf8(body.to_vec()).unwrap(), kept)
    };
    let (status, body, kept) = ask(Config::default(), "/v1/models").await;
    assert!(status == 401 && body.contains("caller_unknown") && body.contains("127.0.0.1"), "{status} {body}");
    assert_eq!(kept, [(Outcome::Denied, "workload:anonymous".to_owned())]);
    assert_eq!(ask(Config::default(), "/healthz").await.0, 200);
    assert_eq!(ask(Config::default(), "/metrics").await.0, 401);
    assert_eq!(ask(Config { anonymous: true, ..Config::default() }, "/v1/models").await.0, 200);
}

#[tokio::test]
async fn an_answer_ends_when_its_quota_is_used_up() {
    let quota = Quota { tokens_per_day: Some(100), ..Quota::default() };
    let gateway = Gateway::start(Config { quotas: [("*".to_owned(), quota)].into(), ..Config::default() }).await;
    let answer = gateway.post("/v1/chat/completions", streamed("forever")).await;
    let events = answer.events();
    assert_eq!(events.last().unwrap()["error"]["code"], "rate_limit_exceeded", "{answer:?}");
    assert!(events.len() < 130, "{} events", events.len());
    gateway.idle().await;
    assert_eq!(gateway.entry().await.outcome, Outcome::Limited);
    let quota = Quota { tokens_per_day: Some(50), ..Quota::default() };
    let gateway = Gateway::start(Config { quotas: [("*".to_owned(), quota)].into(), ..Config::default() }).await;
    let large = gateway.post("/v1/chat/completions", chat(&"word ".repeat(100))).await;
    assert!(large.status == 429 && large.body.contains("50 left of 50"), "{large:?}");
    let whole = gateway.post("/v1/chat/completions", chat("forever")).await;
    assert!(whole.status == 429 && whole.header("retry-after").is_some(), "{whole:?}");
}

#[tokio::test]
async fn what_was_taken_back_is_gone_and_says_so() {
    let gateway = Gateway::start(Config::default()).await;
    for path in ["/v1/models", "/api/tags"] {
        assert!(!gateway.get(path).await.body.contains("taken"), "{path}");
    }
    let mut body = chat("x");
    body["model"] = "taken".into();
    let answer = gateway.post("/v1/chat/completions", body).await;
    assert_eq!((answer.status, answer.json()["error"]["code"].as_str()), (403, Some("model_revoked")), "{answer:?}");
    assert!(answer.header("retry-after").is_none() && answer.body.contains("it is unsafe"));
    assert_eq!(gateway.entry().await.outcome, Outcome::Denied);
    for path in ["/v1/models/taken", "/v2/models/taken", "/v2/models/taken/ready"] {
        assert_eq!(gateway.get(path).await.status, 403, "{path}");
    }
    assert_eq!(gateway.post("/api/show", json!({ "model": "taken" })).await.status, 403);
}

#[tokio::test]
async fn whoever_may_not_ask_a_model_is_told_nothing_of_it() {
    let gateway = Gateway::start(Config::default()).await;
    for path in ["/v1/models/secret", "/v2/models/secret", "/v2/models/secret/ready", "/v2/models/secret/versions/1"] {
        let answer = gateway.get(path).await;
        assert!(answer.status == 403 && answer.body.contains("no-secrets"), "{path}: {answer:?}");
    }
    let show = gateway.post("/api/show", json!({ "model": "secret" })).await;
    assert!(show.status == 403 && show.body.contains("ask alice"), "{show:?}");
    assert_eq!(gateway.get("/v1/models/tiny").await.status, 200);
}

#[tokio::test]
async fn who_is_turned_away_is_on_record() {
    let gateway = Gateway::start(Config::default()).await;
    let body = chat("x").to_string();
    let mut none = chat("x");
    none["model"] = "none".into();
    let none = none.to_string();
    for (header, body, outcome) in [
        (("Authorization", "Bearer wb_old"), &body, Outcome::Denied),
        (("Host", "evil.example"), &body, Outcome::Denied),
        (("Origin", "https://evil.example"), &body, Outcome::Denied),
        (("X-Weighbridge-Data-Class", "a b"), &body, Outcome::Invalid),
        (("Accept", "*/*"), &none, Outcome::Invalid),
    ] {
        gateway.log.0.lock().unwrap().clear();
        gateway.ask("POST", "/v1/chat/completions", &[header], body.as_bytes()).await;
        let entry = gateway.entry().await;
        assert_eq!(
            (entry.outcome, entry.allowed, entry.answered_by.as_str()),
            (outcome, false, "nobody"),
            "{header:?}"
        );
        assert!(entry.uid.is_some() && entry.reason.is_some() && entry.endpoint == "/v1/chat/completions", "{entry:?}");
    }
    assert_eq!(gateway.entry().await.model, "none");
}

#[tokio::test]
async fn ollamas_clients_name_models_their_own_way() {
    let gateway = Gateway::start(Config::default()).await;
    let both = json!({ "name": "tiny", "model": "tiny:latest" });
    assert_eq!(gateway.post("/api/show", both).await.status, 200);
    assert_eq!(gateway.post("/api/show", json!({ "name": "tiny" })).await.status, 200);
    let nameless = gateway.post("/api/show", json!({})).await;
    assert!(nameless.status == 400 && nameless.body.contains("`model` is missing"), "{nameless:?}");
    let body = json!({ "model": "tiny:latest", "prompt": "hello", "stream": false });
    assert_eq!(gateway.post("/api/generate", body).await.status, 200);
    assert_eq!(gateway.post("/api/show", json!({ "model": "tiny:7b" })).await.status, 404);
}

#[tokio::test]
async fn pages_that_are_known_send_and_read_what_they_need() {
    let config = Config { origins: vec!["https://chat.example".to_owned()], ..Config::default() };
    let gateway = Gateway::start(config).await;
    let asked = "authorization,content-type,x-stainless-arch";
    let ask = async |origin: &str| {
        let headers =
            [("Origin", origin), ("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", asked)];
        gateway.ask("OPTIONS", "/v1/chat/completions", &headers, b"").await
    };
    let good = ask("https://chat.example").await;
    assert_eq!((good.status, good.header("access-control-allow-headers")), (204, Some(asked)), "{good:?}");
    assert!(good.header("access-control-expose-headers").unwrap().contains("x-request-id"));
    let bad = ask("https://evil.example").await;
    assert!(bad.status == 403 && bad.header("access-control-allow-headers").is_none(), "{bad:?}");
}

#[tokio::test]
async fn compressed_bodies_are_refused_in_words() {
    let gateway = Gateway::start(Config::default()).await;
    for path in ["/v2/models/add/infer", "/v1/chat/completions", "/api/chat"] {
        let answer = gateway.ask("POST", path, &[("Content-Encoding", "gzip")], b"\x1f\x8b").await;
        assert!(answer.status == 415 && answer.body.contains("compressed (`gzip`)"), "{path}: {answer:?}");
    }
}

#[tokio::test]
async fn limits_are_those_of_the_engine() {
    let gateway = Gateway::start(Config::default()).await;
    let tool = json!({ "type": "function", "function": { "name": "f" } });
    let mut body = chat("x");
    body["tools"] = json!(vec![tool; 129]);
    let answer = gateway.post("/v1/chat/completions", body).await;
    assert_eq!((answer.status, answer.json()["error"]["param"].as_str()), (400, Some("tools")));
    let many = json!({ "model": "rerank", "query": "q", "documents": vec!["d"; 4097] });
    let answer = gateway.post("/v1/rerank", many).await;
    assert_eq!((answer.status, answer.json()["error"]["param"].as_str()), (400, Some("documents")));
}

#[tokio::test]
async fn what_a_field_may_be_is_told_in_words() {
    let gateway = Gateway::start(Config::default()).await;
    let mut stop = chat("x");
    stop["stop"] = json!(5);
    let mut choice = chat("x");
    choice["tool_choice"] = json!("perhaps");
    for (path, body, told) in [
        ("/v1/chat/completions", stop, "a text or a list of texts"),
        ("/v1/chat/completions", choice, "`auto`, `none`, `required`"),
        ("/v1/completions", json!({ "model": "tiny", "prompt": {} }), "a list of tokens"),
        ("/v1/responses", json!({ "model": "tiny", "input": 5 }), "a text or a list of items"),
        ("/v1/rerank", json!({ "model": "rerank", "query": "q", "documents": [5] }), "an object with a `text`"),
    ] {
        let answer = gateway.post(path, body).await;
        assert!(answer.status == 400 && answer.body.contains(told), "{answer:?}");
        assert!(!answer.body.contains("untagged"), "{answer:?}");
    }
}

#[tokio::test]
async fn a_connection_may_rest_between_requests_but_not_within_one() {
    let gateway = Gateway::start(Config {
        limits: Limits { head_timeout_ms: 200, idle_timeout_ms: 20_000, ..Limits::default() },
        ..Config::default()
    });
    let gateway = gateway.await;
    let mut stream = gateway.connect().await;
    let mut answer = [0; 4096];
    for _ in 0..2 {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let read = stream.read(&mut answer).await.unwrap();
        assert!(answer[..read].starts_with(b"HTTP/1.1 200"));
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    stream.write_all(b"GET /hea").await.unwrap();
    let end = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut answer)).await;
    assert!(matches!(end, Ok(Ok(0) | Err(_))), "{end:?}");
}
