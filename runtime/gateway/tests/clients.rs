//! Real clients, as their users have them. `cargo xtask test` installs them
//! below `target/`; what is not there is skipped, and says so.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "helpers of tests are tests")]

mod common;

use std::path::{Path, PathBuf};

use common::Gateway;
use serde_json::Value;
use tokio::process::Command;
use weighbridge_gateway::Config;

/// The workspace's `target`.
fn target() -> PathBuf {
    // target/<profile>/deps/clients-<hash>
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(3).unwrap().to_path_buf()
}

fn tool(name: &str) -> Option<PathBuf> {
    let path = target().join("venvs/inference/bin").join(name);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: {name} with the inference clients is not installed; `cargo xtask test` does");
    None
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name)
}

async fn succeeds(mut command: Command) {
    let output = command.kill_on_drop(true).output().await.unwrap();
    let text = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&text));
    println!("{}", String::from_utf8_lossy(&text));
}

async fn python(name: &str) {
    let Some(python) = tool("python") else { return };
    let gateway = Gateway::start(Config::default()).await;
    let mut command = Command::new(python);
    command.arg(script(name)).arg(format!("http://{}", gateway.address));
    succeeds(command).await;
    // No client leaves anything running.
    gateway.idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn openai_of_python() {
    python("openai_client.py").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn langchain() {
    python("langchain_client.py").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ollama() {
    python("ollama_client.py").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tritonclient() {
    python("triton_client.py").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn openai_of_node() {
    let packages = target().join("node/inference");
    if !packages.join("node_modules/openai").exists() {
        return println!("skipped: the `openai` package of Node is not installed; `cargo xtask test` does");
    }
    let gateway = Gateway::start(Config::default()).await;
    let mut command = Command::new("node");
    command.arg(script("openai_client.mjs")).arg(format!("http://{}", gateway.address)).arg(packages);
    succeeds(command).await;
    gateway.idle().await;
}

/// Names a model wherever one is asked for, so that requests get past the name.
fn pin(document: &mut Value) {
    match document {
        Value::Object(map) => {
            if let Some(model) = map.get_mut("properties").and_then(|p| p.get_mut("model"))
                && model.get("maxLength").is_some()
            {
                *model = serde_json::json!({ "type": "string", "enum": ["tiny", "embed", "rerank", "add", "none"] });
            }
            map.values_mut().for_each(pin);
        }
        Value::Array(list) => list.iter_mut().for_each(pin),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn schemathesis_finds_nothing() {
    let Some(schemathesis) = tool("schemathesis") else { return };
    let gateway = Gateway::start(Config::default()).await;
    let mut document = gateway.get("/openapi.json").await.json();
    pin(&mut document);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("openapi.json");
    std::fs::write(&file, document.to_string()).unwrap();
    let mut command = Command::new(schemathesis);
    command.current_dir(dir.path()).arg("run").arg(&file).args([
        "--url",
        &format!("http://{}", gateway.address),
        "--checks",
        "all",
        "--max-examples",
        "25",
        "--seed",
        "1",
        "--phases",
        "examples,coverage,fuzzing",
        "--request-timeout",
        "10",
        "--no-color",
        // Whoever the kernel knows needs no token; and 5.0 counts as whole in
        // JSON Schema, but not here.
        "--exclude-checks",
        "ignored_auth,positive_data_acceptance",
    ]);
    succeeds(command).await;
}
