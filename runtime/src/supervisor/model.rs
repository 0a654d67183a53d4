use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use weighbridge_inference_wire::{Facts, Failure, FailureKind, Open};
use weighbridge_policy::Approved;
use weighbridge_types::Sha256;

use super::Options;
use crate::load::{LoadError, Need, SealedPart};
use crate::worker::{Connection, Launch};

/// A model and whatever runs it now.
pub struct Model {
    /// Renewed while it is served.
    approved: Mutex<Approved>,
    pub options: Options,
    pub open: Open,
    pub launch: Launch,
    pub created: Timestamp,
    /// Digest by which it is known: of the largest part.
    pub digest: Option<Sha256>,
    digests: Vec<Sha256>,
    need: Need,
    state: Mutex<State>,
    changed: Condvar,
}

/// What changes.
pub struct State {
    pub phase: Phase,
    pub facts: Option<Facts>,
    pub connection: Option<Arc<Connection>>,
    /// Layers of confinement that are missing, with the reason.
    pub unconfined: Vec<(String, String)>,
    /// Given back when it is over.
    pub parts: Arc<Vec<SealedPart>>,
    /// Workers started so far.
    pub starts: u32,
    /// Nothing of it is left.
    over: bool,
}

/// Where a model stands.
#[derive(Debug, Clone)]
pub enum Phase {
    /// Being loaded: the step.
    Loading(String),
    /// It works.
    Ready,
    /// Its worker ended, is started again then.
    Restarting(String, Instant),
    /// It will not work.
    Failed(Failure),
    /// Taken back, or not wanted any more.
    Stopped(Failure),
}

impl Phase {
    /// Policy took `name` back.
    pub fn revoked(name: &str, reason: &str) -> Self {
        Self::Stopped(revoked(name, reason))
    }

    /// Nobody wants `name` any more.
    pub fn unloaded(name: &str) -> Self {
        let message = format!("`{name}` was unloaded; load it again to use it");
        Self::Stopped(Failure { kind: FailureKind::Gone, message, field: None })
    }
}

/// What callers of `name` are told once policy took it back.
pub fn revoked(name: &str, reason: &str) -> Failure {
    let message = format!("`{name}` was revoked: {reason}; ask whoever owns the policy");
    Failure { kind: FailureKind::Revoked, message, field: None }
}

impl Model {
    /// Puts the parts into huge pages, while they are used.
    pub fn use_huge_pages(&self) {
        let parts = Arc::clone(&self.lock().parts);
        for part in parts.iter() {
            // It is as good without.
            let _ = weighbridge_platform::sealed::into_huge_pages(&part.memory);
        }
    }

    pub fn new(
        approved: Approved,
        options: Options,
        open: Open,
        parts: Vec<SealedPart>,
        need: Need,
        launch: Launch,
    ) -> Self {
        let digest = parts.iter().max_by_key(|p| p.part.size_bytes).map(|p| p.sha256);
        let digests = parts.iter().map(|p| p.sha256).chain(approved.digests().copied()).collect();
        Self {
            approved: Mutex::new(approved),
            options,
            open,
            launch,
            created: Timestamp::now(),
            digest,
            digests,
            need,
            state: Mutex::new(State {
                phase: Phase::Loading("starting".to_owned()),
                facts: None,
                connection: None,
                unconfined: Vec::new(),
                parts: Arc::new(parts),
                starts: 0,
                over: false,
            }),
            changed: Condvar::new(),
        }
    }

    pub fn name(&self) -> &str {
        &self.open.name
    }

    /// Why it may be served.
    pub fn approved(&self) -> Approved {
        self.approved.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Goes on by `approved`. False if that is for other files.
    pub fn renew(&self, approved: Approved) -> bool {
        let mut now = self.approved.lock().unwrap_or_else(PoisonError::into_inner);
        let same = now.model() == approved.model() && now.digests().eq(approved.digests());
        if same {
            *now = approved;
        }
        same
    }

    /// When its approval ends.
    pub fn expires(&self) -> Option<Timestamp> {
        self.approved.lock().unwrap_or_else(PoisonError::into_inner).expires()
    }

    /// Whether a file of this content belongs to it, or is one it was made of.
    pub fn holds(&self, digest: &Sha256) -> bool {
        self.digests.contains(digest)
    }

    /// Length of its files.
    pub fn size_bytes(&self) -> u64 {
        self.need.weights
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes its state and tells those who wait for that.
    pub fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// Memory it may still take: what it was admitted with, less what it has.
    pub fn promised(&self) -> u64 {
        let state = self.lock();
        if state.over {
            return 0;
        }
        let resident = state.connection.as_ref().map_or(0, |c| c.stats().resident_bytes);
        // The parts lie in memory, mapped by a worker or not.
        self.need.bytes().saturating_sub(resident.max(self.need.weights))
    }

    /// Ends it for good. False if it had ended before.
    pub fn stop(&self, phase: Phase) -> bool {
        let mut state = self.lock();
        if matches!(state.phase, Phase::Stopped(_) | Phase::Failed(_)) {
            return false;
        }
        state.phase = phase;
        let connection = state.connection.take();
        drop(state);
        self.changed.notify_all();
        if let Some(connection) = connection {
            connection.end("it was stopped");
        }
        true
    }

    /// Whether it was ended for good.
    pub fn is_stopped(&self) -> bool {
        matches!(self.lock().phase, Phase::Stopped(_) | Phase::Failed(_))
    }

    /// Gives its memory back.
    pub fn finish(&self) {
        self.change(|state| {
            state.parts = Arc::default();
            state.connection = None;
            state.over = true;
        });
    }

    /// Waits until nothing of it is left.
    pub fn wait_until_over(&self) {
        let state = self.lock();
        drop(self.changed.wait_while(state, |state| !state.over).unwrap_or_else(PoisonError::into_inner));
    }

    /// Waits, at most until `until`, as long as it is not stopped. False if it
    /// is.
    pub fn pause(&self, until: Instant) -> bool {
        let left = until.saturating_duration_since(Instant::now());
        let stopped = |state: &State| matches!(state.phase, Phase::Stopped(_) | Phase::Failed(_));
        let waited = self.changed.wait_timeout_while(self.lock(), left, |state| !stopped(state));
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !stopped(&state)
    }

    /// Waits for the end of loading.
    pub fn wait_until_ready(&self, most: Duration) -> Result<(), LoadError> {
        let loading = |state: &mut State| matches!(state.phase, Phase::Loading(_));
        let waited = self.changed.wait_timeout_while(self.lock(), most, loading);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let model = || self.name().to_owned();
        let failure = match &state.phase {
            // A worker that was ready and died at once is started again.
            Phase::Ready | Phase::Restarting(..) => return Ok(()),
            Phase::Failed(failure) | Phase::Stopped(failure) => {
                LoadError::Refused { model: model(), failure: failure.clone() }
            }
            Phase::Loading(_) => LoadError::Slow { model: model(), seconds: most.as_secs() },
        };
        drop(state);
        self.stop(Phase::unloaded(self.name()));
        self.wait_until_over();
        Err(failure)
    }
}
