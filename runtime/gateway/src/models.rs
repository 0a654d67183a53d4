//! The models behind the gateway, as it needs them.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use futures::future::BoxFuture;
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::mpsc;
use weighbridge_inference_wire::{
    Chat, Embed, Event, Facts, Failure, FailureKind, Generate, Infer, Prompt, RequestId, Rerank, Stats, ToWorker,
};
use weighbridge_policy::Assessment;
use weighbridge_types::Sha256;

use crate::identity::Caller;

/// Models that were approved, and a way to have them work.
pub trait Models: Send + Sync + 'static {
    /// All that are served.
    fn list(&self) -> Vec<Arc<ModelInfo>>;

    /// The one of that name or alias.
    fn find(&self, name: &str) -> Option<Arc<ModelInfo>>;

    /// Has `model` do `work`. Dropping the events cancels it. They are best
    /// made with [`events`], which holds no more than it was told to.
    fn submit(&self, model: &ModelInfo, work: Work, caller: &Caller) -> BoxFuture<'static, Result<Events, Refusal>>;

    /// Figures of the worker of `model`, for `/metrics`.
    fn stats(&self, model: &str) -> Option<Stats>;

    /// Energy used since the start, where a sensor tells.
    fn joules(&self) -> Option<f64> {
        None
    }
}

/// What is known of a served model.
#[derive(Debug, Clone, Default)]
pub struct ModelInfo {
    /// Its name.
    pub id: String,
    /// Other names it answers to.
    pub aliases: Vec<String>,
    /// Since when it is served.
    pub created: Timestamp,
    /// Digest of the approved bytes.
    pub digest: Option<Sha256>,
    /// Their length.
    pub size_bytes: u64,
    /// What it can do; known once it is loaded.
    pub facts: Option<Facts>,
    /// Whether it works.
    pub state: ModelState,
    /// What the scanner found, for decisions. Without it a model counts as
    /// one whose verdict is unknown.
    pub assessment: Option<Arc<Assessment>>,
}

impl ModelInfo {
    /// Whether it works, or will again: others are not listed.
    #[must_use]
    pub fn is_offered(&self) -> bool {
        !matches!(self.state, ModelState::Failed(_) | ModelState::Revoked(_))
    }
}

/// Whether a model works.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ModelState {
    /// It is being loaded.
    Loading(String),
    /// It works.
    #[default]
    Ready,
    /// Its worker ended and is started again.
    Restarting(String),
    /// It will not work.
    Failed(String),
    /// Policy took it back.
    Revoked(String),
}

/// What a model is to do: the requests of [`ToWorker`] without their number.
#[derive(Debug, Clone, PartialEq)]
pub enum Work {
    /// Write text.
    Generate(Box<Generate>),
    /// Turn texts into vectors.
    Embed(Embed),
    /// Order documents.
    Rerank(Rerank),
    /// Run on tensors.
    Infer(Infer),
}

impl Work {
    /// As a message.
    #[must_use]
    pub fn message(self, id: RequestId) -> ToWorker {
        match self {
            Self::Generate(request) => ToWorker::Generate { id, request },
            Self::Embed(request) => ToWorker::Embed { id, request },
            Self::Rerank(request) => ToWorker::Rerank { id, request },
            Self::Infer(request) => ToWorker::Infer { id, request },
        }
    }

    /// About as many bytes as it takes: texts, tokens and tensors.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let tokens = |list: &[u32]| list.len().saturating_mul(4);
        match self {
            Self::Generate(generate) => match &generate.prompt {
                Prompt::Text(text) => text.len(),
                Prompt::Tokens(list) => tokens(list),
                Prompt::Chat(chat) => said(chat),
            },
            Self::Embed(embed) => {
                let texts = embed.texts.iter().map(String::len);
                texts.chain(embed.tokens.iter().map(|list| tokens(list))).fold(0, usize::saturating_add)
            }
            Self::Rerank(rerank) => {
                rerank.documents.iter().map(String::len).fold(rerank.query.len(), usize::saturating_add)
            }
            Self::Infer(infer) => infer.inputs.iter().map(|tensor| tensor.data.len()).fold(0, usize::saturating_add),
        }
    }
}

/// Bytes of all that a conversation puts before the model.
fn said(chat: &Chat) -> usize {
    let json = |value: &Value| match value {
        Value::String(text) => text.len(),
        Value::Null => 0,
        other => other.to_string().len(),
    };
    let messages = chat.messages.iter().flat_map(|message| {
        let calls = message.tool_calls.iter().map(|call| call.name.len().saturating_add(json(&call.arguments)));
        calls.chain([message.content.len()])
    });
    let tools = chat.tools.iter().flat_map(|tool| {
        [tool.name.len(), tool.description.as_ref().map_or(0, String::len), tool.parameters.as_ref().map_or(0, json)]
    });
    let variables = chat.template_variables.values().map(json);
    messages.chain(tools).chain(variables).fold(0, usize::saturating_add)
}

/// Why work was not begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What kind.
    pub failure: Failure,
    /// When to try again.
    pub retry_after: Option<Duration>,
}

/// What comes of one request, to its end. Made by [`events`].
pub struct Events {
    receiver: mpsc::Receiver<Event>,
    stalled: Arc<AtomicBool>,
    told: bool,
}

/// The other end of [`Events`].
#[derive(Debug, Clone)]
pub struct EventSender {
    sender: mpsc::Sender<Event>,
    stalled: Arc<AtomicBool>,
}

/// The reader is gone, or reads too slowly and was cut off; the work is to be
/// cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotTaken;

/// A way for at most `capacity` events. Sending never waits: a reader that
/// lets it fill up is cut off, so that it holds up neither the worker nor
/// memory.
#[must_use]
pub fn events(capacity: usize) -> (EventSender, Events) {
    let (sender, receiver) = mpsc::channel(capacity.max(1));
    let stalled = Arc::new(AtomicBool::new(false));
    (EventSender { sender, stalled: stalled.clone() }, Events { receiver, stalled, told: false })
}

impl EventSender {
    /// Hands over `event`.
    ///
    /// # Errors
    /// [`NotTaken`], now and ever after.
    pub fn send(&self, event: Event) -> Result<(), NotTaken> {
        if self.stalled.load(Ordering::Relaxed) {
            return Err(NotTaken);
        }
        self.sender.try_send(event).map_err(|_| {
            self.stalled.store(true, Ordering::Relaxed);
            NotTaken
        })
    }

    /// Whether the next event would cut off whoever reads.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.sender.capacity() == 0 && !self.is_closed()
    }

    /// Returns when nobody reads any more.
    pub async fn closed(&self) {
        self.sender.closed().await;
    }

    /// Whether nobody reads any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed() || self.stalled.load(Ordering::Relaxed)
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        let next = self.receiver.poll_recv(context);
        if matches!(next, Poll::Ready(None) | Poll::Pending) && self.stalled.load(Ordering::Relaxed) {
            if self.told {
                return Poll::Ready(None);
            }
            // What was sent before was read; what came after is lost.
            self.told = true;
            self.receiver.close();
            let failure = Failure {
                kind: FailureKind::Internal,
                message: "the answer was not read as fast as it was written; it was cut off".to_owned(),
                field: None,
            };
            return Poll::Ready(Some(Event::Failed { failure }));
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt;

    fn text(text: &str) -> Event {
        Event::Text { choice: 0, text: text.to_owned(), thought: false, chances: Vec::new() }
    }

    #[tokio::test]
    async fn a_reader_that_stalls_is_cut_off_after_what_fits() {
        let (sender, mut events) = events(2);
        assert_eq!((sender.send(text("a")), sender.send(text("b"))), (Ok(()), Ok(())));
        assert_eq!((sender.send(text("c")), sender.is_closed()), (Err(NotTaken), true));
        assert_eq!((events.next().await, events.next().await), (Some(text("a")), Some(text("b"))));
        assert!(matches!(events.next().await, Some(Event::Failed { .. })));
        assert_eq!((sender.send(text("d")), events.next().await), (Err(NotTaken), None));
    }

    #[tokio::test]
    async fn dropping_the_events_tells_the_sender() {
        let (sender, events) = events(2);
        assert!(!sender.is_closed());
        drop(events);
        sender.closed().await;
        assert_eq!(sender.send(text("a")), Err(NotTaken));
    }
}
