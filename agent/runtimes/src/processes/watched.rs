use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use super::{Options, ProcessError, Sensor, Snapshot};

/// Most threads that may be waiting for the kernel.
const LOST_MAX: usize = 16;

/// A [`Sensor`] in a thread of its own, so that nobody can stop us by making
/// the kernel wait: a process whose execve(2) closes a file of a FUSE server
/// that never answers blocks every reader of its `/proc/PID`, and no signal
/// but `SIGKILL` wakes them.
pub struct Watched {
    options: Options,
    worker: Option<Worker>,
    lost: Vec<(u32, JoinHandle<()>)>,
}

struct Worker {
    ask: SyncSender<Vec<u32>>,
    answer: Receiver<Result<Snapshot, ProcessError>>,
    at: Arc<AtomicU32>,
    thread: JoinHandle<()>,
}

impl Watched {
    /// A watched sensor that has seen nothing yet.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self { options, worker: None, lost: Vec::new() }
    }

    /// What runs now, told within `within`.
    ///
    /// # Errors
    /// As [`Sensor::snapshot`], and [`ProcessError::Stuck`] if reading about a
    /// process takes longer: ask again, it is left out from then on.
    pub fn snapshot(&mut self, within: Duration) -> Result<Snapshot, ProcessError> {
        // Who lets go of his reader is looked at again.
        self.lost.retain(|(_, thread)| !thread.is_finished());
        if self.lost.len() >= LOST_MAX {
            return Err(ProcessError::AllStuck { count: self.lost.len() });
        }
        let worker = match self.worker.take() {
            Some(worker) => worker,
            None => Worker::start(self.options.clone()).map_err(|source| ProcessError::Thread { source })?,
        };
        let avoid = self.lost.iter().map(|(pid, _)| *pid).collect();
        let ended = || ProcessError::Thread { source: std::io::ErrorKind::BrokenPipe.into() };
        worker.ask.send(avoid).map_err(|_| ended())?;
        match worker.answer.recv_timeout(within) {
            Ok(answer) => {
                self.worker = Some(worker);
                answer
            }
            Err(RecvTimeoutError::Disconnected) => Err(ended()),
            Err(RecvTimeoutError::Timeout) => {
                let pid = worker.at.load(Ordering::Relaxed);
                self.lost.push((pid, worker.thread));
                Err(ProcessError::Stuck { pid })
            }
        }
    }
}

impl Worker {
    fn start(options: Options) -> std::io::Result<Self> {
        let (ask, asked) = sync_channel::<Vec<u32>>(1);
        let (tell, answer) = sync_channel(1);
        let at: Arc<AtomicU32> = Arc::default();
        let shared = Arc::clone(&at);
        let thread = Builder::new().name("processes".to_owned()).spawn(move || {
            let mut sensor = Sensor::new(options);
            sensor.at = shared;
            // Ends with the one who asks, also when he gave up waiting.
            while let Ok(avoid) = asked.recv() {
                sensor.avoid = avoid;
                if tell.send(sensor.snapshot()).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { ask, answer, at, thread })
    }
}
