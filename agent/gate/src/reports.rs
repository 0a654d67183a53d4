//! The way from the threads that answer to the daemon: bounded, never waits.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::message::Report;
use crate::wire;

/// Most reports that wait, and with two descriptors each the most of those.
const REPORTS_MAX: u64 = 256;
/// Places kept for reports that are not about files.
const RESERVED: u64 = 64;

/// Figures that several threads count.
#[derive(Debug, Default)]
pub struct Counters {
    pub answered: AtomicU64,
    pub denied: AtomicU64,
    pub late: AtomicU64,
    pub ignored: AtomicU64,
    pub asked: AtomicU64,
    pub dropped: AtomicU64,
    pub fd_errors: AtomicU64,
    pub queued: AtomicU64,
    pub misses: AtomicU64,
}

/// One more, or one less.
pub fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

type Item = (Report, Vec<OwnedFd>);

/// Puts reports in the queue.
#[derive(Debug, Clone)]
pub struct Reports {
    queue: SyncSender<Item>,
    counters: Arc<Counters>,
}

impl Reports {
    /// Whether a report about a file would be taken.
    pub fn has_room(&self) -> bool {
        self.counters.queued.load(Ordering::Relaxed) < REPORTS_MAX
    }

    /// Notes a report that was not worth making because there is no room.
    pub fn missed(&self) {
        count(&self.counters.dropped);
    }

    /// Puts `report` in the queue, or drops and counts it. Never waits.
    pub fn put(&self, report: Report, handles: Vec<OwnedFd>) -> bool {
        count(&self.counters.queued);
        if self.queue.try_send((report, handles)).is_ok() {
            return true;
        }
        self.counters.queued.fetch_sub(1, Ordering::Relaxed);
        self.missed();
        false
    }
}

/// A queue and its end, for [`send`].
pub fn queue(counters: &Arc<Counters>) -> (Reports, Receiver<Item>) {
    let (queue, end) = sync_channel(usize::try_from(REPORTS_MAX + RESERVED).unwrap_or(320));
    (Reports { queue, counters: Arc::clone(counters) }, end)
}

/// Sends what is queued until nobody listens or nothing more can come. May
/// wait for the daemon as long as it likes.
pub fn send(control: &UnixStream, end: &Receiver<Item>, counters: &Counters) {
    for (report, handles) in end {
        counters.queued.fetch_sub(1, Ordering::Relaxed);
        let borrowed: Vec<_> = handles.iter().map(AsFd::as_fd).collect();
        match wire::send(control, &report, &borrowed) {
            Ok(()) => {}
            // Too many descriptors under way, or an oversized path.
            Err(e) if e.raw_os_error() == Some(TOO_MANY_REFERENCES) || e.kind() == std::io::ErrorKind::InvalidInput => {
                count(&counters.dropped);
            }
            Err(_) => return,
        }
    }
}

/// `ETOOMANYREFS` (unix(7)).
const TOO_MANY_REFERENCES: i32 = 109;
