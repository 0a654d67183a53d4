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
        let why = match run(model, timing) {
            // Somebody else said why.
            _ if model.is_stopped() => break,
            End::Refused(failure) if model.lock().facts.is_none() => {
                model.change(|state| state.phase = Phase::Failed(failure));
                break;
            }
            End::Died(why) if model.lock().facts.is_none() => {
                let message = format!("its worker came to an end while loading: {why}");
                let failure = Failure { kind: FailureKind::Model, message, field: None };
                model.change(|state| state.phase = Phase::Failed(failure));
                break;
            }
            End::Refused(failure) => failure.message,
            End::Died(why) => why,
        };
        if begun.elapsed() >= timing.healthy_after {
            pause = timing.pause_first;
        }
        let until = Instant::now() + pause;
        model.change(|state| {
            if !matches!(state.phase, Phase::Stopped(_)) {
                state.phase = Phase::Restarting(why, until);
            }
        });
        if !model.pause(until) {
            break;
        }
        pause = next(pause, timing.pause_max);
    }
    model.finish();
}

/// Twice as long, up to `most`.
fn next(pause: Duration, most: Duration) -> Duration {
    pause.saturating_mul(2).min(most)
}

/// One worker, from its start to its end; callers in flight are told of that.
fn run(model: &Model, timing: Timing) -> End {
    let parts = Arc::clone(&model.lock().parts);
    let connection = match Connection::start(&model.launch, &model.open, &parts, timing.silence_max) {
        Ok(connection) => connection,
        Err(error) => {
            let program = model.launch.program.display();
            return End::Died(format!("the model worker `{program}` cannot be started: {error}"));
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
    let mut failure = None;
    model.change(|state| {
        state.connection = None;
        failure = match &state.phase {
            Phase::Stopped(failure) => Some(failure.clone()),
            _ => None,
        };
    });
    let failure = failure.unwrap_or_else(|| {
        let why = match &end {
            End::Refused(failure) => failure.message.clone(),
            End::Died(why) => why.clone(),
        };
        let message = format!("the worker of `{}` is gone: {why}; it is started again, try again", model.name());
        Failure { kind: FailureKind::Gone, message, field: None }
    });
    connection.fail_all(&failure);
    end
}
