//! What the gateway costs: requests a second with a model that answers at
//! once, and time per streamed token at eight streams. The client runs on
//! threads of its own; the gateway's share is that of its thread's processor
//! time (`/proc/self/task/…/stat`).
//!
//! `cargo run --release -p weighbridge-gateway --example overhead`

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "a measurement, not a part"
)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use common::Gateway;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use weighbridge_gateway::Config;

/// Ticks of the clock a second (`getconf CLK_TCK`).
const TICKS: f64 = 100.0;

fn processor_time(thread: &str) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/self/task/{thread}/stat")).unwrap();
    let fields: Vec<&str> = text.rsplit_once(')').unwrap().1.split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / TICKS
}

fn request(text: &str, stream: bool) -> Vec<u8> {
    let body = format!(
        "{{\"model\":\"tiny\",\"stream\":{stream},\"messages\":[{{\"role\":\"user\",\"content\":\"{text}\"}}]}}"
    );
    format!("POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

async fn until(stream: &mut TcpStream, buffer: &mut Vec<u8>, end: &[u8]) {
    buffer.clear();
    while !buffer.windows(end.len()).rev().take(64).any(|w| w == end) {
        if buffer.len() > 1 << 16 {
            buffer.drain(..buffer.len() - 64);
        }
        assert!(stream.read_buf(buffer).await.unwrap() > 0, "the gateway closed");
    }
}

async fn requests(address: SocketAddr, until_then: Instant, bytes: Vec<u8>, end: &'static [u8]) -> Vec<Duration> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut buffer, mut took) = (Vec::new(), Vec::new());
    while Instant::now() < until_then {
        let started = Instant::now();
        stream.write_all(&bytes).await.unwrap();
        until(&mut stream, &mut buffer, end).await;
        took.push(started.elapsed());
    }
    took
}

fn main() {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let thread = std::fs::read_link("/proc/thread-self").unwrap();
        let thread = thread.file_name().unwrap().to_string_lossy().into_owned();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let gateway = Gateway::start(Config::default()).await;
            tell.send((gateway.address, thread)).unwrap();
            std::future::pending::<()>().await;
        });
    });
    let (address, thread) = told.recv().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for connections in [1, 8] {
        let before = processor_time(&thread);
        let length = Duration::from_secs(4);
        let mut took: Vec<Duration> = runtime.block_on(async {
            let end = Instant::now() + length;
            let tasks: Vec<_> =
                (0..connections).map(|_| tokio::spawn(requests(address, end, request("hi", false), b"}}}"))).collect();
            futures::future::join_all(tasks).await.into_iter().flat_map(Result::unwrap).collect()
        });
        took.sort();
        let count = took.len() as f64;
        println!(
            "{connections} connections: {:.0} requests/s, p50 {:?}, p99 {:?}, gateway {:.0} us of processor a request (with the fake model)",
            count / length.as_secs_f64(),
            took[took.len() / 2],
            took[took.len() * 99 / 100],
            (processor_time(&thread) - before) / count * 1e6,
        );
    }
    for tokens in [200, 20_000] {
        let before = processor_time(&thread);
        let length = Duration::from_secs(4);
        let started = Instant::now();
        let runs: usize = runtime.block_on(async {
            let end = Instant::now() + length;
            let bytes = request(&format!("count {tokens}"), true);
            let tasks: Vec<_> =
                (0..8).map(|_| tokio::spawn(requests(address, end, bytes.clone(), b"0\r\n\r\n"))).collect();
            futures::future::join_all(tasks).await.into_iter().map(|t| t.unwrap().len()).sum()
        });
        let all = (runs * tokens) as f64;
        println!(
            "8 streams of {tokens} tokens, as fast as they go: {:.0} tokens/s, {:.2} us of processor a token",
            all / started.elapsed().as_secs_f64(),
            (processor_time(&thread) - before) / all * 1e6,
        );
    }
    // At the pace of a model: a step every 10 ms gives each stream one token.
    let before = processor_time(&thread);
    let (streams, seconds) = (8, 6);
    let bytes = runtime.block_on(async {
        let tasks: Vec<_> = (0..streams)
            .map(|_| {
                tokio::spawn(async move {
                    let mut stream = TcpStream::connect(address).await.unwrap();
                    stream.write_all(&request("forever", true)).await.unwrap();
                    let (mut tokens, end) = (0, Instant::now() + Duration::from_secs(seconds));
                    let mut buffer = Vec::new();
                    while Instant::now() < end {
                        buffer.clear();
                        stream.read_buf(&mut buffer).await.unwrap();
                        tokens += buffer.windows(6).filter(|w| w == b"data: ").count();
                    }
                    tokens
                })
            })
            .collect();
        futures::future::join_all(tasks).await.into_iter().map(Result::unwrap).sum::<usize>()
    });
    println!(
        "8 streams, a token each every 10 ms: {:.0} tokens/s, {:.1} us of processor a token",
        bytes as f64 / seconds as f64,
        (processor_time(&thread) - before) / bytes as f64 * 1e6,
    );
}
