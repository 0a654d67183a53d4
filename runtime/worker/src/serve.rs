//! The main thread: commands between steps, steps while there is work.

use std::cell::RefCell;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use crossbeam_channel::{Receiver, TryRecvError};
use weighbridge_engine::{Engine, LanguageModel, Limits};
use weighbridge_inference_wire::{Event, FailureKind, FromWorker, RequestId, Stats};

use crate::WorkerError;
use crate::error::{failed, of_model};
use crate::inbox::{Command, Tensors};
use crate::model::{Model, Tools};
use crate::outbox::Outbox;
use crate::texts;

/// Most commands taken between two steps.
pub const COMMANDS_PER_STEP: usize = 64;

/// Requests not answered to the end.
#[derive(Debug, Clone, Default)]
struct Pending(Rc<RefCell<HashSet<RequestId>>>);

/// The way back to whoever asked.
#[derive(Debug, Clone)]
pub struct Voice {
    outbox: Outbox,
    pending: Pending,
}

impl Voice {
    pub fn begin(&self, id: RequestId) {
        self.pending.0.borrow_mut().insert(id);
    }

    /// True if it was pending.
    pub fn forget(&self, id: RequestId) -> bool {
        self.pending.0.borrow_mut().remove(&id)
    }

    /// True if it is not answered to the end, nor cancelled.
    pub fn awaits(&self, id: RequestId) -> bool {
        self.pending.0.borrow().contains(&id)
    }

    /// Has sent what was said since the last time.
    pub fn send(&self) {
        self.outbox.wake();
    }

    /// Answers a request for figures.
    pub fn figures(&self, stats: Stats) {
        self.outbox.send(FromWorker::Stats(stats));
    }

    pub fn say(&self, id: RequestId, event: Event) {
        if matches!(event, Event::Done { .. } | Event::Failed { .. }) {
            self.forget(id);
        }
        // A reader that is gone is noticed by the thread that reads.
        self.outbox.queue(FromWorker::Event { id, event: finite(event) });
    }
}

/// Serves until the other side is gone.
///
/// # Errors
/// [`WorkerError`] if the socket fails or the model's code panics; whoever
/// waited has been told.
pub fn run(model: Model, inbox: &Receiver<Command>, outbox: &Outbox) -> Result<(), WorkerError> {
    let voice = Voice { outbox: outbox.clone(), pending: Pending::default() };
    let served = catch_unwind(AssertUnwindSafe(|| match model {
        Model::Language(model) => {
            let sink = voice.clone();
            let sink = move |id, event| sink.say(id, event);
            let engine = Engine::new(model.language, model.prepare, Limits::default(), sink);
            write(engine, inbox, &voice)
        }
        Model::Encoder(model) => texts::run(*model, inbox, &voice),
        Model::Tools(tools) => compute(*tools, inbox, &voice),
    }));
    let result = served.unwrap_or_else(|_| {
        let failure = of_model("the model broke its worker, which is started again; try again in a moment");
        for id in voice.pending.0.take() {
            voice.say(id, Event::Failed { failure: failure.clone() });
        }
        Err(WorkerError::Broken(failure))
    });
    outbox.flush();
    result
}

/// Writes text for all who ask.
fn write<S: FnMut(RequestId, Event)>(
    mut engine: Engine<Box<dyn LanguageModel>, S>,
    inbox: &Receiver<Command>,
    voice: &Voice,
) -> Result<(), WorkerError> {
    // Being tokenized; those that were cancelled meanwhile are not pending.
    let mut coming: HashSet<RequestId> = HashSet::new();
    loop {
        for taken in 0..COMMANDS_PER_STEP {
            let Some(command) = next(inbox, engine.is_idle() && taken == 0, voice)? else { break };
            match command {
                Command::Coming(id) => {
                    coming.insert(id);
                    voice.begin(id);
                }
                Command::Prepared(id, prepared) => {
                    if coming.remove(&id) && voice.awaits(id) {
                        match *prepared {
                            Ok(prepared) => engine.enqueue(id, prepared),
                            Err(failure) => engine.refuse(id, failure),
                        }
                    }
                }
                Command::Cancel(id) => {
                    voice.forget(id);
                    engine.cancel(id);
                }
                Command::Stats => {
                    let mut stats = engine.stats();
                    let coming = u32::try_from(coming.len()).unwrap_or(u32::MAX);
                    stats.waiting = stats.waiting.saturating_add(coming);
                    voice.figures(stats);
                }
                Command::Read(id, ..) | Command::Tensors(id, _) => {
                    let why = "this model writes text; it makes no vectors, scores or tensors";
                    engine.refuse(id, failed(FailureKind::Unsupported, why));
                }
                Command::Refuse(id, failure) => engine.refuse(id, failure),
                Command::Over(end) => return Ok(end?),
            }
        }
        engine.step();
    }
}

/// Embeds, ranks and runs, one request at a time.
fn compute(mut tools: Tools, inbox: &Receiver<Command>, voice: &Voice) -> Result<(), WorkerError> {
    let mut waiting: std::collections::VecDeque<(RequestId, Box<Tensors>)> = std::collections::VecDeque::new();
    let mut stats = Stats::default();
    loop {
        for taken in 0..COMMANDS_PER_STEP {
            let Some(command) = next(inbox, waiting.is_empty() && taken == 0, voice)? else { break };
            match command {
                Command::Tensors(id, work) => {
                    voice.begin(id);
                    if waiting.len() < Limits::default().queue_max {
                        waiting.push_back((id, work));
                    } else {
                        let why = format!("{} requests wait already; try again later", waiting.len());
                        voice.say(id, Event::Failed { failure: failed(FailureKind::Busy, why) });
                    }
                }
                Command::Cancel(id) => {
                    voice.forget(id);
                    waiting.retain(|(other, _)| *other != id);
                }
                Command::Stats => {
                    let waiting = u32::try_from(waiting.len()).unwrap_or(u32::MAX);
                    voice.figures(Stats { waiting, ..stats });
                }
                Command::Refuse(id, failure) => voice.say(id, Event::Failed { failure }),
                Command::Over(end) => return Ok(end?),
                // There is no tokenizer's thread in a worker for tensors.
                Command::Coming(_) | Command::Prepared(..) | Command::Read(..) => {}
            }
        }
        let Some((id, work)) = waiting.pop_front() else { continue };
        let begun = std::time::Instant::now();
        let done = tools.run(*work);
        stats.steps += 1;
        stats.step_us += u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        match done {
            Ok((event, usage)) => {
                stats.prompt_tokens += u64::from(usage.prompt_tokens);
                voice.say(id, event);
                voice.say(id, Event::Done { usage });
            }
            Err(failure) => voice.say(id, Event::Failed { failure }),
        }
    }
}

/// The next command; waits for it if `idle`. What was said before goes out.
pub fn next(inbox: &Receiver<Command>, idle: bool, voice: &Voice) -> Result<Option<Command>, WorkerError> {
    voice.send();
    if idle {
        return inbox.recv().map(Some).or(Ok(Some(Command::Over(Ok(())))));
    }
    match inbox.try_recv() {
        Ok(command) => Ok(Some(command)),
        Err(TryRecvError::Empty) => Ok(None),
        Err(TryRecvError::Disconnected) => Ok(Some(Command::Over(Ok(())))),
    }
}

/// JSON has no word for infinity: what has no chance gets the smallest number.
fn finite(mut event: Event) -> Event {
    let tame = |number: &mut f32| {
        if !number.is_finite() {
            *number = f32::MIN;
        }
    };
    match &mut event {
        Event::Text { chances, .. } => {
            for chance in chances {
                tame(&mut chance.logprob);
                chance.likeliest.iter_mut().for_each(|(_, _, _, logprob)| tame(logprob));
            }
        }
        Event::Scores { scores } => scores.iter_mut().for_each(tame),
        _ => {}
    }
    event
}
