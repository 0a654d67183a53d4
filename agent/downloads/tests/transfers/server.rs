//! A small HTTP server that sends a made-up model at a given speed.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

const CHUNK_BYTES: u64 = 256 * 1024;

/// Serves `GET /<size>/<bytes per second>` on loopback, with ranges and
/// kept connections.
pub fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client that breaks off is part of the tests.
            thread::spawn(move || drop(answer(stream)));
        }
    });
    address
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut requests = BufReader::new(stream.try_clone()?);
    loop {
        let (mut path, mut range) = (String::new(), None);
        loop {
            let mut line = String::new();
            if requests.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let line = line.trim().to_ascii_lowercase();
            if let Some(rest) = line.strip_prefix("get ") {
                path = rest.split([' ', '?']).next().unwrap_or_default().to_owned();
            } else if let Some((from, to)) = line.strip_prefix("range: bytes=").and_then(|r| r.split_once('-')) {
                range = Some((from.parse().unwrap(), to.parse::<u64>().unwrap() + 1));
            } else if line.is_empty() {
                break;
            }
        }
        let mut numbers = path.trim_start_matches('/').split('/').filter_map(|part| part.parse::<u64>().ok());
        let (size, rate) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(u64::MAX));
        let (from, to) = range.unwrap_or((0, size));
        let status = if range.is_some() { "206 Partial Content" } else { "200 OK" };
        write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", to - from)?;
        send(&mut stream, from, to, rate)?;
    }
}

fn send(stream: &mut TcpStream, from: u64, to: u64, rate: u64) -> std::io::Result<()> {
    let (start, mut at) = (Instant::now(), from);
    while at < to {
        let end = to.min(at + CHUNK_BYTES);
        let mut chunk = vec![0xa5; usize::try_from(end - at).unwrap()];
        if at == 0 {
            let head = b"\x40\0\0\0\0\0\0\0{\"weight\":{\"dtype\":\"F32\"";
            chunk[..head.len()].copy_from_slice(head);
        }
        stream.write_all(&chunk)?;
        at = end;
        let due = Duration::from_millis((at - from) * 1000 / rate);
        thread::sleep(due.saturating_sub(start.elapsed()));
    }
    Ok(())
}
