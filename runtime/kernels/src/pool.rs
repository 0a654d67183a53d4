//! A small pool of threads for jobs of microseconds.
//!
//! A job is a number of chunks. One word holds the job's epoch and the next
//! chunk; a thread claims a chunk by compare-and-exchange on both, so a thread
//! that was late cannot touch a job that is over. The caller works too and
//! waits for chunks, not for threads: a thread that the system did not
//! schedule costs nothing. Idle threads spin for a moment, then sleep on a
//! condition (a futex), and nothing else reaches the system after creation.

use std::{
    any::Any,
    hint::spin_loop,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::KernelError;

/// Most threads of one pool.
const THREADS_MAX: usize = 256;
/// How long an idle thread spins: longer than the pause between two operators
/// of one step, shorter than anybody notices on an idle machine.
const SPIN: Duration = Duration::from_micros(1000);
/// Turns a waiting caller spins before it offers its core to others.
const CALLER_SPINS: u32 = 4000;

/// Runs a chunk: the job's data, the thread's number, the chunk's.
type Run = unsafe fn(*const (), usize, usize);

/// One of two places for a job. Jobs alternate, so a late reader of an old job
/// sees stale words at worst, and its claim then fails on the epoch.
struct Slot {
    data: AtomicPtr<()>,
    run: AtomicPtr<()>,
    chunks: AtomicU32,
}

impl Slot {
    const fn new() -> Self {
        let null = std::ptr::null_mut();
        Self { data: AtomicPtr::new(null), run: AtomicPtr::new(null), chunks: AtomicU32::new(0) }
    }
}

struct Shared {
    /// Epoch in the high half, next chunk in the low one.
    next: AtomicU64,
    epoch: AtomicU32,
    slots: [Slot; 2],
    done: AtomicU32,
    busy: AtomicBool,
    stop: AtomicBool,
    sleepers: AtomicU32,
    sleep: Mutex<()>,
    wake: Condvar,
    panicked: Mutex<Option<Box<dyn Any + Send>>>,
}

/// The pool. Dropping it ends its threads.
pub struct Pool {
    shared: Arc<Shared>,
    handles: Vec<JoinHandle<()>>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("threads", &self.threads()).finish()
    }
}

impl Pool {
    /// A pool of `threads`, the caller's own among them (so `threads - 1` are
    /// started, and none for 1).
    ///
    /// # Errors
    /// [`KernelError::Parameter`] for none or more than 256,
    /// [`KernelError::Thread`] where the system refuses one.
    pub fn new(threads: usize) -> Result<Self, KernelError> {
        if threads == 0 || threads > THREADS_MAX {
            return Err(KernelError::Parameter { what: "threads", value: threads, expected: "1 to 256" });
        }
        let shared = Arc::new(Shared {
            next: AtomicU64::new(0),
            epoch: AtomicU32::new(0),
            slots: [Slot::new(), Slot::new()],
            done: AtomicU32::new(0),
            busy: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            sleepers: AtomicU32::new(0),
            sleep: Mutex::new(()),
            wake: Condvar::new(),
            panicked: Mutex::new(None),
        });
        let mut pool = Self { shared, handles: Vec::new() };
        for worker in 1..threads {
            let shared = Arc::clone(&pool.shared);
            let builder = thread::Builder::new().name(format!("compute-{worker}"));
            let handle = builder.spawn(move || shared.serve(worker)).map_err(|e| KernelError::Thread(e.kind()))?;
            pool.handles.push(handle);
        }
        Ok(pool)
    }

    /// Threads that work on a job, the caller included.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.handles.len() + 1
    }

    /// Runs `f` for every chunk in `0..chunks`, each once, in no order, and
    /// returns when all are done. A job from inside a job, or beside another
    /// thread's, runs on its caller alone.
    ///
    /// # Panics
    /// With a chunk's panic, once no chunk runs any more.
    pub fn run(&self, chunks: usize, f: impl Fn(usize) + Sync) {
        self.run_numbered(chunks, |_, chunk| f(chunk));
    }

    /// As [`Pool::run`], and gives each thread its own `state` to work with;
    /// `states` must hold one per thread.
    ///
    /// # Errors
    /// [`KernelError::Length`] where there are fewer.
    ///
    /// # Panics
    /// With a chunk's panic, once no chunk runs any more.
    pub fn run_with<T: Send>(
        &self,
        chunks: usize,
        states: &mut [T],
        f: impl Fn(&mut T, usize) + Sync,
    ) -> Result<(), KernelError> {
        if states.len() < self.threads() {
            return Err(KernelError::Length { what: "thread states", need: self.threads(), have: states.len() });
        }
        let base = Shareable::new(states.as_mut_ptr());
        self.run_numbered(chunks, |worker, chunk| {
            // SAFETY: `worker` is below `threads()`, checked against the
            // slice; no two threads of a job share a number, and a thread runs
            // one chunk at a time, so this is the only reference to it.
            let state = unsafe { &mut *base.get().add(worker) };
            f(state, chunk);
        });
        Ok(())
    }

    fn run_numbered<F: Fn(usize, usize) + Sync>(&self, chunks: usize, f: F) {
        let count = u32::try_from(chunks).ok().filter(|_| chunks > 1 && !self.handles.is_empty());
        let Some(count) = count.filter(|_| !self.shared.busy.swap(true, Ordering::Acquire)) else {
            (0..chunks).for_each(|chunk| f(0, chunk));
            return;
        };
        /// Runs one chunk of the closure behind `data`.
        unsafe fn chunk<F: Fn(usize, usize) + Sync>(data: *const (), worker: usize, chunk: usize) {
            // SAFETY: `data` is the closure of the job whose chunk was claimed,
            // and `run_numbered` holds it until all claimed chunks are done.
            unsafe { (*data.cast::<F>())(worker, chunk) }
        }
        let s = &*self.shared;
        let epoch = s.epoch.load(Ordering::Relaxed).wrapping_add(1);
        let slot = s.slot(epoch);
        slot.data.store((&raw const f).cast_mut().cast(), Ordering::Relaxed);
        slot.run.store(chunk::<F> as Run as *mut (), Ordering::Relaxed);
        slot.chunks.store(count, Ordering::Relaxed);
        s.done.store(0, Ordering::Relaxed);
        s.next.store(u64::from(epoch) << 32, Ordering::Release);
        s.epoch.store(epoch, Ordering::SeqCst);
        if s.sleepers.load(Ordering::SeqCst) > 0 {
            // The lock orders this with a thread between its look and its sleep.
            drop(s.sleep.lock().unwrap_or_else(PoisonError::into_inner));
            s.wake.notify_all();
        }
        s.work(epoch, 0);
        let mut turns = 0u32;
        while s.done.load(Ordering::Acquire) < count {
            turns = turns.saturating_add(1);
            if turns < CALLER_SPINS { spin_loop() } else { thread::yield_now() }
        }
        let panicked = s.panicked.lock().unwrap_or_else(PoisonError::into_inner).take();
        s.busy.store(false, Ordering::Release);
        if let Some(payload) = panicked {
            resume_unwind(payload);
        }
    }
}

impl Shared {
    fn slot(&self, epoch: u32) -> &Slot {
        let [even, odd] = &self.slots;
        if epoch & 1 == 0 { even } else { odd }
    }

    /// Claims and runs chunks of `epoch` until there is none.
    fn work(&self, epoch: u32, worker: usize) {
        let slot = self.slot(epoch);
        loop {
            let next = self.next.load(Ordering::Acquire);
            if next >> 32 != u64::from(epoch) {
                return;
            }
            let (data, run) = (slot.data.load(Ordering::Relaxed), slot.run.load(Ordering::Relaxed));
            let chunk = next & 0xffff_ffff;
            if chunk >= u64::from(slot.chunks.load(Ordering::Relaxed)) {
                return;
            }
            if self.next.compare_exchange_weak(next, next + 1, Ordering::AcqRel, Ordering::Relaxed).is_err() {
                continue;
            }
            // SAFETY: `run` was stored from a `Run`. The claim succeeded with
            // this epoch, so the words are of this job: its slot is written
            // again only for the job after next, which cannot begin before the
            // chunk just claimed is done, and until then its closure lives.
            let outcome = catch_unwind(AssertUnwindSafe(|| unsafe {
                let run = std::mem::transmute::<*mut (), Run>(run);
                run(data, worker, usize::try_from(chunk).unwrap_or(usize::MAX));
            }));
            if let Err(payload) = outcome {
                self.panicked.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(payload);
            }
            self.done.fetch_add(1, Ordering::Release);
        }
    }

    /// A worker's life.
    fn serve(&self, worker: usize) {
        let mut seen = 0;
        while !self.stop.load(Ordering::Acquire) {
            seen = self.wait(seen);
            self.work(seen, worker);
        }
    }

    /// Waits for an epoch other than `seen`: spins, then sleeps.
    fn wait(&self, seen: u32) -> u32 {
        let mut since = None;
        loop {
            for _ in 0..256 {
                let epoch = self.epoch.load(Ordering::Acquire);
                if epoch != seen {
                    return epoch;
                }
                spin_loop();
            }
            if since.get_or_insert_with(Instant::now).elapsed() > SPIN {
                break;
            }
        }
        let mut guard = self.sleep.lock().unwrap_or_else(PoisonError::into_inner);
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        while self.epoch.load(Ordering::SeqCst) == seen {
            guard = self.wake.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
        drop(guard);
        self.epoch.load(Ordering::Acquire)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.shared.epoch.fetch_add(1, Ordering::SeqCst);
        drop(self.shared.sleep.lock().unwrap_or_else(PoisonError::into_inner));
        self.shared.wake.notify_all();
        for handle in self.handles.drain(..) {
            // A worker catches its chunks' panics, so there is none to carry.
            let _ = handle.join();
        }
    }
}

/// A pointer that threads of one job may share; each use says why it may.
pub(crate) struct Shareable<T>(*mut T);

// SAFETY: the pointer alone does nothing; every dereference argues for itself.
unsafe impl<T> Send for Shareable<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Shareable<T> {}

impl<T> Shareable<T> {
    pub(crate) const fn new(pointer: *mut T) -> Self {
        Self(pointer)
    }

    /// The pointer; a method, so that closures capture the wrapper.
    pub(crate) const fn get(&self) -> *mut T {
        self.0
    }
}

/// Part `i` of `parts` nearly equal parts of `0..total`.
pub(crate) fn part(total: usize, parts: usize, i: usize) -> std::ops::Range<usize> {
    let (size, rest) = (total / parts, total % parts);
    let start = i * size + i.min(rest);
    start..start + size + usize::from(i < rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chunk_runs_once() {
        for threads in [1, 2, 3, 8] {
            let pool = Pool::new(threads).unwrap();
            for round in 0..3000usize {
                let chunks = round % 17;
                let counts: Vec<AtomicU32> = (0..chunks).map(|_| AtomicU32::new(0)).collect();
                pool.run(chunks, |i| {
                    counts[i].fetch_add(1, Ordering::Relaxed);
                });
                assert!(counts.iter().all(|c| c.load(Ordering::Relaxed) == 1), "round {round}");
            }
        }
    }

    #[test]
    fn states_belong_to_one_thread_each() {
        let pool = Pool::new(8).unwrap();
        let mut sums = vec![0u64; 8];
        for _ in 0..500 {
            pool.run_with(100, &mut sums, |sum, i| *sum += i as u64).unwrap();
        }
        assert_eq!(sums.iter().sum::<u64>(), 500 * 4950);
        assert!(pool.run_with(1, &mut sums[..7], |_, _| {}).is_err());
    }

    #[test]
    fn a_panic_is_carried_to_the_caller_and_the_pool_lives() {
        let pool = Pool::new(4).unwrap();
        for at in [0, 7, 15] {
            let outcome = catch_unwind(AssertUnwindSafe(|| pool.run(16, |i| assert_ne!(i, at, "chunk"))));
            assert!(outcome.is_err());
        }
        let count = AtomicU32::new(0);
        pool.run(16, |_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(count.into_inner(), 16);
    }

    #[test]
    fn nested_and_concurrent_jobs_finish() {
        let pool = Pool::new(4).unwrap();
        let count = AtomicU32::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        pool.run(5, |_| {
                            pool.run(3, |_| {
                                count.fetch_add(1, Ordering::Relaxed);
                            })
                        });
                    }
                });
            }
        });
        assert_eq!(count.into_inner(), 4 * 200 * 15);
    }

    #[test]
    fn wakes_from_sleep() {
        let pool = Pool::new(2).unwrap();
        for _ in 0..5 {
            let since = Instant::now();
            while pool.shared.sleepers.load(Ordering::SeqCst) == 0 {
                assert!(since.elapsed() < Duration::from_secs(20), "idle threads sleep");
                thread::sleep(SPIN);
            }
            let count = AtomicU32::new(0);
            pool.run(64, |_| {
                count.fetch_add(1, Ordering::Relaxed);
                thread::sleep(Duration::from_micros(50));
            });
            assert_eq!(count.into_inner(), 64);
        }
    }

    #[test]
    fn parts_cover_everything_once() {
        for total in 0..50 {
            for parts in 1..9 {
                let all: Vec<usize> = (0..parts).flat_map(|i| part(total, parts, i)).collect();
                assert_eq!(all, (0..total).collect::<Vec<_>>());
            }
        }
    }
}
