//! Messages on their way in: one thread reads them, another turns prompts into
//! tokens, so that running answers wait for neither.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use weighbridge_engine::embedding::{Reader, Work};
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
/// Most bytes of texts on their way to be read, unless one request has more.
const TEXT_BYTES_MAX: usize = 64 << 20;

/// What the main thread is to do.
pub enum Command {
    /// A prompt is being tokenized; more follows.
    Coming(RequestId),
    /// It was.
    Prepared(RequestId, Box<Result<Prepared, Failure>>),
    /// Texts were turned into tokens; their weight until they are taken over.
    Read(RequestId, Result<Work, Failure>, Weight),
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

/// What is done to requests before the main thread has them.
pub enum Tokenizing {
    /// Prompts become tokens.
    Prompts(Arc<Prepare>),
    /// Texts do.
    Texts(Arc<Reader>),
    /// Nothing.
    Nothing,
}

/// Bytes of texts on their way; they count until this is dropped.
#[derive(Debug)]
pub struct Weight(Arc<AtomicUsize>, usize);

impl Weight {
    /// None if `all` is heavy enough already.
    fn of(all: &Arc<AtomicUsize>, work: &Tensors) -> Option<Self> {
        let bytes = match work {
            Tensors::Embed(r) => {
                r.texts.iter().map(|t| t.len() + 16).sum::<usize>()
                    + r.tokens.iter().map(|t| t.len() * 4 + 16).sum::<usize>()
            }
            // The query goes before each document.
            Tensors::Rerank(r) => r.documents.iter().map(|d| d.len().saturating_add(r.query.len()) + 16).sum(),
            Tensors::Infer(_) => 0,
        };
        let before = all.fetch_add(bytes, Ordering::Relaxed);
        let weight = Self(Arc::clone(all), bytes);
        (before == 0 || before.saturating_add(bytes) <= TEXT_BYTES_MAX).then_some(weight)
    }
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Ordering::Relaxed);
    }
}

/// Where requests go to be tokenized.
enum Desk {
    Prompts(Sender<(RequestId, Box<Generate>)>),
    Texts(Sender<(RequestId, Tensors, Weight)>, Arc<AtomicUsize>),
    None,
}

/// Starts the threads that read `socket`.
///
/// # Errors
/// If there is no thread to be had.
pub fn start(socket: Arc<UnixStream>, tokenizing: Tokenizing) -> io::Result<Receiver<Command>> {
    let (commands, inbox) = bounded(COMMANDS_MAX);
    let thread = || thread::Builder::new().name("tokenizer".to_owned());
    let theirs = commands.clone();
    let desk = match tokenizing {
        Tokenizing::Prompts(prepare) => {
            let (prompts, waiting) = bounded(PROMPTS_MAX);
            thread().spawn(move || tokenize(&prepare, &waiting, &theirs))?;
            Desk::Prompts(prompts)
        }
        Tokenizing::Texts(reader) => {
            let (texts, waiting) = bounded(PROMPTS_MAX);
            thread().spawn(move || read_texts(&reader, &waiting, &theirs))?;
            Desk::Texts(texts, Arc::default())
        }
        Tokenizing::Nothing => Desk::None,
    };
    thread::Builder::new().name("reader".to_owned()).spawn(move || {
        let end = read(&socket, &desk, &commands);
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

fn read_texts(reader: &Reader, waiting: &Receiver<(RequestId, Tensors, Weight)>, commands: &Sender<Command>) {
    for (id, work, weight) in waiting {
        let work = model_code(|| match &work {
            Tensors::Embed(request) => reader.embed(request),
            Tensors::Rerank(request) => reader.rerank(request),
            Tensors::Infer(_) => Err(failed(FailureKind::Unsupported, "this model reads texts; it takes no tensors")),
        });
        if commands.send(Command::Read(id, work.and_then(|inner| inner), weight)).is_err() {
            return;
        }
    }
}

fn read(socket: &UnixStream, desk: &Desk, commands: &Sender<Command>) -> io::Result<()> {
    // Descriptors are taken once, with the model.
    while let Some((message, _)) = frames::receive::<ToWorker>(socket, FRAME_BYTES_MAX)? {
        let command = match message {
            ToWorker::Generate { id, request } => match generate(desk, commands, id, request) {
                Some(command) => command,
                None => continue,
            },
            ToWorker::Embed { id, request } => match texts(desk, commands, id, Tensors::Embed(request)) {
                Some(command) => command,
                None => continue,
            },
            ToWorker::Rerank { id, request } => match texts(desk, commands, id, Tensors::Rerank(request)) {
                Some(command) => command,
                None => continue,
            },
            ToWorker::Infer { id, request } => match texts(desk, commands, id, Tensors::Infer(request)) {
                Some(command) => command,
                None => continue,
            },
            ToWorker::Cancel { id } => Command::Cancel(id),
            ToWorker::Stats => Command::Stats,
            ToWorker::Open(_) | ToWorker::Rest => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a second model was sent"));
            }
        };
        if commands.send(command).is_err() {
            break;
        }
    }
    Ok(())
}

/// Has a prompt tokenized; a command if it cannot be.
fn generate(desk: &Desk, commands: &Sender<Command>, id: RequestId, request: Box<Generate>) -> Option<Command> {
    let Desk::Prompts(prompts) = desk else {
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
            Some(Command::Prepared(id, Box::new(Err(failed(FailureKind::Internal, GONE)))))
        }
    }
}

const GONE: &str = "the tokenizer's thread is gone; the model is restarted";

/// Has texts tokenized; a command if they cannot be, or need not be.
fn texts(desk: &Desk, commands: &Sender<Command>, id: RequestId, work: Tensors) -> Option<Command> {
    let Desk::Texts(texts, all) = desk else { return Some(Command::Tensors(id, Box::new(work))) };
    let Some(weight) = Weight::of(all, &work) else {
        let why = "too many texts wait already; try again later, or with less at once";
        return Some(Command::Refuse(id, failed(FailureKind::Busy, why)));
    };
    // Before the texts, so that a cancellation finds it.
    commands.send(Command::Coming(id)).ok()?;
    let failure = match texts.try_send((id, work, weight)) {
        Ok(()) => return None,
        Err(TrySendError::Full(_)) => {
            failed(FailureKind::Busy, format!("{PROMPTS_MAX} requests wait already; try again later"))
        }
        Err(TrySendError::Disconnected(_)) => failed(FailureKind::Internal, GONE),
    };
    Some(Command::Read(id, Err(failure), Weight(Arc::clone(all), 0)))
}
