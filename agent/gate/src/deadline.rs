//! Sees to it that nobody waits longer than the deadline, whatever happens to
//! the thread that answers.
//!
//! That thread can hang: on a file system that does not give content or
//! attributes, or for want of a processor. Then this one lets through whom it
//! left waiting, and everybody who comes after, until it is back; and takes
//! all marks away if that goes on.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use weighbridge_platform::fanotify::{Answer, Buffer, Group, Noted};

use crate::message::Report;
use crate::reports::{Counters, Reports, count};

/// Most questions taken at once; one buffer holds fewer.
pub const BATCH_MAX: usize = 64;
/// Misses older than this no longer count.
const WINDOW: Duration = Duration::from_secs(60);
/// Without questions for this long, wait for one instead of looking around.
const QUIET: Duration = Duration::from_secs(1);

/// State of a slot: the number of its batch, then two bits.
const FREE: u64 = 0;
const PENDING: u64 = 1;
const TAKEN: u64 = 2;
const DONE: u64 = 3;

#[derive(Debug, Default)]
struct Slot {
    state: AtomicU64,
    fd: AtomicI32,
}

/// The questions that one thread has taken and not answered yet, shared with
/// the one that minds the deadline. Whoever takes a slot first answers.
///
/// A slot carries the number of its batch, so that a late answer cannot hit
/// the next question, which may have come with the same descriptor number.
#[derive(Debug)]
pub struct Watch {
    group: Group,
    start: Instant,
    deadline: Duration,
    misses_max: usize,
    /// Microseconds after `start` at which work on a batch began; 0 at rest.
    busy_since: AtomicU64,
    batch: AtomicU64,
    slots: [Slot; BATCH_MAX],
    broken: AtomicBool,
    stop: AtomicBool,
    counters: Arc<Counters>,
}

impl Watch {
    pub fn new(group: Group, deadline: Duration, misses_max: usize, counters: Arc<Counters>) -> Self {
        Self {
            group,
            start: Instant::now(),
            deadline,
            misses_max,
            busy_since: AtomicU64::new(0),
            batch: AtomicU64::new(0),
            slots: std::array::from_fn(|_| Slot::default()),
            broken: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            counters,
        }
    }

    pub fn group(&self) -> &Group {
        &self.group
    }

    /// Whether the marks were taken back after too many misses.
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::SeqCst)
    }

    /// Takes all marks back and ends both threads.
    pub fn stop(&self) {
        let _ = self.group.flush();
        self.stop.store(true, Ordering::SeqCst);
    }

    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// The answering thread starts work on a batch.
    pub fn begin(&self) {
        self.batch.fetch_add(1, Ordering::SeqCst);
        self.busy_since.store(self.micros().max(1), Ordering::SeqCst);
    }

    /// It has answered all and goes to wait.
    pub fn end(&self) {
        self.busy_since.store(0, Ordering::SeqCst);
    }

    /// Notes question `index` of this batch. False beyond the last slot: then
    /// answer at once.
    pub fn note(&self, index: usize, fd: i32) -> bool {
        let Some(slot) = self.slots.get(index) else { return false };
        slot.fd.store(fd, Ordering::SeqCst);
        slot.state.store(state(self.batch.load(Ordering::SeqCst), PENDING), Ordering::SeqCst);
        true
    }

    /// Answers question `index` of this batch, unless that has been done.
    /// Afterwards its descriptor may be closed.
    pub fn answer(&self, index: usize, answer: Answer) -> bool {
        let Some(slot) = self.slots.get(index) else { return false };
        let batch = self.batch.load(Ordering::SeqCst);
        if take(slot, batch) {
            self.respond(slot.fd.load(Ordering::SeqCst), answer);
            slot.state.store(FREE, Ordering::SeqCst);
            return true;
        }
        // The other thread is between taking and answering: a few
        // instructions and one write that does not block.
        while slot.state.load(Ordering::SeqCst) == state(batch, TAKEN) {
            std::thread::yield_now();
        }
        slot.state.store(FREE, Ordering::SeqCst);
        false
    }

    /// Lets everybody through whose question still waits in the kernel.
    pub fn drain(&self, buffer: &mut Buffer) -> usize {
        let mut drained = 0;
        // Each read that fails has answered one question, by refusal.
        for _ in 0..DRAIN_READS_MAX {
            let read = self.group.read(buffer, |noted| self.wave_through(&noted));
            match read {
                Ok(0) => break,
                Ok(n) => drained += n,
                Err(e) if e.kind() == io::ErrorKind::InvalidData => break,
                Err(_) => count(&self.counters.fd_errors),
            }
        }
        drained
    }

    /// The thread that minds the deadline.
    pub fn mind(&self, reports: &Reports) {
        let period = self.deadline / 4;
        let mut buffer = Buffer::default();
        let mut misses = VecDeque::with_capacity(self.misses_max);
        let (mut seen, mut seen_at) = (0, Instant::now());
        while !self.is_stopped() {
            let batch = self.batch.load(Ordering::SeqCst);
            let since = self.busy_since.load(Ordering::SeqCst);
            if batch != seen {
                (seen, seen_at) = (batch, Instant::now());
            }
            if since == 0 && seen_at.elapsed() > QUIET {
                let _ = self.wait(QUIET);
                // A question came, or the wait is over: look around for a while.
                seen_at = Instant::now().checked_sub(QUIET.saturating_sub(period * 8)).unwrap_or(seen_at);
            }
            if since == 0 || self.micros().saturating_sub(since) < micros(self.deadline * 3 / 4) {
                std::thread::sleep(period);
            } else if self.batch.load(Ordering::SeqCst) == batch {
                self.rescue(batch, &mut buffer);
                self.missed(&mut misses, reports);
                let _ = self.wait(period);
            }
        }
    }

    /// Answers for the other thread while it is stuck in `batch`.
    fn rescue(&self, batch: u64, buffer: &mut Buffer) {
        for slot in &self.slots {
            if take(slot, batch) {
                count(&self.counters.late);
                self.respond(slot.fd.load(Ordering::SeqCst), Answer::Allow);
                slot.state.store(state(batch, DONE), Ordering::SeqCst);
            }
        }
        let late = self.drain(buffer);
        self.counters.late.fetch_add(u64::try_from(late).unwrap_or(0), Ordering::Relaxed);
    }

    /// Counts a miss, at most one per deadline, and takes all marks back when
    /// there are too many.
    fn missed(&self, misses: &mut VecDeque<Instant>, reports: &Reports) {
        let now = Instant::now();
        if misses.back().is_some_and(|last| now.duration_since(*last) < self.deadline) {
            return;
        }
        while misses.front().is_some_and(|first| now.duration_since(*first) > WINDOW) {
            misses.pop_front();
        }
        misses.push_back(now);
        count(&self.counters.misses);
        if misses.len() >= self.misses_max && !self.broken.swap(true, Ordering::SeqCst) {
            let _ = self.group.flush();
            reports.put(Report::Broken { misses: self.counters.misses.load(Ordering::Relaxed) }, Vec::new());
        }
        if misses.len() >= self.misses_max {
            misses.clear();
        }
    }

    fn wave_through(&self, noted: &Noted<'_>) {
        if let (true, Some(Ok(file))) = (noted.is_question(), &noted.file) {
            self.respond(file.as_raw_fd(), Answer::Allow);
        }
    }

    fn respond(&self, fd: i32, answer: Answer) {
        count(&self.counters.answered);
        if matches!(answer, Answer::Deny(_)) {
            count(&self.counters.denied);
        }
        // Fails when the opener was killed: nobody waits any more.
        let _ = self.group.answer(fd, answer);
    }

    fn wait(&self, most: Duration) -> io::Result<usize> {
        let limit =
            Timespec { tv_sec: i64::try_from(most.as_secs()).unwrap_or(1), tv_nsec: most.subsec_nanos().into() };
        Ok(rustix::event::poll(&mut [PollFd::new(&self.group, PollFlags::IN)], Some(&limit))?)
    }

    fn micros(&self) -> u64 {
        micros(self.start.elapsed())
    }
}

/// Most reads of one go, so that a flood cannot hold the thread in it.
const DRAIN_READS_MAX: usize = 4_096;

fn state(batch: u64, bits: u64) -> u64 {
    batch.wrapping_shl(2) | bits
}

fn take(slot: &Slot, batch: u64) -> bool {
    let (from, to) = (state(batch, PENDING), state(batch, TAKEN));
    slot.state.compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst).is_ok()
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
