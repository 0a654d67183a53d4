//! Answers that are written while they come.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use futures::Stream;
use serde::Serialize;
use weighbridge_inference_wire::Event;

use crate::answer::Answer;

/// Bytes joined into one write.
const FRAME_BYTES: usize = 32 << 10;

/// Puts events into the words of a dialect.
pub(crate) trait Writer: Send + Unpin + 'static {
    /// Content type of the whole.
    const KIND: &'static str;

    /// What comes before all events.
    fn begin(&mut self, _out: &mut Vec<u8>) {}

    /// Writes `event`; the last is [`Event::Done`] or [`Event::Failed`].
    fn event(&mut self, event: Event, out: &mut Vec<u8>);
}

/// Only what can be sent is fetched: a reader that stalls holds one frame here,
/// and what its [`crate::Events`] were made to hold.
struct Written<W> {
    answer: Answer,
    writer: W,
    begun: bool,
    ended: bool,
}

impl<W: Writer> Stream for Written<W> {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let mut out = Vec::new();
        if !this.begun {
            this.begun = true;
            this.writer.begin(&mut out);
        }
        while !this.ended && out.len() < FRAME_BYTES {
            match this.answer.poll_next(context) {
                Poll::Ready(Some(event)) => this.writer.event(event, &mut out),
                Poll::Ready(None) => this.ended = true,
                Poll::Pending if out.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        if out.is_empty() { Poll::Ready(None) } else { Poll::Ready(Some(Ok(out.into()))) }
    }
}

/// `answer` in the words of `writer`.
pub(crate) fn response<W: Writer>(answer: Answer, writer: W) -> Response {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(W::KIND));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    answer.ticket.stamp(headers);
    *response.body_mut() = Body::from_stream(Written { answer, writer, begun: false, ended: false });
    response
}

/// Server-sent events (HTML, "Server-sent events").
pub(crate) const EVENTS: &str = "text/event-stream";
/// One JSON value per line.
pub(crate) const LINES: &str = "application/x-ndjson";

/// `data: JSON`
pub(crate) fn data(out: &mut Vec<u8>, value: &impl Serialize) {
    out.extend_from_slice(b"data: ");
    json(out, value);
    out.extend_from_slice(b"\n\n");
}

/// `event: NAME` and its data.
pub(crate) fn named(out: &mut Vec<u8>, name: &str, value: &impl Serialize) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.push(b'\n');
    data(out, value);
}

/// `JSON` and a line's end.
pub(crate) fn line(out: &mut Vec<u8>, value: &impl Serialize) {
    json(out, value);
    out.push(b'\n');
}

/// Our own types always are JSON, and a `Vec` takes every byte.
fn json(out: &mut Vec<u8>, value: &impl Serialize) {
    let _ = serde_json::to_writer(out, value);
}

/// A complete JSON answer, marked with where it came from.
pub(crate) fn whole(answer: &Answer, value: &impl Serialize) -> Response {
    let mut out = Vec::with_capacity(1024);
    json(&mut out, value);
    let mut response = Response::new(Body::from(out));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer.ticket.stamp(headers);
    response
}
