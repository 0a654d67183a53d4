//! The thread of one model: starts its worker, listens to it, starts it again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use weighbridge_inference_wire::{Failure, FailureKind};

use super::model::{Model, Phase};
use super::settings::Timing;
use crate::worker::{Connection, End};

/// Keeps `model` until it is stopped or was never ready.
pub fn keep(model: &Model, timing: Timing) {
    let mut pause = timing.pause_first;
    loop {
        let begun = Instant::now();
        let (end, connection) = run(model, timing);
        if begun.elapsed() >= timing.healthy_after {
            pause = timing.pause_first;
        }
        let until = Instant::now() + pause;
        // Callers in flight may look at once how the model stands.
        let failure = settle(model, end, until);
        if let Some(connection) = connection {
            connection.fail_all(&failure);
        }
        if model.is_stopped() || !model.pause(until) {
            break;
        }
        pause = next(pause, timing.pause_max);
    }
    model.finish();
}

/// Where a model stands whose worker came to its `end`, and what callers in
/// flight are told. It is started again at `until`, unless it never was ready.
fn settle(model: &Model, end: End, until: Instant) -> Failure {
    let gone = |message| Failure { kind: FailureKind::Gone, message, field: None };
    let mut told = None;
    model.change(|state| {
        state.connection = None;
        let (phase, failure) = match (&state.phase, end) {
            (Phase::Stopped(failure), _) => (None, failure.clone()),
            (_, End::Refused(failure)) if state.facts.is_none() => (Some(Phase::Failed(failure.clone())), failure),
            (_, End::Died(why)) if state.facts.is_none() => {
                let message = format!("its worker came to an end while loading: {why}");
                let failure = Failure { kind: FailureKind::Model, message, field: None };
                (Some(Phase::Failed(failure.clone())), failure)
            }
            (_, End::Refused(Failure { message: why, .. }) | End::Died(why)) => {
                let name = model.name();
                let failure = gone(format!("the worker of `{name}` is gone: {why}; it is started again, try again"));
                (Some(Phase::Restarting(why, until)), failure)
            }
        };
        if let Some(phase) = phase {
            state.phase = phase;
        }
        told = Some(failure);
    });
    told.unwrap_or_else(|| gone(format!("the worker of `{}` is gone; try again", model.name())))
}

/// Twice as long, up to `most`.
fn next(pause: Duration, most: Duration) -> Duration {
    pause.saturating_mul(2).min(most)
}

/// One worker, from its start to its end. Callers in flight wait to be told.
fn run(model: &Model, timing: Timing) -> (End, Option<Arc<Connection>>) {
    let parts = Arc::clone(&model.lock().parts);
    let connection = match Connection::start(&model.launch, &model.open, &parts, timing.silence_max) {
        Ok(connection) => connection,
        Err(error) => {
            let program = model.launch.program.display();
            return (End::Died(format!("the model worker `{program}` cannot be started: {error}")), None);
        }
    };
    let mut stopped = false;
    model.change(|state| {
        // Stopped before there was anything to stop.
        stopped = matches!(state.phase, Phase::Stopped(_));
        state.unconfined = connection.unconfined().to_vec();
        state.connection = Some(Arc::clone(&connection));
        state.starts += 1;
    });
    if stopped {
        connection.end("it was stopped");
    }
    if let Some(rest) = model.wait_for_rest() {
        connection.complete(&rest);
    }
    let end = connection.listen(
        |load| {
            model.change(|state| {
                state.unconfined.extend(load.unconfined);
                if let Phase::Loading(step) = &mut state.phase {
                    *step = load.step;
                }
            });
        },
        |facts| {
            model.change(|state| {
                state.facts = Some(facts);
                if matches!(state.phase, Phase::Loading(_) | Phase::Restarting(..)) {
                    state.phase = Phase::Ready;
                }
            });
        },
    );
    (end, Some(connection))
}
