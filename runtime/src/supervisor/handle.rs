use std::sync::Arc;
use std::time::{Duration, Instant};

use weighbridge_gateway::{Events, ModelInfo, ModelState, Refusal, Work};
use weighbridge_inference_wire::{Facts, Failure, FailureKind, Stats};
use weighbridge_policy::Approved;

use super::Options;
use super::model::{Model, Phase};

/// A model that is served.
#[derive(Clone)]
pub struct Handle(Arc<Model>);

impl Handle {
    pub(super) fn of(model: Arc<Model>) -> Self {
        Self(model)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// How it is served.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.0.options
    }

    /// Why it may be.
    #[must_use]
    pub fn approved(&self) -> Approved {
        self.0.approved()
    }

    /// Hands over `work`. What comes of it is in the events; dropping them
    /// cancels it.
    ///
    /// # Errors
    /// [`Refusal`] if the model does not work now.
    pub fn submit(&self, work: Work) -> Result<Events, Refusal> {
        let state = self.0.lock();
        let refused = |kind, message: String, retry_after| {
            Err(Refusal { failure: Failure { kind, message, field: None }, retry_after })
        };
        let name = self.name();
        match (&state.phase, &state.connection) {
            (Phase::Ready, Some(connection)) => {
                let connection = Arc::clone(connection);
                drop(state);
                connection
                    .submit(work)
                    .map_err(|failure| Refusal { failure, retry_after: Some(Duration::from_secs(1)) })
            }
            (Phase::Failed(failure) | Phase::Stopped(failure), _) => {
                Err(Refusal { failure: failure.clone(), retry_after: None })
            }
            (Phase::Restarting(why, at), _) => {
                let pause = at.saturating_duration_since(Instant::now()).max(Duration::from_secs(1));
                let message = format!("the worker of `{name}` is being started again ({why}); try again in a moment");
                refused(FailureKind::Gone, message, Some(pause))
            }
            (Phase::Loading(_) | Phase::Ready, _) => {
                let message = format!("`{name}` is not ready; try again in a moment");
                refused(FailureKind::Busy, message, Some(Duration::from_secs(1)))
            }
        }
    }

    /// What it can do, once it was ready for the first time.
    #[must_use]
    pub fn facts(&self) -> Option<Facts> {
        self.0.lock().facts.clone()
    }

    /// Figures of its worker; `None` while there is none.
    #[must_use]
    pub fn stats(&self) -> Option<Stats> {
        let connection = self.0.lock().connection.clone();
        connection.map(|c| c.stats())
    }

    /// Requests in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        let connection = self.0.lock().connection.clone();
        connection.map_or(0, |c| c.in_flight())
    }

    /// Whether it works.
    #[must_use]
    pub fn state(&self) -> ModelState {
        match &self.0.lock().phase {
            Phase::Loading(step) => ModelState::Loading(step.clone()),
            Phase::Ready => ModelState::Ready,
            Phase::Restarting(why, _) => ModelState::Restarting(why.clone()),
            Phase::Stopped(failure) if failure.kind == FailureKind::Revoked => {
                ModelState::Revoked(failure.message.clone())
            }
            Phase::Failed(failure) | Phase::Stopped(failure) => ModelState::Failed(failure.message.clone()),
        }
    }

    /// Layers of confinement that are missing, with the reason.
    #[must_use]
    pub fn unconfined(&self) -> Vec<(String, String)> {
        self.0.lock().unconfined.clone()
    }

    /// Number of the worker's process in the system; `None` while there is
    /// none.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.0.lock().connection.as_ref().map(|c| c.process_id())
    }

    /// Workers started for it so far.
    #[must_use]
    pub fn starts(&self) -> u32 {
        self.0.lock().starts
    }

    /// As the gateway lists it.
    #[must_use]
    pub fn info(&self) -> ModelInfo {
        ModelInfo {
            id: self.name().to_owned(),
            aliases: self.options().aliases.clone(),
            created: self.0.created,
            digest: self.0.digest,
            size_bytes: self.0.size_bytes(),
            facts: self.facts(),
            state: self.state(),
            assessment: self.options().assessment.clone(),
        }
    }
}
