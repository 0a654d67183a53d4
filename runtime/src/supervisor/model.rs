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
    /// What a worker is started with. Given back when it is over.
    pub parts: Arc<Vec<SealedPart>>,
    /// The weights, once they are sealed; given back as well.
    pub rest: Option<Arc<Vec<SealedPart>>>,
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

    /// Whether it ended for good.
    pub const fn is_over(&self) -> bool {
        matches!(self, Self::Stopped(_) | Self::Failed(_))
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
    /// Of a model whose parts have these `digests`, in the order of `open`, and
    /// of which `parts` are sealed.
    pub fn new(
        approved: Approved,
        options: Options,
        open: Open,
        digests: Vec<Sha256>,
        parts: Arc<Vec<SealedPart>>,
        need: Need,
        launch: Launch,
    ) -> Self {
        let largest = open.parts.iter().zip(&digests).max_by_key(|(part, _)| part.size_bytes);
        let digest = largest.map(|(_, digest)| *digest);
        let digests = digests.into_iter().chain(approved.digests().copied()).collect();
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
                parts,
                rest: None,
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
        if state.phase.is_over() {
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
        self.lock().phase.is_over()
    }

    /// Gives its memory back.
    pub fn finish(&self) {
        self.change(|state| {
            state.parts = Arc::default();
            state.rest = None;
            state.connection = None;
            state.over = true;
        });
    }

    /// Waits until nothing of it is left.
    pub fn wait_until_over(&self) {
        let state = self.lock();
        drop(self.changed.wait_while(state, |state| !state.over).unwrap_or_else(PoisonError::into_inner));
    }

    /// Waits until the weights are sealed. None if it is stopped before.
    pub fn wait_for_rest(&self) -> Option<Arc<Vec<SealedPart>>> {
        let waits = |state: &mut State| state.rest.is_none() && !state.phase.is_over();
        let state = self.changed.wait_while(self.lock(), waits).unwrap_or_else(PoisonError::into_inner);
        state.rest.clone().filter(|_| !state.phase.is_over())
    }

    /// Waits, at most until `until`, as long as it is not stopped. False if it
    /// is.
    pub fn pause(&self, until: Instant) -> bool {
        let left = until.saturating_duration_since(Instant::now());
        let waited = self.changed.wait_timeout_while(self.lock(), left, |state| !state.phase.is_over());
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !state.phase.is_over()
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
