//! The sample models behind the local API.

use std::fs;
use std::io::{BufRead, BufReader, IsTerminal};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::run::{Result, root, target};
use crate::{minilm, onnxruntime};

/// Where the service listens, if nobody else does.
const USUAL: &str = "127.0.0.1:11500";

/// Serves the chat and the embedding sample, asks both, and shows that nothing
/// else is served. Somebody at a terminal may go on asking.
pub fn run(program: &Path) -> Result {
    onnxruntime::library()?;
    let (chat, embedding) = (root().join("examples/models/chat"), minilm::folder()?);
    let folder = target().join("demo");
    let policy = folder.join("policy");
    let _ = fs::remove_dir_all(&policy);
    weighbridge(program, &["policy", "init", &shown(&policy)])?;
    approve(program, &policy, &[&chat, &embedding])?;
    refused(program, &policy)?;
    let mut service =
        Service::start(program, &policy, &folder, &[("weighbridge-chat", &chat), ("minilm", &embedding)])?;
    let url = format!("http://{}/v1", service.address);
    let curl = format!(
        "curl {url}/chat/completions -H 'Content-Type: application/json' -d '{}'",
        r#"{"model": "weighbridge-chat", "messages": [{"role": "user", "content": "What does Weighbridge do?"}]}"#
    );
    let python = format!(
        "python3 -c 'import json, urllib.request as u; r = u.Request(\"{url}/embeddings\", {}, {}); print(json.load(u.urlopen(r))[\"data\"][0][\"embedding\"][:4])'",
        r#"json.dumps({"model": "minilm", "input": "a sentence"}).encode()"#, r#"{"Content-Type": "application/json"}"#
    );
    println!("\nServed from two confined processes. Type, or let your programs ask {url}:\n\n{curl}\n\n{python}\n");
    let answer = typed(&curl)?;
    let said: Value =
        serde_json::from_str(&answer).map_err(|e| format!("the curl line gave no JSON ({e}): {answer}"))?;
    let text = said.pointer("/choices/0/message/content").and_then(Value::as_str).unwrap_or_default();
    if text.trim().is_empty() {
        return Err(format!("the chat model said nothing: {answer}"));
    }
    println!("the chat sample: {}", text.trim());
    let numbers = typed(&python)?;
    if numbers.split(',').count() != 4 {
        return Err(format!("the embedding model gave no numbers: {numbers}"));
    }
    println!("the embedding sample: {}", numbers.trim());
    if std::io::stdin().is_terminal() {
        println!("\n`weighbridge chat` talks to it, too. Ctrl-C ends the demo.");
        let _ = service.process.wait();
    }
    Ok(())
}

/// A model that nobody approved is not served, and the reason is said.
fn refused(program: &Path, policy: &Path) -> Result {
    let model = root().join("examples/models/weights.safetensors");
    let done = Command::new(program)
        .args(["serve", "--policy", &shown(policy), "--model", &shown(&model)])
        .output()
        .map_err(|e| format!("cannot run weighbridge: {e}"))?;
    let reason = String::from_utf8_lossy(&done.stderr).into_owned();
    print!("\na model that nobody approved:\n{reason}");
    if done.status.code() == Some(1) && reason.contains("may not be served") {
        return Ok(());
    }
    Err(format!("a model that nobody approved was not refused ({})", done.status))
}

/// Writes the approval of every file of `models`, as an administrator does.
fn approve(program: &Path, policy: &Path, models: &[&Path]) -> Result {
    let paths: Vec<String> = models.iter().map(|m| shown(m)).collect();
    let mut arguments = vec!["scan", "--quiet", "--format", "json"];
    arguments.extend(paths.iter().map(String::as_str));
    let report: Value = serde_json::from_str(&weighbridge(program, &arguments)?).map_err(|e| e.to_string())?;
    let files = report.pointer("/artifacts").and_then(Value::as_array).into_iter().flatten();
    let digests: Vec<String> =
        files.filter_map(|a| Some(format!("\"sha256:{}\"", a.pointer("/sha256")?.as_str()?))).collect();
    let text = format!(
        "- for: {{ models: [{}] }}\n  approver: demo@example.org\n  reason: samples of the demo\n",
        digests.join(", ")
    );
    fs::write(policy.join("data/approvals.yaml"), text).map_err(|e| format!("cannot write the approval: {e}"))
}

fn weighbridge(program: &Path, arguments: &[&str]) -> Result<String> {
    let done = Command::new(program).args(arguments).output().map_err(|e| format!("cannot run weighbridge: {e}"))?;
    if !done.status.success() {
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        return Err(format!("`weighbridge {}` failed ({}): {said}", arguments.join(" "), done.status));
    }
    String::from_utf8(done.stdout).map_err(|e| e.to_string())
}

/// What a line prints, as a person types it.
fn typed(line: &str) -> Result<String> {
    let done = Command::new("sh").args(["-c", line]).output().map_err(|e| format!("cannot run a shell: {e}"))?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    Err(format!("`{line}` failed: {}", String::from_utf8_lossy(&done.stderr)))
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

struct Service {
    process: Child,
    address: SocketAddr,
}

impl Service {
    fn start(program: &Path, policy: &Path, folder: &Path, models: &[(&str, &PathBuf)]) -> Result<Self> {
        let free = TcpListener::bind(USUAL).or_else(|_| TcpListener::bind("127.0.0.1:0"));
        let address = free.and_then(|l| l.local_addr()).map_err(|e| format!("no port is free: {e}"))?;
        let mut command = Command::new(program);
        command.args(["serve", "--policy", &shown(policy), "--listen", &address.to_string()]);
        command.args(["--imports", &shown(&folder.join("imports")), "--cache", "128"]);
        for (name, path) in models {
            command.args(["--name", name, "--model", &shown(path)]);
        }
        let mut process = command.stdout(Stdio::piped()).spawn().map_err(|e| format!("cannot run weighbridge: {e}"))?;
        let lines = process.stdout.take().map(BufReader::new);
        let service = Self { process, address };
        for line in lines.into_iter().flat_map(BufRead::lines).map_while(std::result::Result::ok) {
            println!("{line}");
            if line.contains("serving on") {
                return Ok(service);
            }
        }
        Err("the samples are not served".to_owned())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
    }
}
