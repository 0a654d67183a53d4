//! What a model says to a request, held against what it was asked.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::Stream;
use futures::future::poll_fn;
use weighbridge_inference_wire::{Call, Event, Failure, FailureKind, FinishReason, TokenChance, Usage};

use crate::models::Events;
use crate::problem::{Problem, Result};
use crate::ticket::Ticket;

/// Events of all parts of a request, in one stream that ends with
/// [`Event::Done`] or [`Event::Failed`]. Answers are numbered through.
pub(crate) struct Answer {
    pub ticket: Ticket,
    /// Those that still run, with the number of their first answer.
    parts: Vec<(Events, u32)>,
    /// Answers of each part.
    choices: u32,
    next: usize,
    usage: Usage,
    peeked: Option<Event>,
    ended: bool,
}

/// One answer, complete.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    pub text: String,
    pub thoughts: String,
    pub calls: Vec<Call>,
    pub chances: Vec<TokenChance>,
    pub reason: Option<FinishReason>,
}

impl Answer {
    pub fn new(ticket: Ticket, parts: Vec<Events>, choices: u32) -> Self {
        let parts = (0..).map(|at: u32| at.saturating_mul(choices)).zip(parts).map(|(first, e)| (e, first)).collect();
        Self { ticket, parts, choices, next: 0, usage: Usage::default(), peeked: None, ended: false }
    }

    /// Waits for the first event, so that a request that fails at once is
    /// refused with a status rather than in a stream.
    pub async fn begin(&mut self) -> Result<()> {
        match self.next().await {
            Some(Event::Failed { failure }) => Err(self.ticket.problem(failure)),
            event => {
                self.peeked = event;
                Ok(())
            }
        }
    }

    pub async fn next(&mut self) -> Option<Event> {
        poll_fn(|context| self.poll_next(context)).await
    }

    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Event>> {
        if let Some(event) = self.peeked.take() {
            return Poll::Ready(Some(event));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        let event = match ready!(self.poll_parts(context)) {
            Ok(event) => event,
            Err(failure) => Event::Failed { failure },
        };
        self.ticket.see(&event);
        let event = match event {
            end @ (Event::Done { .. } | Event::Failed { .. }) => end,
            more => self.ticket.spent().map_or(more, |failure| Event::Failed { failure }),
        };
        match &event {
            Event::Done { usage } => {
                self.ticket.done(usage);
                self.end();
            }
            Event::Failed { .. } => self.end(),
            _ => {}
        }
        Poll::Ready(Some(event))
    }

    /// Cancels what still runs.
    fn end(&mut self) {
        self.ended = true;
        self.parts.clear();
    }

    /// Each part in turn, so that none waits for another.
    fn poll_parts(&mut self, context: &mut Context<'_>) -> Poll<std::result::Result<Event, Failure>> {
        let count = self.parts.len();
        for step in 0..count {
            let at = (self.next + step) % count.max(1);
            let Some((events, first)) = self.parts.get_mut(at) else { continue };
            let first = *first;
            match Pin::new(events).poll_next(context) {
                Poll::Pending => {}
                Poll::Ready(None) => return Poll::Ready(Err(gone())),
                Poll::Ready(Some(Event::Done { usage })) => {
                    add(&mut self.usage, &usage);
                    self.parts.remove(at);
                    if self.parts.is_empty() {
                        return Poll::Ready(Ok(Event::Done { usage: self.usage }));
                    }
                    return self.poll_parts(context);
                }
                Poll::Ready(Some(event)) => {
                    self.next = at + 1;
                    return Poll::Ready(renumber(event, first, self.choices));
                }
            }
        }
        Poll::Pending
    }

    /// Everything, answer by answer.
    pub async fn collect(&mut self, answers: u32) -> Result<(Vec<Collected>, Usage)> {
        let mut all: Vec<Collected> = (0..answers).map(|_| Collected::default()).collect();
        let most = self.ticket.limits().answer_bytes_max;
        let mut kept = 0_usize;
        while let Some(event) = self.next().await {
            let at = |choice: u32| usize::try_from(choice).unwrap_or(usize::MAX);
            match event {
                Event::Text { choice, text, thought, chances } => {
                    kept = kept.saturating_add(text.len()).saturating_add(chances.iter().map(weight).sum());
                    if let Some(one) = all.get_mut(at(choice)) {
                        if thought {
                            one.thoughts.push_str(&text)
                        } else {
                            one.text.push_str(&text)
                        }
                        one.chances.extend(chances);
                    }
                }
                Event::Call { choice, call } => {
                    kept = kept.saturating_add(call.name.len()).saturating_add(call.arguments.len());
                    if let Some(one) = all.get_mut(at(choice)) {
                        one.calls.push(call);
                    }
                }
                Event::Finished { choice, reason } => {
                    if let Some(one) = all.get_mut(at(choice)) {
                        one.reason = Some(reason);
                    }
                }
                Event::Done { usage } => return Ok((all, usage)),
                Event::Failed { failure } => return Err(self.ticket.problem(failure)),
                _ => return Err(self.ticket.refuse(unasked())),
            }
            if kept > most {
                self.end();
                let message = format!("the answer is longer than {most} bytes; ask for fewer tokens, or stream it");
                return Err(self.ticket.refuse(Problem::internal(message)));
            }
        }
        Err(gone().into())
    }

    /// The one event that a request other than for text is answered with.
    pub async fn single(&mut self) -> Result<(Event, Usage)> {
        let first = match self.next().await {
            Some(Event::Failed { failure }) => return Err(self.ticket.problem(failure)),
            Some(event) => event,
            None => return Err(gone().into()),
        };
        match self.next().await {
            Some(Event::Done { usage }) => Ok((first, usage)),
            Some(Event::Failed { failure }) => Err(self.ticket.problem(failure)),
            _ => Err(self.ticket.refuse(unasked())),
        }
    }
}

/// About as many bytes as a chance takes.
fn weight(chance: &TokenChance) -> usize {
    64_usize.saturating_add(chance.likeliest.len().saturating_mul(64))
}

fn gone() -> Failure {
    Failure {
        kind: FailureKind::Gone,
        message: "the model's worker ended before the answer was complete; it is started again, try once more"
            .to_owned(),
        field: None,
    }
}

pub(crate) fn unasked() -> Problem {
    Problem::internal("the model's worker answered with something that was not asked for")
}

/// A worker's answers are those it was asked for, or it has failed.
fn renumber(event: Event, first: u32, choices: u32) -> std::result::Result<Event, Failure> {
    let at = |choice: u32| {
        if choice < choices {
            return Ok(first.saturating_add(choice));
        }
        let message = "the model's worker wrote an answer that was not asked for".to_owned();
        Err(Failure { kind: FailureKind::Internal, message, field: None })
    };
    Ok(match event {
        Event::Text { choice, text, thought, chances } => Event::Text { choice: at(choice)?, text, thought, chances },
        Event::Call { choice, call } => Event::Call { choice: at(choice)?, call },
        Event::Finished { choice, reason } => Event::Finished { choice: at(choice)?, reason },
        other => other,
    })
}

fn add(all: &mut Usage, more: &Usage) {
    for (all, more) in [
        (&mut all.prompt_tokens, more.prompt_tokens),
        (&mut all.cached_tokens, more.cached_tokens),
        (&mut all.completion_tokens, more.completion_tokens),
        (&mut all.thought_tokens, more.thought_tokens),
    ] {
        *all = all.saturating_add(more);
    }
    for (all, more) in [
        (&mut all.queue_us, more.queue_us),
        (&mut all.prefill_us, more.prefill_us),
        (&mut all.decode_us, more.decode_us),
    ] {
        *all = (*all).max(more);
    }
}
