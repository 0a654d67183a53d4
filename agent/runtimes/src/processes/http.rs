//! Just enough HTTP/1.1 to ask a local server one question (RFC 9112).

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Longest answer, head included.
const ANSWER_BYTES_MAX: usize = 256 << 10;
/// For connecting, and for the whole answer.
const TIMEOUT: Duration = Duration::from_millis(300);

/// The body of a `200` answer. Redirects are not followed, nothing is sent but
/// the question.
///
/// # Errors
/// If there is no whole answer in time and within the limit.
pub(super) fn get(server: SocketAddr, path: &str) -> io::Result<Vec<u8>> {
    let deadline = Instant::now() + TIMEOUT + TIMEOUT;
    let mut stream = TcpStream::connect_timeout(&server, TIMEOUT)?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let host = server.port();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost:{host}\r\nAccept: application/json\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut chunk = [0; 8192];
    loop {
        // A server that drips would otherwise begin anew with each byte.
        let left = deadline.saturating_duration_since(Instant::now()).min(TIMEOUT);
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        let n = stream.read(&mut chunk)?;
        answer.extend_from_slice(chunk.get(..n).unwrap_or_default());
        if answer.len() > ANSWER_BYTES_MAX {
            return Err(damaged("the answer is longer than 256 KiB"));
        }
        if let Some(body) = body(&answer, n == 0)? {
            return Ok(body);
        }
        if n == 0 {
            return Err(damaged("the answer ends early"));
        }
    }
}

fn damaged(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// The body if it is complete.
fn body(answer: &[u8], ended: bool) -> io::Result<Option<Vec<u8>>> {
    let Some(at) = answer.windows(4).position(|w| w == b"\r\n\r\n") else { return Ok(None) };
    let (head, rest) = answer.split_at_checked(at + 4).ok_or_else(|| damaged("no head"))?;
    let head = std::str::from_utf8(head).map_err(|_| damaged("the head is not text"))?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|l| l.strip_prefix("HTTP/1.")?.split(' ').nth(1));
    if status != Some("200") {
        return Err(damaged("the status is not 200"));
    }
    let mut length = None;
    let mut chunked = false;
    for (name, value) in lines.filter_map(|l| l.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            length = Some(value.trim().parse::<usize>().map_err(|_| damaged("the length is no number"))?);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            chunked = value.trim().eq_ignore_ascii_case("chunked");
        }
    }
    if chunked {
        return unchunk(rest);
    }
    match length {
        Some(length) if length > ANSWER_BYTES_MAX => Err(damaged("the answer is longer than 256 KiB")),
        Some(length) => Ok(rest.get(..length).map(<[u8]>::to_vec)),
        None => Ok(ended.then(|| rest.to_vec())),
    }
}

fn unchunk(mut rest: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let mut out = Vec::new();
    loop {
        let Some(end) = rest.windows(2).position(|w| w == b"\r\n") else { return Ok(None) };
        let (line, after) = rest.split_at_checked(end).ok_or_else(|| damaged("no chunk"))?;
        let digits = line.split(|b| *b == b';').next().unwrap_or_default();
        let length = std::str::from_utf8(digits).ok().and_then(|t| usize::from_str_radix(t.trim(), 16).ok());
        let length = length.filter(|l| *l <= ANSWER_BYTES_MAX).ok_or_else(|| damaged("the chunk has no length"))?;
        if length == 0 {
            return Ok(Some(out));
        }
        let Some(chunk) = after.get(2..).and_then(|a| a.get(..length)) else { return Ok(None) };
        out.extend_from_slice(chunk);
        let Some(next) = after.get(length + 4..) else { return Ok(None) };
        rest = next;
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    fn answered(answer: Vec<u8>, drip: bool) -> io::Result<Vec<u8>> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]);
            let step = if drip { 1 } else { answer.len().max(1) };
            for piece in answer.chunks(step) {
                if stream.write_all(piece).is_err() {
                    return;
                }
                if drip {
                    thread::sleep(Duration::from_millis(100));
                }
            }
        });
        let got = get(address, "/x");
        server.join().unwrap();
        got
    }

    #[test]
    fn bodies_come_with_a_length_in_chunks_or_to_the_end() {
        for answer in [
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nh\r\n1;x=y\r\ni\r\n0\r\n\r\n",
            "HTTP/1.0 200 OK\r\n\r\nhi",
        ] {
            assert_eq!(answered(answer.into(), false).unwrap(), b"hi", "{answer}");
        }
    }

    #[test]
    fn bad_answers_are_errors() {
        for answer in [
            "HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
            "SSH-2.0-x\r\n\r\n",
            "",
        ] {
            assert!(answered(answer.into(), false).is_err(), "{answer}");
        }
        let mut long = b"HTTP/1.0 200 OK\r\n\r\n".to_vec();
        long.resize(ANSWER_BYTES_MAX + 9, b' ');
        assert!(answered(long, false).is_err());
    }

    #[test]
    fn a_dripping_server_costs_less_than_a_second() {
        let start = Instant::now();
        let mut drip = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n".to_vec();
        drip.truncate(20);
        assert!(answered(drip, true).is_err());
        // The server side sleeps on until its write fails.
        assert!(start.elapsed() < Duration::from_secs(4));
    }
}
