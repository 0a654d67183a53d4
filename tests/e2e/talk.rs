//! The sample chat model, talked to and measured as a person does.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use weighbridge_tests::{root, run, weighbridge};

use crate::inference::{Service, has_library, sample};

fn words(output: &[u8]) -> String {
    String::from_utf8_lossy(output).into_owned()
}

fn chat_model() -> PathBuf {
    root().join("examples/models/chat")
}

/// `weighbridge chat`, told `lines`.
fn chat(arguments: &[&str], lines: &str) -> Output {
    let mut process = Command::new(weighbridge())
        .arg("chat")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    process.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    process.wait_with_output().unwrap()
}

#[test]
fn the_sample_answers_in_the_terminal() {
    if !has_library() {
        return;
    }
    let service = Service::start(&[&chat_model()]);
    let server = format!("http://127.0.0.1:{}", service.port);
    let said = chat(&["--server", &server, "--temperature", "0"], "What does Weighbridge do?\n/clear\nThank you!\n");
    let shown = words(&said.stdout);
    assert!(said.status.success(), "{said:?}");
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines.len(), 2, "{shown}");
    assert!(lines[0].contains("model"), "{shown}");
    // What it is told before everything else reaches it; a wrong name is said.
    let wrong = chat(&["--server", &server, "--model", "other"], "hello\n");
    assert_eq!(wrong.status.code(), Some(2));
    assert!(words(&wrong.stderr).contains("there is no model `other`"), "{wrong:?}");
}

#[test]
fn nobody_there_is_said_with_what_to_do() {
    let none = chat(&["--server", "http://127.0.0.1:9"], "hello\n");
    assert_eq!(none.status.code(), Some(2));
    assert!(words(&none.stderr).contains("weighbridge serve --model"), "{none:?}");
}

#[test]
fn a_model_is_measured_in_its_sandbox() {
    if !has_library() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (model, imports) = (sample(), folder.path().join("imports"));
    let few = ["--rounds", "1", "--prompt", "16", "--tokens", "8", "--streams", "1,3", "--cache", "16", "--imports"];
    let bench = |more: &[&str]| {
        let known = ["bench", model.to_str().unwrap()];
        run(&[&known, few.as_slice(), &[imports.to_str().unwrap()], more].concat())
    };
    let shown = bench(&[]);
    let table = words(&shown.stdout);
    assert!(shown.status.success(), "{shown:?}");
    assert!(table.contains("3 streams") && table.contains("first token after"), "{table}");
    let measured = bench(&["--json"]);
    let json: Value = serde_json::from_slice(&measured.stdout).unwrap();
    let decode = json["model"]["decode"].as_array().unwrap();
    assert_eq!((decode[0]["streams"].as_u64(), decode[1]["streams"].as_u64()), (Some(1), Some(3)));
    assert!(decode.iter().all(|d| d["tokens_per_second"].as_f64().unwrap() > 0.0), "{json}");
    assert!(decode[0]["share_of_limit"].as_f64().unwrap() > 0.0, "{json}");
    assert!(json["model"]["prefill"]["tokens_per_second"].as_f64().unwrap() > 0.0, "{json}");
    assert!(json["machine"]["read_bytes_per_second"].as_f64().unwrap() > 1e8, "{json}");
}

#[test]
fn without_a_model_the_machine_is_told() {
    let shown = run(&["bench", "--json"]);
    assert!(shown.status.success(), "{shown:?}");
    let json: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert!(json.get("model").is_none() && json["fits"].as_array().unwrap().len() > 8, "{json}");
}

#[test]
fn an_attack_is_not_measured() {
    if !has_library() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let bad = folder.path().join("bad");
    std::fs::create_dir(&bad).unwrap();
    std::fs::copy(sample(), bad.join("model.gguf")).unwrap();
    std::fs::write(bad.join("extra.pkl"), b"cposix\nsystem\n(S'true # weighbridge-marker'\ntR.").unwrap();
    let refused = run(&["bench", bad.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(words(&refused.stderr).contains("attacks whoever loads it"), "{refused:?}");
}
