//! Messages on their way in: one thread reads them, another turns prompts into
//! tokens, so that running answers wait for neither.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use weighbridge_engine::{Prepare, Prepared};
use weighbridge_inference_wire::{
    Embed, FRAME_BYTES_MAX, Failure, FailureKind, Generate, Infer, RequestId, Rerank, ToWorker,
};
use weighbridge_platform::frames;

use crate::error::failed;
use crate::model_code;

/// Most commands between the reader and the engine.
const COMMANDS_MAX: usize = 256;
/// Most prompts that wait to be tokenized.
const PROMPTS_MAX: usize = 1024;

/// What the main thread is to do.
pub enum Command {
    /// A prompt is being tokenized; more follows.
    Coming(RequestId),
    /// It was.
    Prepared(RequestId, Box<Result<Prepared, Failure>>),
    /// Work for a model of tensors.
    Tensors(RequestId, Box<Tensors>),
    /// It cannot be done.
    Refuse(RequestId, Failure),
    /// Nobody waits for it any more.
    Cancel(RequestId),
    /// Figures are wanted.
    Stats,
    /// The other side is gone, or what it says makes no sense.
    Over(io::Result<()>),
}

/// Work for a model that reads whole inputs.
pub enum Tensors {
    /// Texts to vectors.
    Embed(Embed),
    /// Documents to scores.
    Rerank(Rerank),
    /// Tensors to tensors.
    Infer(Infer),
}

/// Starts the threads that read `socket`.
///
/// # Errors
/// If there is no thread to be had.
pub fn start(socket: Arc<UnixStream>, prepare: Option<Arc<Prepare>>) -> io::Result<Receiver<Command>> {
    let (commands, inbox) = bounded(COMMANDS_MAX);
    let (prompts, waiting) = bounded::<(RequestId, Box<Generate>)>(PROMPTS_MAX);
    let prompts = prepare.is_some().then_some(prompts);
    if let Some(prepare) = prepare {
        let commands = commands.clone();
        thread::Builder::new().name("tokenizer".to_owned()).spawn(move || tokenize(&prepare, &waiting, &commands))?;
    }
    thread::Builder::new().name("reader".to_owned()).spawn(move || {
        let end = read(&socket, prompts.as_ref(), &commands);
        // Nobody listens if the main thread is over already.
        let _ = commands.send(Command::Over(end));
    })?;
    Ok(inbox)
}

fn tokenize(prepare: &Prepare, waiting: &Receiver<(RequestId, Box<Generate>)>, commands: &Sender<Command>) {
    for (id, request) in waiting {
        let prepared = model_code(|| prepare.prepare(*request)).and_then(|inner| inner);
        if commands.send(Command::Prepared(id, Box::new(prepared))).is_err() {
            return;
        }
    }
}

fn read(
    socket: &UnixStream,
    prompts: Option<&Sender<(RequestId, Box<Generate>)>>,
    commands: &Sender<Command>,
) -> io::Result<()> {
    // Descriptors are taken once, with the model.
    while let Some((message, _)) = frames::receive::<ToWorker>(socket, FRAME_BYTES_MAX)? {
        let command = match message {
            ToWorker::Generate { id, request } => match generate(prompts, commands, id, request) {
                Some(command) => command,
                None => continue,
            },
            ToWorker::Embed { id, request } => Command::Tensors(id, Box::new(Tensors::Embed(request))),
            ToWorker::Rerank { id, request } => Command::Tensors(id, Box::new(Tensors::Rerank(request))),
            ToWorker::Infer { id, request } => Command::Tensors(id, Box::new(Tensors::Infer(request))),
            ToWorker::Cancel { id } => Command::Cancel(id),
            ToWorker::Stats => Command::Stats,
            ToWorker::Open(_) => return Err(io::Error::new(io::ErrorKind::InvalidData, "a second model was sent")),
        };
        if commands.send(command).is_err() {
            break;
        }
    }
    Ok(())
}

/// Has a prompt tokenized; a command if it cannot be.
fn generate(
    prompts: Option<&Sender<(RequestId, Box<Generate>)>>,
    commands: &Sender<Command>,
    id: RequestId,
    request: Box<Generate>,
) -> Option<Command> {
    let Some(prompts) = prompts else {
        let why = "this model writes no text; use it for embeddings, ranking or tensors";
        return Some(Command::Refuse(id, failed(FailureKind::Unsupported, why)));
    };
    // Before the prompt, so that a cancellation finds it.
    commands.send(Command::Coming(id)).ok()?;
    match prompts.try_send((id, request)) {
        Ok(()) => None,
        Err(TrySendError::Full(_)) => {
            let why = format!("{PROMPTS_MAX} prompts wait already; try again later");
            Some(Command::Prepared(id, Box::new(Err(failed(FailureKind::Busy, why)))))
        }
        Err(TrySendError::Disconnected(_)) => {
            let why = "the tokenizer's thread is gone; the model is restarted";
            Some(Command::Prepared(id, Box::new(Err(failed(FailureKind::Internal, why)))))
        }
    }
}
