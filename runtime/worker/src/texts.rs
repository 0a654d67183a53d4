//! The main thread of an encoder: commands between batches, batches while there
//! is work.

use std::collections::HashSet;

use crossbeam_channel::Receiver;
use weighbridge_engine::embedding::{Bounds, Queue};
use weighbridge_inference_wire::{FailureKind, RequestId};

use crate::WorkerError;
use crate::error::failed;
use crate::inbox::Command;
use crate::model::Encodes;
use crate::serve::{COMMANDS_PER_STEP, Voice, next};

/// Reads texts for all who ask.
pub fn run(model: Encodes, inbox: &Receiver<Command>, voice: &Voice) -> Result<(), WorkerError> {
    let sink = voice.clone();
    let sink = move |id, event| sink.say(id, event);
    let mut queue = Queue::new(model.encoder, model.settings, Bounds::default(), sink);
    // Being tokenized; those that were cancelled meanwhile are not pending.
    let mut coming: HashSet<RequestId> = HashSet::new();
    loop {
        for taken in 0..COMMANDS_PER_STEP {
            let Some(command) = next(inbox, queue.is_idle() && taken == 0, voice)? else { break };
            match command {
                Command::Coming(id) => {
                    coming.insert(id);
                    voice.begin(id);
                }
                Command::Read(id, work, _weight) => {
                    if coming.remove(&id) && voice.awaits(id) {
                        match work {
                            Ok(work) => queue.enqueue(id, work),
                            Err(failure) => queue.refuse(id, failure),
                        }
                    }
                }
                Command::Cancel(id) => {
                    voice.forget(id);
                    queue.cancel(id);
                }
                Command::Stats => {
                    let mut stats = queue.stats();
                    let coming = u32::try_from(coming.len()).unwrap_or(u32::MAX);
                    stats.waiting = stats.waiting.saturating_add(coming);
                    voice.figures(stats);
                }
                Command::Refuse(id, failure) => queue.refuse(id, failure),
                Command::Tensors(id, _) | Command::Prepared(id, _) => {
                    let why = "this model reads texts; it takes no tensors and writes nothing";
                    queue.refuse(id, failed(FailureKind::Unsupported, why));
                }
                Command::Over(end) => return Ok(end?),
            }
        }
        queue.step();
    }
}
