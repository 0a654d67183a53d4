//! A worker and the threads that speak with it: one listens (the caller's of
//! [`Connection::listen`]), one speaks and watches the time.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
use weighbridge_gateway::{Events, Work, events};
use weighbridge_inference_wire::{
    FRAME_BYTES_MAX, Facts, Failure, FailureKind, FromWorker, Load, Open, Stats, ToWorker,
};
use weighbridge_platform::frames;

use super::law;
use super::process::{Launch, Process};
use super::routes::{Routes, Told};
use crate::load::{SealedPart, resident};

/// Most messages on their way to a worker.
const OUTGOING_MAX: usize = 1024;
/// Most bytes of requests on their way to a worker: a caller that leaves lets
/// its request lie here until the worker took what comes before.
const OUTGOING_BYTES_MAX: usize = 256 << 20;
/// Most events that wait for one caller.
const EVENTS_MAX: usize = 512;
/// How often callers that are gone are looked for.
const TICK: Duration = Duration::from_millis(50);
/// How often a worker is asked how it is.
const PING: Duration = Duration::from_millis(500);
/// Most reports of loading taken from one worker.
const REPORTS_MAX: usize = 1000;

/// A worker that can be asked.
#[derive(Debug)]
pub struct Connection {
    /// Of the model, for what we say of its worker.
    name: String,
    socket: UnixStream,
    process: Process,
    outgoing: Sender<(ToWorker, usize)>,
    /// Bytes of what is on its way.
    outgoing_bytes: AtomicUsize,
    routes: Routes,
    pulse: Mutex<Pulse>,
    /// Why it was ended, if we ended it.
    verdict: Mutex<Option<String>>,
    over: AtomicBool,
}

/// What is known of how it fares.
#[derive(Debug)]
struct Pulse {
    ready: bool,
    /// When it last said how it is.
    heard: Instant,
    /// When work last went on, or there was none.
    moved: Instant,
    stats: Stats,
}

/// How a worker came to its end.
#[derive(Debug)]
pub enum End {
    /// It said that it cannot be.
    Refused(Failure),
    /// It died, or was ended: in words.
    Died(String),
}

impl Connection {
    /// Starts a worker, and the thread that speaks to it, and sends the model.
    ///
    /// # Errors
    /// If there is no worker to be had, or it dies at once.
    pub fn start(launch: &Launch, open: &Open, parts: &[SealedPart], silence_max: Duration) -> io::Result<Arc<Self>> {
        let (socket, theirs) = UnixStream::pair()?;
        let process = Process::start(launch, theirs)?;
        socket.set_write_timeout(Some(silence_max))?;
        let (outgoing, waiting) = bounded(OUTGOING_MAX);
        let now = Instant::now();
        let connection = Arc::new(Self {
            name: open.name.clone(),
            socket,
            process,
            outgoing,
            outgoing_bytes: AtomicUsize::new(0),
            routes: Routes::default(),
            pulse: Mutex::new(Pulse { ready: false, heard: now, moved: now, stats: Stats::default() }),
            verdict: Mutex::default(),
            over: AtomicBool::new(false),
        });
        let handles: Vec<_> = parts.iter().map(|part| part.memory.as_fd()).collect();
        let sent = frames::send(&connection.socket, &ToWorker::Open(open.clone()), &handles, FRAME_BYTES_MAX);
        if let Err(error) = sent {
            return Err(io::Error::new(error.kind(), format!("{error}; {}", connection.bury())));
        }
        let speaker = Arc::clone(&connection);
        thread::Builder::new()
            .name("model-speaker".to_owned())
            .spawn(move || speaker.speak(&waiting, silence_max))
            .inspect_err(|_| drop(connection.bury()))?;
        Ok(connection)
    }

    /// Sends the parts that were to come.
    pub fn complete(&self, parts: &[SealedPart]) {
        let handles: Vec<_> = parts.iter().map(|part| part.memory.as_fd()).collect();
        if !handles.is_empty() {
            // Whoever listens hears what a worker that is gone said last.
            let _ = frames::send(&self.socket, &ToWorker::Rest, &handles, FRAME_BYTES_MAX);
        }
    }

    /// Hands over `work`.
    ///
    /// # Errors
    /// [`FailureKind::Busy`] when too much is on its way, [`FailureKind::Gone`]
    /// when the worker is going.
    pub fn submit(&self, work: Work) -> Result<Events, Failure> {
        let failed = |kind, message: &str| Failure { kind, message: message.to_owned(), field: None };
        let busy = || failed(FailureKind::Busy, "too many requests are on their way to the model; try again later");
        let (sender, events) = events(EVENTS_MAX);
        let gone = || failed(FailureKind::Gone, "the model's worker is gone; try again in a moment");
        let refused = || if self.over.load(Ordering::Acquire) { gone() } else { busy() };
        let id = self.routes.begin(&work, sender).ok_or_else(refused)?;
        let bytes = work.bytes();
        let before = self.outgoing_bytes.fetch_add(bytes, Ordering::AcqRel);
        // One that is larger than that goes alone.
        let fits = before == 0 || before.saturating_add(bytes) <= OUTGOING_BYTES_MAX;
        let sent = if fits { self.outgoing.try_send((work.message(id), bytes)).map_err(Some) } else { Err(None) };
        match sent.map_err(|error| matches!(error, Some(TrySendError::Disconnected(_)))) {
            Ok(()) => Ok(events),
            Err(is_gone) => {
                self.outgoing_bytes.fetch_sub(bytes, Ordering::AcqRel);
                self.routes.forget(id);
                Err(if is_gone { gone() } else { busy() })
            }
        }
    }

    /// Figures as the worker told them last; its memory as the system tells.
    pub fn stats(&self) -> Stats {
        let resident_bytes = resident(self.process.id).unwrap_or(0);
        Stats { resident_bytes, ..self.pulse().stats }
    }

    /// Number of the process in the system.
    pub fn process_id(&self) -> u32 {
        self.process.id
    }

    /// Requests in flight.
    pub fn in_flight(&self) -> usize {
        self.routes.count()
    }

    /// Layers of confinement that are missing around the process.
    pub fn unconfined(&self) -> &[(String, String)] {
        &self.process.unconfined
    }

    /// Ends the worker; the first reason given counts.
    pub fn end(&self, why: &str) {
        self.verdict.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| why.to_owned());
        self.process.kill();
    }

    /// Listens until the worker is gone. `loading` and `ready` hear of those.
    pub fn listen(&self, mut loading: impl FnMut(Load), mut ready: impl FnMut(Facts)) -> End {
        let refusal = self.hear(&mut loading, &mut ready);
        // No more requests, and no more of those that were taken are sent.
        self.over.store(true, Ordering::Release);
        self.routes.close();
        let obituary = self.bury();
        match (refusal, self.verdict.lock().unwrap_or_else(PoisonError::into_inner).take()) {
            (Some(failure), _) => End::Refused(failure),
            (None, Some(verdict)) => End::Died(verdict),
            (None, None) => End::Died(format!("it ended by itself ({obituary})")),
        }
    }

    /// How the process ended. What it said last may hold words of those whom
    /// it worked for: it is for whoever keeps this service, not for callers.
    fn bury(&self) -> String {
        let obituary = self.process.obituary();
        if !obituary.words.is_empty() {
            eprintln!(
                "weighbridge: the worker of `{}` ended ({}); it said: {}",
                law::words(&self.name),
                obituary.status,
                obituary.words
            );
        }
        obituary.status
    }

    /// Ends all requests in flight with `failure`.
    pub fn fail_all(&self, failure: &Failure) {
        self.routes.fail_all(failure);
    }

    fn hear(&self, loading: &mut impl FnMut(Load), ready: &mut impl FnMut(Facts)) -> Option<Failure> {
        let mut reports = 0;
        let mut frames = frames::Reader::new(&self.socket, FRAME_BYTES_MAX);
        loop {
            let message = match frames.receive::<FromWorker>() {
                Ok(Some(message)) => message,
                Ok(None) => return None,
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return None,
                Err(e) => {
                    self.end(&format!("it sent what is no message ({e})"));
                    return None;
                }
            };
            let is_ready = self.pulse().ready;
            let illegal = match message {
                FromWorker::Event { id, event } => match self.routes.tell(id, event) {
                    Told::Fine => None,
                    Told::Illegal(why) => Some(why),
                },
                FromWorker::Stats(stats) => {
                    self.beat(stats);
                    None
                }
                FromWorker::Loading(load) if !is_ready && reports < REPORTS_MAX => {
                    reports += 1;
                    let unconfined = load.unconfined.iter().take(16).map(|(l, r)| (law::words(l), law::words(r)));
                    loading(Load { step: law::words(&load.step), unconfined: unconfined.collect() });
                    None
                }
                FromWorker::Ready(facts) if !is_ready => {
                    let now = Instant::now();
                    let mut pulse = self.pulse();
                    (pulse.ready, pulse.heard, pulse.moved) = (true, now, now);
                    drop(pulse);
                    ready(law::bounded(*facts));
                    None
                }
                FromWorker::Refused(failure) if !is_ready => return Some(law::shown(failure)),
                _ => Some("a report of loading, after it"),
            };
            if let Some(what) = illegal {
                self.end(&format!("it sent what no worker sends: {what}"));
                return None;
            }
        }
    }

    fn pulse(&self) -> MutexGuard<'_, Pulse> {
        self.pulse.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn beat(&self, stats: Stats) {
        let now = Instant::now();
        let mut pulse = self.pulse();
        if !law::stands_still(&pulse.stats, &stats) {
            pulse.moved = now;
        }
        (pulse.heard, pulse.stats) = (now, stats);
    }

    fn speak(&self, waiting: &Receiver<(ToWorker, usize)>, silence_max: Duration) {
        let (mut ticked, mut pinged) = (Instant::now(), Instant::now());
        while !self.over.load(Ordering::Acquire) {
            match waiting.recv_timeout(TICK) {
                Ok((message, bytes)) => {
                    self.say(&message);
                    self.outgoing_bytes.fetch_sub(bytes, Ordering::AcqRel);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if ticked.elapsed() >= TICK {
                ticked = Instant::now();
                for id in self.routes.abandoned() {
                    self.say(&ToWorker::Cancel { id });
                }
            }
            if pinged.elapsed() >= PING && self.pulse().ready {
                pinged = Instant::now();
                self.say(&ToWorker::Stats);
                let pulse = self.pulse();
                let (silent, stuck) = (pulse.heard.elapsed(), pulse.moved.elapsed());
                drop(pulse);
                if silent > silence_max {
                    self.end(&format!("it gave no sign of life for {} seconds", silent.as_secs()));
                } else if stuck > silence_max {
                    self.end(&format!("it got nowhere for {} seconds", stuck.as_secs()));
                }
            }
        }
    }

    fn say(&self, message: &ToWorker) {
        let request = match message {
            ToWorker::Generate { id, .. }
            | ToWorker::Embed { id, .. }
            | ToWorker::Rerank { id, .. }
            | ToWorker::Infer { id, .. } => Some(*id),
            _ => None,
        };
        // Cancelled while it waited here.
        if request.is_some_and(|id| !self.routes.wanted(id)) {
            return;
        }
        match frames::send(&self.socket, message, &[], FRAME_BYTES_MAX) {
            Ok(()) => {}
            // Nothing of it was written.
            Err(e) if e.kind() == io::ErrorKind::InvalidInput => {
                if let Some(id) = request {
                    let message = format!("the request is larger than {} MiB; send less", FRAME_BYTES_MAX >> 20);
                    self.routes.fail(id, Failure { kind: FailureKind::Invalid, message, field: None });
                }
            }
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                self.end("it did not take what it was sent");
            }
            // It is gone; whoever listens notices.
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use weighbridge_inference_wire::VERSION;
    use weighbridge_sandbox::group::Share;

    use super::*;

    #[test]
    fn what_a_worker_said_last_is_not_for_callers() {
        let launch = Launch {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), "echo the prompt was: hunter2 >&2; exit 3".into()],
            group: "weighbridge-test-words".to_owned(),
            share: Share { memory_bytes: 64 << 20, threads: 8 },
        };
        let open = Open {
            version: VERSION,
            name: "small".to_owned(),
            parts: Vec::new(),
            to_come: 0,
            threads: 1,
            cache_bytes: 0,
            context_length: None,
        };
        let told = match Connection::start(&launch, &open, &[], Duration::from_secs(5)) {
            Ok(connection) => match connection.listen(|_| {}, |_| {}) {
                End::Died(why) => why,
                End::Refused(failure) => failure.message,
            },
            // It was gone before it was sent anything.
            Err(error) => error.to_string(),
        };
        assert!(told.contains("exit status: 3") && !told.contains("hunter2"), "{told}");
    }
}
