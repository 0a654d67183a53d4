//! Reading about a process may block for as long as its owner likes: links
//! and memory below `/proc/PID` wait for a lock that execve(2) holds, and
//! execve waits for FUSE. So it is done on a thread that may be left behind.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// A process that keeps us for this long is left alone.
const PATIENCE: Duration = Duration::from_millis(500);
/// For how long.
const SHUNNED: Duration = Duration::from_secs(60);
/// Most threads left behind; beyond, nothing is read until one comes back.
const LEFT_BEHIND_MAX: usize = 16;
/// Times that a pass is begun.
const PASSES_MAX: usize = 4;
/// Most processes left alone.
const SHUNNED_MAX: usize = 4096;

static LEFT_BEHIND: AtomicUsize = AtomicUsize::new(0);
static SHUN: LazyLock<Mutex<HashMap<u32, Instant>>> = LazyLock::new(Mutex::default);

thread_local! {
    /// The process that this thread reads about now, for whoever waits.
    static CURRENT: RefCell<Arc<AtomicU32>> = RefCell::default();
}

/// Announces that `pid` is read next; `false` if it is to be left alone.
pub fn enter(pid: u32) -> bool {
    CURRENT.with_borrow(|current| current.store(pid, Ordering::Relaxed));
    let mut shun = SHUN.lock().unwrap_or_else(PoisonError::into_inner);
    shun.retain(|_, since| since.elapsed() < SHUNNED);
    !shun.contains_key(&pid)
}

/// What `work` gives, or nothing if a process it [`enter`]s does not let go.
pub fn guarded<T: Default + Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    attempt(work).unwrap_or_default()
}

/// The same for a pass over many processes: begun again without the one that
/// does not let go.
pub fn guarded_pass<T: Default + Send + 'static>(pass: impl Fn() -> T + Clone + Send + 'static) -> T {
    (0..PASSES_MAX).find_map(|_| attempt(pass.clone())).unwrap_or_default()
}

fn attempt<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    if LEFT_BEHIND.load(Ordering::Relaxed) >= LEFT_BEHIND_MAX {
        return None;
    }
    let current: Arc<AtomicU32> = Arc::default();
    let (send, receive) = sync_channel(1);
    let theirs = Arc::clone(&current);
    LEFT_BEHIND.fetch_add(1, Ordering::Relaxed);
    let run = move || {
        CURRENT.set(theirs);
        // Nobody waits any more if it took too long.
        let _ = send.send(work());
        LEFT_BEHIND.fetch_sub(1, Ordering::Relaxed);
    };
    if thread::Builder::new().name("downloads-proc".to_owned()).spawn(run).is_err() {
        LEFT_BEHIND.fetch_sub(1, Ordering::Relaxed);
        return None;
    }
    let mut last = 0;
    loop {
        match receive.recv_timeout(PATIENCE) {
            Ok(result) => return Some(result),
            Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) => {}
        }
        let pid = current.load(Ordering::Relaxed);
        if pid == last {
            let mut shun = SHUN.lock().unwrap_or_else(PoisonError::into_inner);
            if shun.len() < SHUNNED_MAX {
                shun.insert(pid, Instant::now());
            }
            return None;
        }
        last = pid;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_does_not_let_go_is_left_alone() {
        // No process has so high a number.
        let pid = u32::MAX;
        let work = move || {
            assert!(enter(pid));
            thread::sleep(Duration::from_secs(4));
            Some(1)
        };
        let start = Instant::now();
        assert_eq!(guarded(work), None);
        assert!(start.elapsed() < Duration::from_secs(3));
        assert!(!guarded(move || enter(pid)), "shunned");
        assert!(guarded(move || enter(pid - 1)), "others are read");
    }

    #[test]
    fn a_pass_goes_on_without_the_process_that_holds_it_up() {
        let stuck = u32::MAX - 10;
        let pass = move || {
            let mut read = Vec::new();
            for pid in [stuck - 1, stuck, stuck + 1].into_iter().filter(|pid| enter(*pid)) {
                if pid == stuck {
                    thread::sleep(Duration::from_secs(4));
                }
                read.push(pid);
            }
            read
        };
        assert_eq!(guarded_pass(pass), [stuck - 1, stuck + 1]);
    }
}
