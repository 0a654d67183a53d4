//! Import and serve as a user does: the real binary, real requests.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use weighbridge_tests::{root, run, target_profile, weighbridge};

/// A tiny model with random weights and a real vocabulary.
pub fn sample() -> PathBuf {
    root().join("runtime/import/tests/fixtures/models/qwen2/model.gguf")
}

pub fn has_library() -> bool {
    let library = target_profile().parent().unwrap().join("onnxruntime/libonnxruntime.so");
    if !library.exists() {
        println!("skipped: {} is not there; `cargo xtask test` fetches it", library.display());
    }
    library.exists()
}

/// A service, ended with its test.
pub struct Service {
    process: Child,
    pub port: u16,
    folder: tempfile::TempDir,
}

impl Service {
    fn policy(folder: &Path) -> PathBuf {
        let policy = folder.join("policy");
        assert!(run(&["policy", "init", policy.to_str().unwrap()]).status.success());
        policy
    }

    /// Approves what is at `model`, as an administrator does.
    fn approve(policy: &Path, model: &Path) {
        let (_, report) = weighbridge_tests::scan(&[model.to_str().unwrap()]);
        let digests =
            weighbridge_tests::artifacts(&report).map(|a| format!("\"sha256:{}\"", a["sha256"].as_str().unwrap()));
        let digests: Vec<String> = digests.collect();
        let approval = format!("- for: {{ models: [{}] }}\n  approver: a\n  reason: r\n", digests.join(", "));
        fs::write(policy.join("data/approvals.yaml"), approval).unwrap();
    }

    /// Serves `models`, of which the first is approved.
    pub fn start(models: &[&Path]) -> Self {
        Self::start_approved(models, models[0])
    }

    /// Serves `models`; what lies at `approved` is.
    fn start_approved(models: &[&Path], approved: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let policy = Self::policy(folder.path());
        Self::approve(&policy, approved);
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(weighbridge());
        command.arg("serve").arg("--policy").arg(policy).args(["--listen", &format!("127.0.0.1:{port}")]);
        command.arg("--imports").arg(folder.path().join("imports")).args(["--cache", "64"]);
        command.arg("--record").arg(folder.path().join("record.jsonl"));
        for model in models {
            command.arg("--model").arg(model);
        }
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let ready = lines.any(|line| line.is_ok_and(|line| line.contains("serving on")));
        std::thread::spawn(move || lines.for_each(drop));
        assert!(ready, "it did not start");
        Self { process, port, folder }
    }

    /// Status and body.
    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, String) {
        let mut stream = self.send(method, path, body);
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
        let body = answer.split_once("\r\n\r\n").map_or_else(String::new, |(_, body)| body.to_owned());
        (status, body)
    }

    fn send(&self, method: &str, path: &str, body: Option<&Value>) -> TcpStream {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let body = body.map(Value::to_string).unwrap_or_default();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        stream
    }

    fn complete(&self, model: &str, more: &Value) -> (u16, Value) {
        let mut body = json!({ "model": model, "prompt": [5, 9, 17], "max_tokens": 12, "temperature": 0 });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (status, body) = self.ask("POST", "/v1/completions", Some(&body));
        (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
    }

    /// Confined processes of its models.
    fn workers(&self) -> Vec<u32> {
        let mut all = Vec::new();
        for task in fs::read_dir(format!("/proc/{}/task", self.process.id())).unwrap().flatten() {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            all.extend(children.split_whitespace().filter_map(|p| p.parse::<u32>().ok()));
        }
        all.sort_unstable();
        all.dedup();
        all
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Service {
    fn stop(&mut self) {
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let started = Instant::now();
        while self.process.try_wait().is_ok_and(|s| s.is_none()) && started.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn an_approved_model_is_imported_served_and_recorded() {
    if !has_library() {
        return;
    }
    let mut service = Service::start(&[&sample()]);
    let (status, models) = service.ask("GET", "/v1/models", None);
    assert_eq!(status, 200);
    let models: Value = serde_json::from_str(&models).unwrap();
    assert_eq!(models["data"][0]["id"], "model");
    let (status, first) = service.complete("model", &json!({}));
    assert_eq!(status, 200, "{first}");
    assert_eq!(first["usage"]["completion_tokens"], 12, "{first}");
    let (_, again) = service.complete("model", &json!({}));
    assert_eq!(first["choices"], again["choices"], "the likeliest tokens are the same ones");
    // Several at once, one of them as a stream.
    let (status, several) = service.complete("model", &json!({ "n": 3, "temperature": 1, "seed": 7 }));
    assert_eq!((status, several["choices"].as_array().unwrap().len()), (200, 3));
    let body = json!({ "model": "model", "prompt": [3], "max_tokens": 5, "stream": true });
    let (_, stream) = service.ask("POST", "/v1/completions", Some(&body));
    assert!(stream.contains("data: [DONE]"), "{stream}");
    let (status, _) = service.complete("another", &json!({}));
    assert_eq!(status, 404);
    let path = service.folder.path().join("record.jsonl");
    service.stop();
    let record = fs::read_to_string(&path).unwrap();
    let lines: Vec<Value> = record.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.len(), 5, "{record}");
    assert_eq!(path.metadata().unwrap().mode() & 0o077, 0, "it says who asked what");
    let (answered, unknown) = lines.split_at(4);
    assert!(answered.iter().all(|l| l["allowed"] == true && l["answered_by"] == "local"), "{record}");
    assert_eq!(unknown[0]["allowed"], false, "{record}");
    assert!(!record.contains("[5,9,17]"), "what was said is nobody's business");
}

#[test]
fn an_import_is_served_as_it_is() {
    if !has_library() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("model");
    let made = run(&["import", sample().to_str().unwrap(), "--output", out.to_str().unwrap()]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let (imported, source) = (Service::start(&[&out]), Service::start(&[&sample()]));
    let (status, answer) = imported.complete("model", &json!({}));
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["choices"], source.complete("model", &json!({})).1["choices"]);
}

#[test]
fn a_killed_worker_costs_its_callers_an_error_and_nobody_else() {
    if !has_library() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other.gguf");
    fs::copy(sample(), &other).unwrap();
    let service = Service::start(&[&sample(), &other]);
    let workers = service.workers();
    assert_eq!(workers.len(), 2, "a process each");
    let body = json!({ "model": "model", "prompt": [3], "max_tokens": 200, "stream": true, "ignore_eos": true });
    let mut stream = BufReader::new(service.send("POST", "/v1/completions", Some(&body)));
    let mut line = String::new();
    while !line.starts_with("data: ") {
        line.clear();
        assert_ne!(stream.read_line(&mut line).unwrap(), 0, "it streams");
    }
    for worker in &workers {
        let command = fs::read(format!("/proc/{worker}/cmdline")).unwrap();
        assert!(String::from_utf8_lossy(&command).contains("__model-worker"));
    }
    // Which of the two it is does not show from outside: both, one by one.
    assert!(Command::new("kill").args(["-9", &workers[0].to_string()]).status().unwrap().success());
    let started = Instant::now();
    for model in ["model", "other"] {
        loop {
            let (status, answer) = service.complete(model, &json!({}));
            if status == 200 {
                break;
            }
            assert!(answer["error"]["message"].is_string(), "{answer}");
            assert!(started.elapsed() < Duration::from_secs(30), "{model}: {answer}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

#[test]
fn what_policy_takes_back_is_served_no_more() {
    if !has_library() {
        return;
    }
    let service = Service::start(&[&sample()]);
    assert_eq!(service.complete("model", &json!({})).0, 200);
    let notes = "@id(\"no-models\")\n@owner(\"a@example.org\")\n@rationale(\"taken back\")\n@severity(\"high\")\n";
    let rule = format!("{notes}forbid(principal, action == Action::\"serve\", resource);\n");
    fs::write(service.folder.path().join("policy/policies/no-models.cedar"), rule).unwrap();
    let started = Instant::now();
    // Callers are refused at once; its process ends soon after.
    while service.complete("model", &json!({})).0 == 200 || !service.workers().is_empty() {
        assert!(started.elapsed() < Duration::from_secs(10), "it is served on");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_denied_model_is_refused_with_the_reason() {
    if !has_library() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let policy = Service::policy(folder.path());
    // Nobody has approved it yet.
    let serve = |model: &str| run(&["serve", "--model", model, "--policy", policy.to_str().unwrap()]);
    let refused = serve(sample().to_str().unwrap());
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("approve-unknown-publishers"), "{refused:?}");
    // Nor does an approval help one that lies beside an attack.
    Service::approve(&policy, &sample());
    let bad = folder.path().join("bad");
    fs::create_dir(&bad).unwrap();
    fs::copy(sample(), bad.join("model.gguf")).unwrap();
    fs::write(bad.join("extra.pkl"), b"cposix\nsystem\n(S'true # weighbridge-marker'\ntR.").unwrap();
    let model = bad.to_str().unwrap();
    let refused = serve(model);
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{words}");
    assert!(words.contains("may not be served") && words.contains("extra.pkl"), "{words}");
}

#[test]
fn an_import_is_a_folder_that_the_scanner_knows() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("imported");
    let (source, to) = (sample(), out.to_str().unwrap().to_owned());
    let made = run(&["import", source.to_str().unwrap(), "--output", &to]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let (code, report) = weighbridge_tests::scan(&[&to]);
    assert_eq!(code, Some(0), "{report}");
    let again = run(&["import", source.to_str().unwrap(), "--output", &to]);
    assert_eq!(again.status.code(), Some(2), "nothing is overwritten");
    // Damage is said, and leaves nothing behind.
    let damaged = folder.path().join("damaged.gguf");
    let bytes = fs::read(&source).unwrap();
    fs::write(&damaged, &bytes[..bytes.len() / 2]).unwrap();
    let to = folder.path().join("none");
    let failed = run(&["import", damaged.to_str().unwrap(), "--output", to.to_str().unwrap()]);
    assert_eq!(failed.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&failed.stderr).contains("cannot be imported"), "{failed:?}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

/// A tiny model for vectors, or for scores, as a folder of the Hugging Face hub.
/// The sample chat model as onnxruntime-genai's model builder exports it, in
/// the layout of exports for browsers.
fn exported(folder: &Path) -> PathBuf {
    let model = folder.join("exported");
    fs::create_dir_all(model.join("onnx")).unwrap();
    let fixtures = root().join("runtime/onnx/tests/fixtures/stock");
    fs::copy(fixtures.join("model.onnx"), model.join("onnx/model_q4.onnx")).unwrap();
    fs::copy(fixtures.join("model.onnx.data"), model.join("onnx/model.onnx.data")).unwrap();
    fs::copy(fixtures.join("genai_config.json"), model.join("genai_config.json")).unwrap();
    for name in ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"] {
        fs::copy(root().join("examples/models/chat").join(name), model.join(name)).unwrap();
    }
    model
}

#[test]
fn a_language_model_that_others_exported_answers() {
    if !has_library() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let model = exported(folder.path());
    let graph = model.join("onnx/model_q4.onnx");
    let service = Service::start_approved(&[&graph], &model);
    let ask = |text: &str| {
        let body = json!({ "model": "model_q4", "messages": [{ "role": "user", "content": text }], "temperature": 0 });
        let (status, answer) = service.json("/v1/chat/completions", &body);
        assert_eq!(status, 200, "{answer}");
        answer["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
    };
    let alone = ask("What does Weighbridge do?");
    assert!(alone.contains("model"), "{alone}");
    // Side by side nobody gets another's answer.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(ask("What does Weighbridge do?"), alone));
            scope.spawn(|| assert_ne!(ask("Thank you!"), alone));
        }
    });
}

fn encoder(name: &str) -> PathBuf {
    root().join("runtime/import/tests/fixtures/encoders").join(name)
}

/// Its folder without what it is measured by, so that only the model is there.
fn model_alone(name: &str, folder: &Path) -> PathBuf {
    let to = folder.join(name);
    fs::create_dir_all(&to).unwrap();
    for entry in fs::read_dir(encoder(name)).unwrap().flatten() {
        if entry.path().is_dir() {
            fs::create_dir(to.join(entry.file_name())).unwrap();
            for inner in fs::read_dir(entry.path()).unwrap().flatten() {
                fs::copy(inner.path(), to.join(entry.file_name()).join(inner.file_name())).unwrap();
            }
        } else if entry.file_name() != "cases.json" {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
    to
}

/// Texts, or pairs, and what sentence-transformers makes of them.
fn cases(name: &str) -> Vec<(String, String, Vec<f64>)> {
    let cases: Vec<Value> = serde_json::from_slice(&fs::read(encoder(name).join("cases.json")).unwrap()).unwrap();
    let text = |case: &Value, field: &str| case[field].as_str().unwrap_or_default().to_owned();
    cases.iter().map(|c| (text(c, "first"), text(c, "second"), numbers(&c["numbers"]))).collect()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).collect()
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

impl Service {
    fn json(&self, path: &str, body: &Value) -> (u16, Value) {
        let (status, body) = self.ask("POST", path, Some(body));
        (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
    }

    fn embed(&self, model: &str, input: &Value) -> Vec<Vec<f64>> {
        let (status, answer) = self.json("/v1/embeddings", &json!({ "model": model, "input": input }));
        assert_eq!(status, 200, "{answer}");
        answer["data"].as_array().unwrap().iter().map(|d| numbers(&d["embedding"])).collect()
    }
}

#[test]
fn a_folder_of_the_hub_embeds_as_sentence_transformers_does() {
    if !has_library() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let model = model_alone("bert", folder.path());
    let service = Service::start(&[&model]);
    let cases = cases("bert");
    let texts: Vec<&str> = cases.iter().map(|c| c.0.as_str()).collect();
    let vectors = service.embed("bert", &json!(texts));
    for (ours, (text, _, theirs)) in vectors.iter().zip(&cases) {
        let cosine = cosine(ours, theirs);
        assert!(cosine > 0.995, "{cosine} for `{text}`");
    }
    // Many at once, of one text and of many: each gets its own, to the bit.
    std::thread::scope(|scope| {
        for round in 0..12 {
            let (service, texts, vectors) = (&service, &texts, &vectors);
            scope.spawn(move || {
                if round % 3 == 0 {
                    let many: Vec<&str> = texts.iter().copied().cycle().take(200).collect();
                    let answers = service.embed("bert", &json!(many));
                    assert!(answers.iter().zip(vectors.iter().cycle()).all(|(a, b)| a == b), "company changes nothing");
                } else {
                    let n = round % texts.len();
                    assert_eq!(service.embed("bert", &json!(texts[n])), vectors[n..=n], "nor does being alone");
                }
            });
        }
    });
    // What does not fit is said; nobody is held up by it.
    let long = "model ".repeat(100);
    let (status, answer) = service.json("/v1/embeddings", &json!({ "model": "bert", "input": long }));
    assert_eq!(status, 400, "{answer}");
    let cut = json!({ "model": "bert", "input": long, "truncate": true, "dimensions": 8 });
    let (status, answer) = service.json("/v1/embeddings", &cut);
    assert_eq!((status, answer["data"][0]["embedding"].as_array().map(Vec::len)), (200, Some(8)), "{answer}");
    let (status, answer) = service.json("/rerank", &json!({ "model": "bert", "query": "a", "documents": ["b"] }));
    assert_eq!(status, 400, "{answer}");
    let (_, models) = service.ask("GET", "/v1/models", None);
    assert!(models.contains("\"bert\""), "{models}");
}

#[test]
fn a_folder_of_the_hub_ranks_as_sentence_transformers_does() {
    if !has_library() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let models = ["roberta_rerank", "bert_rerank"].map(|name| model_alone(name, folder.path()));
    // Both are approved where their one folder is.
    for model in &models {
        let service = Service::start(&[model]);
        let name = model.file_name().unwrap().to_str().unwrap();
        let cases = cases(name);
        let ask = |query: &str| {
            let documents: Vec<&str> = cases.iter().filter(|c| c.0 == query).map(|c| c.1.as_str()).collect();
            let body = json!({ "model": name, "query": query, "documents": documents });
            let (status, answer) = service.json("/rerank", &body);
            assert_eq!(status, 200, "{answer}");
            let mut results = answer["results"].as_array().unwrap().clone();
            let scores: Vec<f64> = results.iter().map(|r| r["relevance_score"].as_f64().unwrap()).collect();
            assert!(scores.is_sorted_by(|a, b| a >= b), "best first: {answer}");
            results.sort_by_key(|r| r["index"].as_u64());
            results.iter().map(|r| r["relevance_score"].as_f64().unwrap()).collect::<Vec<f64>>()
        };
        let first = ask("the river");
        for (ours, (_, text, theirs)) in first.iter().zip(&cases) {
            // Eight bits; raw scores have a standard deviation of about 1.
            assert!((ours - theirs[0]).abs() < 0.15, "{name}: {ours} for {theirs:?}, `{text}`");
        }
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| assert_eq!(ask("the river"), first));
            }
        });
    }
}
