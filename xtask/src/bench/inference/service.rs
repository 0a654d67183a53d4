//! The whole service beside bare steps of the same model.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{CACHE_MIB, PROMPT, Place, median};
use crate::onnxruntime;
use crate::run::{self, Result, target};

/// Tokens that a stream writes: long enough that the first ones do not count.
const TOKENS: u32 = 128;
const STREAMS: &[usize] = &[1, 8];
const GOAL: f64 = 0.97;
/// Everything may be served: what is measured is not policy.
const POLICY: &str = "@id(\"measure\") @owner(\"bench@example.org\") @rationale(\"measurements\") @severity(\"info\")\n\
                      permit(principal, action, resource);\n";

/// `weighbridge serve`, ended with this.
pub struct Service {
    process: Child,
    pub port: u16,
}

impl Service {
    pub fn start(place: &Place, model: &Path) -> Result<Self> {
        let policy = place.folder.join("policy");
        fs::create_dir_all(policy.join("policies"))
            .and_then(|()| fs::write(policy.join("policies/all.cedar"), POLICY))
            .map_err(|e| format!("cannot write the policy: {e}"))?;
        let port =
            std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).map_err(|e| e.to_string())?;
        let mut process = Command::new(&place.ours)
            .args(["serve", "--name", "bench", "--listen", &port.to_string(), "--cache", &CACHE_MIB.to_string()])
            .arg("--model")
            .arg(model)
            .arg("--policy")
            .arg(policy)
            .arg("--imports")
            .arg(place.imports())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("cannot run `{}`: {e}", place.ours.display()))?;
        let lines = process.stdout.take().map(BufReader::new);
        let ready = lines.is_some_and(|lines| lines.lines().any(|l| l.is_ok_and(|l| l.contains("serving on"))));
        let service = Self { process, port: port.port() };
        if ready { Ok(service) } else { Err("the service did not start".to_owned()) }
    }

    /// Sends `body` to `path`; the answer from its first byte on.
    pub fn post(&self, path: &str, body: &Value) -> Result<BufReader<TcpStream>> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).map_err(|e| e.to_string())?;
        let body = body.to_string();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let limit = Some(Duration::from_secs(300));
        stream
            .set_read_timeout(limit)
            .and_then(|()| stream.set_nodelay(true))
            .and_then(|()| stream.write_all(head.as_bytes()))
            .and_then(|()| stream.write_all(body.as_bytes()))
            .map_err(|e| e.to_string())?;
        Ok(BufReader::new(stream))
    }

    /// Tokens per second of `streams` answers at the same time, as their
    /// readers see them: the sum of what each gets from its first token to its
    /// last. From the first of all it would be the reading of the other prompts,
    /// too, which bare steps do beforehand.
    fn decode(&self, streams: usize, round: u32) -> Result<f64> {
        let prompt = |n: usize| -> Vec<u32> {
            let n = u32::try_from(n).unwrap_or(0);
            (0..PROMPT).map(|i| (i * 7919 + n * 31 + round * 1009 + 3) % 150_000).collect()
        };
        let body = |n: usize, tokens: u32| json!({ "model": "bench", "prompt": prompt(n), "max_tokens": tokens, "temperature": 0, "ignore_eos": true, "stream": true });
        // Prompts are read before.
        for n in 0..streams {
            read(self.post("/v1/completions", &body(n, 1))?)?;
        }
        let readers: Vec<_> =
            (0..streams).map(|n| self.post("/v1/completions", &body(n, TOKENS))).collect::<Result<_>>()?;
        let readers: Vec<_> = readers.into_iter().map(|r| std::thread::spawn(move || read(r))).collect();
        let mut rate = 0.0;
        for reader in readers {
            let (first, last) = reader.join().map_err(|_| "a reader panicked".to_owned())??;
            rate += f64::from(TOKENS - 1) / last.duration_since(first).as_secs_f64();
        }
        Ok(rate)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
    }
}

/// Reads a stream to its end: when its first and its last event came.
fn read(reader: BufReader<TcpStream>) -> Result<(Instant, Instant)> {
    let (mut first, mut last) = (None, None);
    for line in reader.lines() {
        let line = line.map_err(|e| e.to_string())?;
        if line.contains("\"error\"") {
            return Err(line);
        }
        if line.starts_with("data: {") {
            first.get_or_insert_with(Instant::now);
            last = Some(Instant::now());
        }
    }
    first.zip(last).ok_or_else(|| "the service sent no stream".to_owned())
}

/// What gateway, worker and sandbox cost.
pub fn overhead(place: &Place, model: &Path, rounds: usize) -> Result {
    let library = onnxruntime::library()?.display().to_string();
    let folder = place.imported(model)?.display().to_string();
    let steps: PathBuf = target().join("release/examples/steps");
    let threads = std::thread::available_parallelism().map_or(1, usize::from).to_string();
    let service = Service::start(place, model)?;
    for streams in STREAMS {
        let (mut bare_best, mut whole_best, mut ratios) = (0.0_f64, 0.0_f64, Vec::new());
        for round in 0..rounds {
            let (count, prompt, tokens) = (streams.to_string(), PROMPT.to_string(), TOKENS.to_string());
            let said =
                run::output(&steps.display().to_string(), &[&library, &folder, &threads, &prompt, &tokens, &count])?;
            let said: Value = serde_json::from_str(&said).map_err(|e| format!("`steps` wrote no JSON: {e}"))?;
            let bare = super::number(&said, "/0/decode")?;
            let round = u32::try_from(round * 10 + streams).unwrap_or(0);
            let whole = service.decode(*streams, round)?;
            (bare_best, whole_best) = (bare_best.max(bare), whole_best.max(whole));
            ratios.push(whole / bare);
        }
        println!(
            "{streams} streams over HTTP: {whole_best:.0} tokens/s, bare steps {bare_best:.0}; ratio {:.3} (goal {GOAL})",
            median(&mut ratios)
        );
    }
    Ok(())
}
