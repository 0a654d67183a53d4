//! A connection may rest between requests, but not within the head of one.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// Whether a request of a connection is being answered.
#[derive(Debug, Clone, Default)]
pub(super) struct Busy(Arc<AtomicBool>);

/// Until it is dropped, a request is being answered.
#[derive(Debug)]
pub(super) struct Answering(Busy);

impl Busy {
    pub fn answer(&self) -> Answering {
        self.0.store(true, Ordering::Release);
        Answering(self.clone())
    }

    fn is(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Release);
    }
}

/// Fails when a head is not there in time.
pub(super) struct Heads<Io> {
    io: Io,
    busy: Busy,
    most: Duration,
    /// Runs while a head is awaited that has begun; the first has at once.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<Io> Heads<Io> {
    pub fn new(io: Io, busy: Busy, most: Duration) -> Self {
        Self { io, busy, most, timer: Some(Box::pin(sleep(most))) }
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Heads<Io> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.io).poll_read(context, buf);
        if self.busy.is() {
            self.timer = None;
        } else if read.is_pending() {
            if self.timer.as_mut().is_some_and(|timer| timer.as_mut().poll(context).is_ready()) {
                let late = io::Error::new(io::ErrorKind::TimedOut, "the head of a request came too slowly");
                return Poll::Ready(Err(late));
            }
        } else if buf.filled().len() > before && self.timer.is_none() {
            self.timer = Some(Box::pin(sleep(self.most)));
        }
        read
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Heads<Io> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
