use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::download::Update;
use crate::error::DownloadsError;
use crate::watch::Watch;

/// Most updates that wait for [`Monitor::poll`]; beyond, the oldest are lost
/// and counted.
const UPDATES_MAX: usize = 4096;

/// What is watched and from when it is told.
#[derive(Debug, Clone)]
pub struct Options {
    /// A socket is looked at once it has received this much, bytes.
    pub threshold_bytes: u64,
    /// A download is told once it is this large, bytes; one whose file is a
    /// model as soon as that is seen.
    pub report_bytes: u64,
    /// Processes whose downloads are not told: our own.
    pub exempt_pids: Vec<u32>,
}

impl Default for Options {
    fn default() -> Self {
        Self { threshold_bytes: 8 << 20, report_bytes: 100_000_000, exempt_pids: Vec::new() }
    }
}

/// How much of the machine is seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Coverage {
    /// Network namespaces watched.
    pub namespaces: usize,
    /// Network namespaces that could not be entered.
    pub refused: usize,
    /// Whether there are more namespaces or busy sockets than are watched.
    pub overflow: bool,
    /// TCP sockets at the last look.
    pub sockets: usize,
    /// Updates lost because nobody fetched them.
    pub updates_lost: u64,
}

/// Watches downloads on its own thread until dropped.
#[derive(Debug)]
pub struct Monitor {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Monitor {
    /// Starts watching every network namespace that can be entered.
    ///
    /// # Errors
    /// If not even the own namespace can be watched, or no thread started.
    pub fn start(options: Options) -> Result<Self, DownloadsError> {
        let shared = Arc::new(Shared::default());
        let mut watch = Watch::new(options, Arc::clone(&shared)).map_err(DownloadsError::Diag)?;
        let run = move || {
            watch.look();
            while !watch.shared().stopped_after(watch.pause()) {
                watch.look();
            }
        };
        let thread = thread::Builder::new().name("downloads".to_owned()).spawn(run).map_err(DownloadsError::Thread)?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// What changed since the last call, oldest first.
    pub fn poll(&self) -> Vec<Update> {
        self.shared.state().updates.drain(..).collect()
    }

    /// Like [`Monitor::poll`], but waits for the first change, `timeout` at most.
    pub fn wait(&self, timeout: Duration) -> Vec<Update> {
        let state = self.shared.state();
        let waited = self.shared.arrived.wait_timeout_while(state, timeout, |state| state.updates.is_empty());
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.updates.drain(..).collect()
    }

    /// How much of the machine is seen.
    pub fn coverage(&self) -> Coverage {
        self.shared.state().coverage
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.shared.state().stop = true;
        self.shared.stopping.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic of it has been printed; there is nothing to add.
            let _ = thread.join();
        }
    }
}

/// What the watching thread and its owner share.
#[derive(Debug, Default)]
pub struct Shared {
    state: Mutex<State>,
    arrived: Condvar,
    stopping: Condvar,
}

#[derive(Debug, Default)]
struct State {
    updates: VecDeque<Update>,
    coverage: Coverage,
    stop: bool,
}

impl Shared {
    /// Hands an update over. Progress replaces older progress, so that a slow
    /// reader costs no memory.
    pub fn tell(&self, update: Update) {
        let mut state = self.state();
        let id = update.download().id;
        if matches!(update, Update::Progress(_)) {
            state.updates.retain(|old| !(matches!(old, Update::Progress(_)) && old.download().id == id));
        }
        if state.updates.len() >= UPDATES_MAX {
            state.updates.pop_front();
            state.coverage.updates_lost = state.coverage.updates_lost.saturating_add(1);
        }
        state.updates.push_back(update);
        self.arrived.notify_all();
    }

    /// Records how much is seen.
    pub fn cover(&self, coverage: Coverage) {
        let mut state = self.state();
        let updates_lost = state.coverage.updates_lost;
        state.coverage = Coverage { updates_lost, ..coverage };
    }

    fn stopped_after(&self, pause: Duration) -> bool {
        let waited = self.stopping.wait_timeout_while(self.state(), pause, |state| !state.stop);
        waited.unwrap_or_else(PoisonError::into_inner).0.stop
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
