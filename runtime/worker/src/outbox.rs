//! Messages on their way out, bounded by bytes: whoever does not read makes
//! the engine wait, not memory grow.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use weighbridge_inference_wire::{Event, FRAME_BYTES_MAX, FailureKind, FromWorker, TokenChance};
use weighbridge_platform::frames;

use crate::error::failed;

/// Most bytes that wait, unless one message alone has more.
const BYTES_MAX: usize = 4 << 20;
/// Room for frames that is kept for the next ones, bytes.
const FRAMES_BYTES_KEPT: usize = 64 << 10;
/// What the smallest message takes in memory.
const MESSAGE_BYTES: usize = 256;
/// What a likely token takes in memory, its text included.
const CHANCE_BYTES: usize = 96;

/// The way out.
#[derive(Debug, Clone)]
pub struct Outbox(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    messages: VecDeque<(usize, FromWorker)>,
    /// Of those, and of those being written.
    bytes: usize,
    /// Whether they are to be written now.
    due: bool,
    closed: bool,
}

impl Outbox {
    /// Starts the thread that writes to `socket`.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub fn start(socket: Arc<UnixStream>) -> io::Result<Self> {
        let outbox = Self(Arc::default());
        let shared = Arc::clone(&outbox.0);
        thread::Builder::new().name("writer".to_owned()).spawn(move || shared.write(&socket))?;
        Ok(outbox)
    }

    /// Sends `message`, and what was queued before, once there is room. False if
    /// nobody reads any more.
    pub fn send(&self, message: FromWorker) -> bool {
        let taken = self.queue(message);
        self.wake();
        taken
    }

    /// Has `message` sent with the next [`Outbox::wake`], once there is room:
    /// what is said of many in one step goes in one piece, and whoever reads
    /// wakes up once. False if nobody reads any more.
    pub fn queue(&self, message: FromWorker) -> bool {
        let bytes = weight(&message);
        let mut queue = self.0.lock();
        while !queue.closed && queue.bytes > 0 && queue.bytes.saturating_add(bytes) > BYTES_MAX {
            queue = self.0.hurry(queue);
        }
        if queue.closed {
            return false;
        }
        queue.bytes = queue.bytes.saturating_add(bytes);
        queue.messages.push_back((bytes, message));
        true
    }

    /// Has sent what is queued.
    pub fn wake(&self) {
        let mut queue = self.0.lock();
        if !queue.messages.is_empty() && !queue.due {
            queue.due = true;
            self.0.changed.notify_all();
        }
    }

    /// Waits until all is written or nobody reads any more.
    pub fn flush(&self) {
        let mut queue = self.0.lock();
        while !queue.closed && queue.bytes > 0 {
            queue = self.0.hurry(queue);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, queue: MutexGuard<'a, Queue>) -> MutexGuard<'a, Queue> {
        self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner)
    }

    /// Has what is queued written, and waits for a change.
    fn hurry<'a>(&self, mut queue: MutexGuard<'a, Queue>) -> MutexGuard<'a, Queue> {
        queue.due = true;
        self.changed.notify_all();
        self.wait(queue)
    }

    fn write(&self, mut socket: &UnixStream) {
        let mut frames = Vec::new();
        let mut queue = self.lock();
        loop {
            if !queue.due || queue.messages.is_empty() {
                queue.due = false;
                queue = self.wait(queue);
                continue;
            }
            queue.due = false;
            let messages = std::mem::take(&mut queue.messages);
            drop(queue);
            let mut bytes = 0_usize;
            frames.clear();
            let mut written = Ok(());
            for (weight, message) in messages {
                bytes = bytes.saturating_add(weight);
                written = written.and_then(|()| append(&mut frames, &message));
            }
            let written = written.and_then(|()| socket.write_all(&frames));
            frames.shrink_to(FRAMES_BYTES_KEPT);
            queue = self.lock();
            queue.bytes = queue.bytes.saturating_sub(bytes);
            queue.closed |= written.is_err();
            self.changed.notify_all();
            if queue.closed {
                queue.messages.clear();
                return;
            }
        }
    }
}

fn append(to: &mut Vec<u8>, message: &FromWorker) -> io::Result<()> {
    match (frames::append(to, message, FRAME_BYTES_MAX), message) {
        (Err(e), FromWorker::Event { id, .. }) if e.kind() == io::ErrorKind::InvalidInput => {
            let why = "the answer is larger than a message may be; ask for less at once";
            let event = Event::Failed { failure: failed(FailureKind::Invalid, why) };
            frames::append(to, &FromWorker::Event { id: *id, event }, FRAME_BYTES_MAX)
        }
        (result, _) => result,
    }
}

/// About what a message takes in memory.
fn weight(message: &FromWorker) -> usize {
    let FromWorker::Event { event, .. } = message else { return MESSAGE_BYTES };
    let more = match event {
        Event::Text { text, chances, .. } => {
            let tokens: usize = chances.iter().map(|c: &TokenChance| 1 + c.likeliest.len()).sum();
            text.len() + tokens * CHANCE_BYTES
        }
        Event::Call { call, .. } => call.name.len() + call.arguments.len(),
        Event::Vectors { data, .. } => data.len(),
        Event::Scores { scores } => scores.len() * size_of::<f32>(),
        Event::Tensors { outputs } => outputs.iter().map(|t| t.data.len()).sum(),
        Event::Finished { .. } | Event::Done { .. } | Event::Failed { .. } => 0,
    };
    MESSAGE_BYTES + more
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    fn text(id: u64, length: usize) -> FromWorker {
        let text = "x".repeat(length);
        FromWorker::Event { id, event: Event::Text { choice: 0, text, thought: false, chances: Vec::new() } }
    }

    #[test]
    fn a_reader_that_stops_makes_the_sender_wait_and_loses_nothing() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let outbox = Outbox::start(Arc::new(ours)).unwrap();
        let sent = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&sent);
        let sender = thread::spawn(move || {
            for id in 0..64 {
                assert!(outbox.send(text(id, 1 << 19)));
                counted.fetch_add(1, Ordering::SeqCst);
            }
            outbox.flush();
        });
        thread::sleep(Duration::from_millis(300));
        assert!(sent.load(Ordering::SeqCst) < 16, "all of {} were taken", sent.load(Ordering::SeqCst));
        for id in 0..64 {
            let (message, _) = frames::receive::<FromWorker>(&theirs, FRAME_BYTES_MAX).unwrap().unwrap();
            assert_eq!(message, text(id, 1 << 19));
        }
        sender.join().unwrap();
    }

    #[test]
    fn what_is_queued_goes_together_when_it_is_time() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let outbox = Outbox::start(Arc::new(ours)).unwrap();
        (0..8).for_each(|id| assert!(outbox.queue(text(id, 5))));
        thread::sleep(Duration::from_millis(50));
        theirs.set_nonblocking(true).unwrap();
        let mut bytes = [0; 4096];
        assert_eq!((&theirs).read(&mut bytes).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        theirs.set_nonblocking(false).unwrap();
        outbox.wake();
        let first = (&theirs).read(&mut bytes).unwrap();
        let all: usize = (0..8).map(|id| 4 + serde_json::to_vec(&text(id, 5)).unwrap().len()).sum();
        assert_eq!(first, all);
        assert!(outbox.send(text(8, 5)), "and it goes on");
        assert_eq!(frames::Reader::new(&theirs, FRAME_BYTES_MAX).receive().unwrap(), Some(text(8, 5)));
    }

    #[test]
    fn nobody_waits_for_a_reader_that_is_gone() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let outbox = Outbox::start(Arc::new(ours)).unwrap();
        drop(theirs);
        while outbox.send(text(1, 1 << 20)) {}
        outbox.flush();
    }
}
