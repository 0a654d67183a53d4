//! Requests as they come: right, wrong, hostile, slow, many.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "helpers of tests are tests")]

mod common;

use std::time::Duration;

use common::Gateway;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use weighbridge_gateway::{Config, Limits, Outcome, Quota};

fn chat(text: &str) -> Value {
    json!({ "model": "tiny", "messages": [{ "role": "user", "content": text }] })
}

fn streamed(text: &str) -> Value {
    let mut body = chat(text);
    body["stream"] = true.into();
    body
}

fn limits(limits: Limits) -> Config {
    Config { limits, ..Config::default() }
}

#[tokio::test]
async fn a_conversation_is_continued() {
    let gateway = Gateway::start(Config::default()).await;
    let answer = gateway.post("/v1/chat/completions", chat("hello there")).await;
    let body = answer.json();
    assert_eq!(body["choices"][0]["message"]["content"], "echo: hello there");
    assert_eq!((&body["choices"][0]["finish_reason"], &body["usage"]["total_tokens"]), (&json!("stop"), &json!(7)));
    assert_eq!(answer.header("x-weighbridge-answered-by"), Some("local"));
    let entry = gateway.entry().await;
    assert_eq!((entry.outcome, entry.prompt_tokens, entry.completion_tokens), (Outcome::Answered, 4, 3));
    assert!(entry.uid.is_some() && entry.caller.starts_with("user:") && entry.prompt.is_none(), "{entry:?}");
    assert!(entry.first_token_us.is_some() && entry.latency_us > 0);
}

#[tokio::test]
async fn a_stream_ends_with_usage_and_a_mark() {
    let gateway = Gateway::start(Config::default()).await;
    let mut body = streamed("think of a slow river");
    body["stream_options"] = json!({ "include_usage": true });
    let answer = gateway.post("/v1/chat/completions", body).await;
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    assert!(answer.body.ends_with("data: [DONE]\n\n"), "{}", answer.body);
    let events = answer.events();
    let text = |key: &str| -> String { events.iter().filter_map(|e| e["choices"][0]["delta"][key].as_str()).collect() };
    assert_eq!((text("content").as_str(), text("reasoning_content").as_str()), ("echo: think of a slow river", "hm"));
    assert_eq!(text("role"), "assistant");
    assert_eq!(events.last().unwrap()["usage"]["completion_tokens"], 6);
    assert_eq!(events[events.len() - 2]["choices"][0]["finish_reason"], "stop");
}

#[tokio::test]
async fn failures_have_the_status_they_deserve() {
    let gateway = Gateway::start(Config::default()).await;
    for (body, status, code) in [
        (chat("too-long"), 400, "context_length_exceeded"),
        (streamed("too-long"), 400, "context_length_exceeded"),
        (chat("busy"), 503, "overloaded"),
        (chat("a vanish b"), 503, "model_restarting"),
        (chat("a lie"), 500, "internal_error"),
        (json!({ "model": "none", "messages": [] }), 404, "model_not_found"),
        (json!({ "model": "secret", "messages": [] }), 403, "policy_denied"),
        (json!({ "model": "tiny", "messages": [] }), 400, "invalid_request"),
    ] {
        let answer = gateway.post("/v1/chat/completions", body.clone()).await;
        assert_eq!(
            (answer.status, answer.json()["error"]["code"].as_str()),
            (status, Some(code)),
            "{body}: {answer:?}"
        );
    }
    let busy = gateway.post("/v1/chat/completions", chat("busy")).await;
    assert_eq!(busy.header("retry-after"), Some("7"));
    let denied = gateway.post("/api/chat", json!({ "model": "secret", "messages": [] })).await;
    let text = denied.json()["error"].as_str().unwrap().to_owned();
    assert!(denied.status == 403 && text.contains("no-secrets") && text.contains("ask alice"), "{text}");
}

#[tokio::test]
async fn a_failure_in_a_stream_is_told_in_the_stream() {
    let gateway = Gateway::start(Config::default()).await;
    let answer = gateway.post("/v1/chat/completions", streamed("a break b c")).await;
    assert_eq!(answer.status, 200);
    let events = answer.events();
    assert_eq!(events.last().unwrap()["error"]["code"], "model_restarting", "{answer:?}");
    assert!(!answer.body.contains("[DONE]"));
    let ollama = gateway.post("/api/generate", json!({ "model": "tiny", "prompt": "a break b c" })).await;
    assert!(ollama.body.lines().last().unwrap().contains("\"error\""), "{ollama:?}");
    assert_eq!(gateway.post("/v1/chat/completions", chat("again")).await.status, 200);
}

#[tokio::test]
async fn broken_bodies_are_refused_and_nothing_else_happens() {
    let gateway = Gateway::start(Config::default()).await;
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let wide = format!("{{\"model\":\"tiny\",\"messages\":[{}]}}", vec!["0"; 2_000_000].join(","));
    let cases: &[(&[u8], u16)] = &[
        (b"", 400),
        (b"{", 400),
        (b"null", 400),
        (b"[]", 400),
        (b"\xff\xfe{}", 400),
        (b"{\"model\":\"ti\xffny\",\"messages\":[]}", 400),
        (b"{\"model\":\"tiny\",\"messages\":[{\"role\":\"user\",\"content\":\"\xc3\x28\"}]}", 400),
        (b"{\"model\":\"tiny\",\"model\":\"tiny\",\"messages\":[]}", 400),
        (b"{\"model\":\"tiny\",\"messages\":[{\"role\":\"user\",\"content\":\"\\ud800\"}]}", 400),
        (deep.as_bytes(), 400),
        (wide.as_bytes(), 413),
    ];
    for path in ["/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses", "/rerank", "/api/chat"] {
        for (body, status) in cases {
            let answer = gateway.ask("POST", path, &[], body).await;
            let shown = String::from_utf8_lossy(&body[..body.len().min(40)]);
            assert_eq!(answer.status, *status, "{path} {shown}: {answer:?}");
            assert!(answer.json().get("error").is_some());
        }
    }
    let plain = gateway.ask("POST", "/v1/completions", &[("content-type", "text/plain")], b"{}").await;
    assert_eq!(plain.status, 415);
    assert_eq!((gateway.get("/v1/nothing").await.status, gateway.get("/v1/chat/completions").await.status), (404, 405));
}

#[tokio::test]
async fn wrong_values_name_their_field() {
    let gateway = Gateway::start(Config::default()).await;
    for (field, value) in [
        ("temperature", json!(3)),
        ("top_p", json!(-0.1)),
        ("n", json!(0)),
        ("n", json!(1000)),
        ("max_tokens", json!(0)),
        ("stop", json!(vec!["x"; 17])),
        ("top_logprobs", json!(5)),
        ("logit_bias", json!({ "x": 1 })),
        ("tool_choice", json!("required")),
    ] {
        let mut body = chat("x");
        body[field] = value.clone();
        let answer = gateway.post("/v1/chat/completions", body).await;
        let param = answer.json()["error"]["param"].as_str().unwrap_or_default().to_owned();
        assert!(answer.status == 400 && (param == field || param == "max_completion_tokens"), "{field}: {answer:?}");
    }
    let image = json!([{ "type": "image_url", "image_url": { "url": "data:image/png;base64,AA" } }]);
    let body = json!({ "model": "tiny", "messages": [{ "role": "user", "content": image }] });
    let answer = gateway.post("/v1/chat/completions", body).await;
    assert!(answer.status == 400 && answer.body.contains("not images"), "{answer:?}");
}

#[tokio::test]
async fn bodies_that_are_too_large_are_not_read() {
    let gateway = Gateway::start(limits(Limits { body_bytes_max: 1000, ..Limits::default() })).await;
    let declared = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: 1073741824\r\n\r\n{";
    assert!(gateway.raw(declared).await.starts_with("HTTP/1.1 413"));
    let mut chunked = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    (0..10).for_each(|_| chunked.extend_from_slice(&[b"c8\r\n".as_slice(), &[b' '; 200], b"\r\n"].concat()));
    assert!(gateway.raw(&chunked).await.starts_with("HTTP/1.1 413"));
}

#[tokio::test]
async fn slow_senders_are_let_go() {
    let gateway =
        Gateway::start(limits(Limits { head_timeout_ms: 200, body_idle_timeout_ms: 200, ..Limits::default() })).await;
    let started = std::time::Instant::now();
    let body = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\nConnection: close\r\n\r\n{";
    let answer = gateway.raw(body).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    gateway.raw(b"POST /v1/comp").await;
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[tokio::test]
async fn whoever_leaves_is_not_worked_for() {
    let gateway = Gateway::start(Config::default()).await;
    for body in [streamed("forever"), chat("forever")] {
        let mut stream = gateway.connect().await;
        let body = body.to_string();
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        while gateway.fake.running() == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        drop(stream);
        gateway.idle().await;
        let entry = gateway.entry().await;
        assert_eq!(entry.outcome, Outcome::Cancelled);
    }
}

#[tokio::test]
async fn whoever_does_not_read_is_cut_off() {
    let gateway = Gateway::start(limits(Limits { write_stall_timeout_ms: 300, ..Limits::default() })).await;
    let mut stream = gateway.connect().await;
    let body = streamed("flood").to_string();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    while gateway.fake.running() == 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    gateway.idle().await;
    tokio::time::sleep(Duration::from_millis(800)).await;
    // What lay in buffers comes; then the connection is at its end.
    let mut all = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut all)).await;
    assert!(end.is_ok() && all.len() < 32 << 20, "{} bytes", all.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_streams_at_once() {
    let gateway = std::sync::Arc::new(Gateway::start(Config::default()).await);
    let tasks: Vec<_> = (0..1000)
        .map(|at| {
            let gateway = gateway.clone();
            tokio::spawn(async move {
                let answer = gateway.post("/v1/chat/completions", streamed(&format!("slow {at} a b c d e f"))).await;
                assert!(answer.body.ends_with("[DONE]\n\n"), "{answer:?}");
                answer.events().iter().filter_map(|e| e["choices"][0]["delta"]["content"].as_str()).collect::<String>()
            })
        })
        .collect();
    for (at, task) in tasks.into_iter().enumerate() {
        assert_eq!(task.await.unwrap(), format!("echo: slow {at} a b c d e f"));
    }
    gateway.idle().await;
}

#[tokio::test]
async fn names_and_origins_of_others_are_refused() {
    let config = Config {
        hosts: vec!["box.example".to_owned()],
        origins: vec!["https://chat.example".to_owned()],
        ..Config::default()
    };
    let gateway = Gateway::start(config).await;
    for (host, status) in [
        ("localhost", 200),
        ("127.0.0.1:11500", 200),
        ("[::1]:11500", 200),
        ("BOX.example:80", 200),
        ("evil.example", 403),
        ("localhost.evil.example", 403),
        ("localhost@evil.example", 403),
    ] {
        assert_eq!(gateway.ask("GET", "/v1/models", &[("Host", host)], b"").await.status, status, "{host}");
    }
    assert!(gateway.raw(b"GET /healthz HTTP/1.0\r\n\r\n").await.contains(" 400 "));
    let from = |origin| [("Origin", origin)];
    let good = gateway.ask("GET", "/v1/models", &from("https://chat.example"), b"").await;
    assert_eq!(good.header("access-control-allow-origin"), Some("https://chat.example"));
    for origin in ["https://evil.example", "null", "http://localhost:11500", ""] {
        let answer = gateway.ask("GET", "/v1/models", &from(origin), b"").await;
        assert!(answer.status == 403 && answer.header("access-control-allow-origin").is_none(), "{origin}: {answer:?}");
    }
    let cross = gateway.ask("GET", "/v1/models", &[("Sec-Fetch-Site", "cross-site")], b"").await;
    assert_eq!(cross.status, 403);
}

#[tokio::test]
async fn quotas_say_what_is_used_up() {
    let quota = Quota { tokens_per_day: Some(5), ..Quota::default() };
    let gateway = Gateway::start(Config { quotas: [("*".to_owned(), quota)].into(), ..Config::default() }).await;
    assert_eq!(gateway.post("/v1/chat/completions", chat("one two")).await.status, 200);
    let answer = gateway.post("/v1/chat/completions", chat("more")).await;
    assert!(answer.status == 429 && answer.body.contains("7 of 5 tokens allowed per day"), "{answer:?}");
    assert!(answer.header("retry-after").unwrap().parse::<u32>().unwrap() <= 86_400);
}

#[tokio::test]
async fn tokens_make_services() {
    use sha2::{Digest, Sha256};
    let dir = tempfile::tempdir().unwrap();
    let digest: String = Sha256::digest(b"wb_ci").iter().map(|b| format!("{b:02x}")).collect();
    let path = dir.path().join("tokens");
    std::fs::write(&path, format!("ci {digest}\n")).unwrap();
    let gateway = Gateway::start(Config { tokens: Some(path), ..Config::default() }).await;
    let body = chat("x").to_string();
    let ask = async |token: &str| {
        gateway.ask("POST", "/v1/chat/completions", &[("Authorization", token)], body.as_bytes()).await
    };
    assert_eq!(ask("Bearer wb_ci").await.status, 200);
    assert_eq!(gateway.entry().await.caller, "service-account:ci");
    let wrong = ask("Bearer wb_old").await;
    assert_eq!((wrong.status, wrong.json()["error"]["code"].as_str()), (401, Some("invalid_api_key")));
    assert_eq!(ask("Bearer not-needed").await.status, 200);
}

#[tokio::test]
async fn unix_callers_are_known_by_their_credentials() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gateway.sock");
    let listener = weighbridge_gateway::Listener::unix(path.clone()).await.unwrap();
    let gateway = Gateway::with(Config::default(), std::sync::Arc::new(common::Rules), vec![listener]).await;
    let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
    let body = chat("x").to_string();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: anything\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    assert_eq!(gateway.entry().await.pid, Some(std::process::id()));
    // Nobody takes the place of one that listens; a socket left behind is replaced.
    assert!(weighbridge_gateway::Listener::unix(path).await.is_err());
}

#[tokio::test]
async fn metrics_and_health() {
    let gateway = Gateway::start(Config::default()).await;
    gateway.post("/v1/chat/completions", chat("one two three")).await;
    gateway.post("/v1/chat/completions", json!({ "model": "made-up\"", "messages": [] })).await;
    let text = gateway.get("/metrics").await.body;
    for line in [
        "weighbridge_requests_total{model=\"tiny\",outcome=\"answered\"} 1",
        "weighbridge_completion_tokens_total{model=\"tiny\"} 4",
        "weighbridge_time_to_first_token_seconds_count{model=\"tiny\"} 1",
        "weighbridge_pages{model=\"tiny\"} 7",
        "weighbridge_energy_joules_total 1.5",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}: {text}");
    }
    assert!(!text.contains("made-up"));
    assert_eq!((gateway.get("/healthz").await.status, gateway.get("/readyz").await.status), (200, 200));
    assert_eq!(gateway.get("/openapi.json").await.json()["openapi"], "3.1.0");
}

#[tokio::test]
async fn what_is_in_flight_may_end() {
    let mut gateway = Gateway::start(Config::default()).await;
    let address = gateway.address;
    let mut stream = gateway.connect().await;
    let body = streamed("slow a b c d e f g h").to_string();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    while gateway.fake.running() == 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    gateway.stop();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(text.contains("[DONE]"), "{text}");
    (&mut gateway.ended).await.unwrap();
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn models_are_not_pulled() {
    let gateway = Gateway::start(Config::default()).await;
    let answer = gateway.post("/api/pull", json!({ "model": "llama3" })).await;
    assert!(answer.status == 403 && answer.body.contains("weighbridge request"), "{answer:?}");
    let listed = gateway.get("/v1/models").await.json();
    let names: Vec<_> = listed["data"].as_array().unwrap().iter().map(|m| m["id"].as_str().unwrap()).collect();
    assert_eq!(names, ["tiny", "embed", "rerank", "add"]);
}

#[tokio::test]
async fn completions_take_lists_and_echo() {
    let gateway = Gateway::start(Config::default()).await;
    let body = json!({ "model": "tiny", "prompt": ["a b", "c"], "n": 2, "echo": true, "max_tokens": 2 });
    let answer = gateway.post("/v1/completions", body).await.json();
    let texts: Vec<_> = answer["choices"].as_array().unwrap().iter().map(|c| c["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["a becho: a ", "a becho: a ", "cecho: c", "cecho: c"]);
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    let scored = json!({ "model": "tiny", "prompt": [1, 2], "logprobs": 2 });
    let answer = gateway.post("/v1/completions", scored).await.json();
    let lists = &answer["choices"][0]["logprobs"];
    assert_eq!(lists["tokens"], json!(["echo: ", "1 ", "2"]));
    assert_eq!((&lists["text_offset"], &lists["top_logprobs"][0]["t0"]), (&json!([0, 6, 8]), &json!(-9999.0)));
    let streamed = json!({ "model": "tiny", "prompt": ["a", "b"], "stream": true });
    let events = gateway.post("/v1/completions", streamed).await.events();
    for (at, wanted) in ["echo: a", "echo: b"].iter().enumerate() {
        let parts = events.iter().filter(|e| e["choices"][0]["index"] == at);
        assert_eq!(parts.filter_map(|e| e["choices"][0]["text"].as_str()).collect::<String>(), *wanted);
    }
}

#[tokio::test]
async fn documents_come_best_first() {
    let gateway = Gateway::start(Config::default()).await;
    let body = json!({ "model": "rerank", "query": "red fox", "documents": ["a dog", { "text": "a red fox" }, "red"], "top_n": 2, "return_documents": true });
    for path in ["/v1/rerank", "/rerank"] {
        let answer = gateway.post(path, body.clone()).await.json();
        let order: Vec<_> =
            answer["results"].as_array().unwrap().iter().map(|r| r["index"].as_u64().unwrap()).collect();
        assert_eq!((order, answer["results"][0]["document"]["text"].as_str()), (vec![1, 2], Some("a red fox")));
    }
}

/// The provider is a gateway too: it has `tiny`, and knows our key.
#[tokio::test]
async fn providers_answer_what_policy_lets_out() {
    use sha2::{Digest, Sha256};
    use weighbridge_gateway::{ProviderConfig, ProviderModel};
    let dir = tempfile::tempdir().unwrap();
    let (tokens, key) = (dir.path().join("tokens"), dir.path().join("key"));
    let digest: String = Sha256::digest(b"wb_ours").iter().map(|b| format!("{b:02x}")).collect();
    std::fs::write(&tokens, format!("us {digest}\n")).unwrap();
    std::fs::write(&key, "wb_ours\n").unwrap();
    let far = Gateway::start(Config { tokens: Some(tokens), ..Config::default() }).await;
    let model =
        |name: &str, upstream: &str| ProviderModel { name: name.to_owned(), upstream: Some(upstream.to_owned()) };
    let provider = ProviderConfig {
        id: "far".to_owned(),
        base_url: format!("http://{}/v1/", far.address).parse().unwrap(),
        key_file: Some(key),
        roots: None,
        models: vec![model("big", "tiny"), model("tiny", "tiny"), model("gone", "none")],
    };
    let gateway = Gateway::start(Config { providers: vec![provider], ..Config::default() }).await;
    let ask = async |model: &str, class: &str, stream: bool| {
        let mut body = streamed("slow a b");
        (body["model"], body["stream"]) = (model.into(), stream.into());
        body["stream_options"] = json!({ "include_usage": true });
        let headers = [("X-Weighbridge-Data-Class", class), ("Authorization", "Bearer of-the-caller")];
        gateway.ask("POST", "/v1/chat/completions", &headers, body.to_string().as_bytes()).await
    };
    let near = ask("tiny", "public", false).await;
    assert_eq!((near.status, near.header("x-weighbridge-answered-by")), (200, Some("local")));
    assert!(far.log.0.lock().unwrap().is_empty());
    let kept = ask("big", "secret", false).await;
    assert!(kept.status == 403 && kept.body.contains("data stays"), "{kept:?}");
    for stream in [false, true] {
        let sent = ask("big", "public", stream).await;
        assert_eq!((sent.status, sent.header("x-weighbridge-answered-by")), (200, Some("provider:far")), "{sent:?}");
        assert!(sent.header("x-weighbridge-why").is_some() && sent.body.contains("echo: "), "{sent:?}");
        // Theirs stay theirs.
        assert_eq!(sent.head.matches("x-request-id").count(), 1);
        let entry = gateway.entry().await;
        assert_eq!((entry.answered_by.as_str(), entry.completion_tokens), ("provider:far", 4), "{entry:?}");
    }
    assert_eq!(far.entry().await.caller, "service-account:us");
    let public = [("X-Weighbridge-Data-Class", "public")];
    let one = gateway.ask("GET", "/v1/models/big", &public, b"").await;
    assert_eq!((one.status, one.json()["owned_by"].as_str()), (200, Some("provider:far")));
    assert_eq!(gateway.get("/v1/models/big").await.status, 403);
    let refused = ask("gone", "public", false).await;
    assert!(refused.status == 400 && refused.body.contains("provider `far` answered 404"), "{refused:?}");
    assert_eq!(gateway.post("/api/chat", json!({ "model": "big", "messages": [] })).await.status, 403);
}
