//! What a worker may say. It has read hostile bytes and may be in somebody
//! else's hands: nothing it says is kept, passed on or acted upon before it was
//! held against this.

use weighbridge_gateway::Work;
use weighbridge_inference_wire::{Event, Facts, Failure, FailureKind, Stats};

/// Longest text of one event, bytes; a step writes a few tokens.
const TEXT_BYTES_MAX: usize = 1 << 20;
/// Most tokens in one event: those whose text was held back.
const CHANCES_MAX: usize = 1 << 16;
/// Most likely tokens named at one place.
const LIKELIEST_MAX: usize = 64;
/// Longest text for people, characters.
const WORDS_MAX: usize = 1000;
/// Longest chat template, bytes.
const TEMPLATE_BYTES_MAX: usize = 1 << 20;
/// Most inputs and outputs told.
const PORTS_MAX: usize = 1024;
/// Most dimensions told of one.
const RANK_MAX: usize = 64;

/// What may be said of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Law {
    kind: Kind,
    /// Answers that are not complete.
    open: Vec<bool>,
    /// Chances of tokens were asked for.
    scored: bool,
    /// Vectors, scores or tensors have come.
    given: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Generate,
    Embed,
    Rerank(usize),
    Infer,
}

impl Law {
    /// For `work`.
    pub fn of(work: &Work) -> Self {
        let (kind, choices) = match work {
            // More are refused by the worker, in words.
            Work::Generate(request) => (Kind::Generate, request.choices.min(1024)),
            Work::Embed(_) => (Kind::Embed, 0),
            Work::Rerank(request) => (Kind::Rerank(request.documents.len()), 0),
            Work::Infer(_) => (Kind::Infer, 0),
        };
        let scored = matches!(work, Work::Generate(request) if request.logprobs.is_some());
        Self { kind, open: (0..choices).map(|_| true).collect(), scored, given: false }
    }

    /// Whether `event` may come now; if so, it has come.
    ///
    /// # Errors
    /// In words, what no worker says.
    pub fn hold(&mut self, event: &Event) -> Result<(), &'static str> {
        let short = |bytes: usize| if bytes <= TEXT_BYTES_MAX { Ok(()) } else { Err("text without end") };
        let once = |given: &mut bool| if std::mem::replace(given, true) { Err("a second answer") } else { Ok(()) };
        match (event, self.kind) {
            (Event::Text { choice, text, chances, .. }, Kind::Generate) => {
                self.answering(*choice)?;
                short(text.len())?;
                if !self.scored && !chances.is_empty() {
                    return Err("chances that were not asked for");
                }
                let likeliest = chances.iter().any(|c| c.likeliest.len() > LIKELIEST_MAX);
                if chances.len() > CHANCES_MAX || likeliest { Err("tokens without end") } else { Ok(()) }
            }
            (Event::Call { choice, call }, Kind::Generate) => {
                self.answering(*choice)?;
                short(call.name.len().saturating_add(call.arguments.len()))
            }
            (Event::Finished { choice, .. }, Kind::Generate) => {
                self.answering(*choice)?;
                let open = usize::try_from(*choice).ok().and_then(|place| self.open.get_mut(place));
                open.map(|open| *open = false).ok_or("an answer that was not asked for")
            }
            (Event::Vectors { .. }, Kind::Embed) | (Event::Tensors { .. }, Kind::Infer) => once(&mut self.given),
            (Event::Scores { scores }, Kind::Rerank(documents)) => {
                if scores.len() == documents {
                    once(&mut self.given)
                } else {
                    Err("scores of other documents")
                }
            }
            (Event::Done { .. }, Kind::Generate) if self.open.contains(&true) => Err("the end of open answers"),
            (Event::Done { .. }, Kind::Embed | Kind::Rerank(_) | Kind::Infer) if !self.given => {
                Err("the end of nothing")
            }
            (Event::Done { .. } | Event::Failed { .. }, _) => Ok(()),
            _ => Err("an answer of another kind"),
        }
    }

    fn answering(&self, choice: u32) -> Result<(), &'static str> {
        let open = usize::try_from(choice).ok().and_then(|place| self.open.get(place));
        if open == Some(&true) { Ok(()) } else { Err("an answer that was not asked for, or is complete") }
    }
}

/// A failure fit to be shown. Some are not a worker's to tell.
pub fn shown(failure: Failure) -> Failure {
    let kind = match failure.kind {
        FailureKind::Revoked | FailureKind::Limited => FailureKind::Internal,
        kind => kind,
    };
    Failure { kind, message: words(&failure.message), field: failure.field.map(|f| words(&f)) }
}

/// `text` without control characters, cut.
pub fn words(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(WORDS_MAX).collect()
}

/// Facts with everything bounded.
pub fn bounded(facts: Facts) -> Facts {
    let ports = |ports: Vec<(String, String, Vec<i64>)>| {
        let cut = |(name, element, mut shape): (String, String, Vec<i64>)| {
            shape.truncate(RANK_MAX);
            (words(&name), words(&element), shape)
        };
        ports.into_iter().take(PORTS_MAX).map(cut).collect()
    };
    Facts {
        architecture: words(&facts.architecture),
        quantization: words(&facts.quantization),
        template: facts.template.filter(|t| t.len() <= TEMPLATE_BYTES_MAX),
        inputs: ports(facts.inputs),
        outputs: ports(facts.outputs),
        ..facts
    }
}

/// Whether work is there and nothing was done since `before`.
pub fn stands_still(before: &Stats, now: &Stats) -> bool {
    now.running.saturating_add(now.waiting) > 0
        && before.running.saturating_add(before.waiting) > 0
        && now.steps == before.steps
}

#[cfg(test)]
mod tests {
    use weighbridge_inference_wire::{Embed, FinishReason, Rerank, TokenChance, Usage};

    use super::*;

    fn text(choice: u32) -> Event {
        Event::Text { choice, text: "a".to_owned(), thought: false, chances: Vec::new() }
    }

    fn finished(choice: u32) -> Event {
        Event::Finished { choice, reason: FinishReason::Stop }
    }

    const DONE: Event = Event::Done {
        usage: Usage {
            prompt_tokens: 0,
            cached_tokens: 0,
            completion_tokens: 0,
            thought_tokens: 0,
            queue_us: 0,
            prefill_us: 0,
            decode_us: 0,
        },
    };

    #[test]
    fn answers_come_while_they_are_open() {
        let mut law = Law { kind: Kind::Generate, open: vec![true, true], scored: false, given: false };
        assert!(law.hold(&text(0)).is_ok() && law.hold(&text(1)).is_ok());
        assert!(law.hold(&text(2)).is_err() && law.hold(&finished(9)).is_err());
        assert!(law.hold(&finished(0)).is_ok() && law.hold(&DONE).is_err());
        assert!(law.hold(&text(0)).is_err() && law.hold(&finished(0)).is_err());
        assert!(law.hold(&finished(1)).is_ok() && law.hold(&DONE).is_ok());
    }

    #[test]
    fn chances_come_where_they_were_asked_for() {
        let chance =
            TokenChance { token: 1, text: String::new(), bytes: Vec::new(), logprob: 0.0, likeliest: Vec::new() };
        let scored = Event::Text { choice: 0, text: String::new(), thought: false, chances: vec![chance] };
        let law = |scored| Law { kind: Kind::Generate, open: vec![true], scored, given: false };
        assert!(law(true).hold(&scored).is_ok() && law(false).hold(&scored).is_err());
    }

    #[test]
    fn what_is_not_a_workers_to_tell_is_its_own_failure() {
        for kind in [FailureKind::Revoked, FailureKind::Limited] {
            let failure = Failure { kind, message: "you may not".to_owned(), field: None };
            assert_eq!(shown(failure).kind, FailureKind::Internal);
        }
    }

    #[test]
    fn each_kind_of_work_has_its_own_answer_once() {
        let texts = vec!["a".to_owned()];
        let mut embed = Law::of(&Work::Embed(Embed {
            texts: texts.clone(),
            tokens: Vec::new(),
            dimensions: None,
            truncate: false,
        }));
        let vectors = Event::Vectors { size: 1, data: String::new() };
        assert!(embed.hold(&DONE).is_err() && embed.hold(&text(0)).is_err());
        assert!(embed.hold(&vectors).is_ok() && embed.hold(&vectors).is_err() && embed.hold(&DONE).is_ok());
        let mut rerank = Law::of(&Work::Rerank(Rerank { query: String::new(), documents: texts }));
        assert!(rerank.hold(&Event::Scores { scores: vec![0.0; 2] }).is_err());
        assert!(rerank.hold(&Event::Scores { scores: vec![0.0] }).is_ok());
    }

    #[test]
    fn texts_are_bounded() {
        let mut law = Law { kind: Kind::Generate, open: vec![true], scored: false, given: false };
        let long = Event::Text { choice: 0, text: "x".repeat(TEXT_BYTES_MAX + 1), thought: false, chances: Vec::new() };
        assert!(law.hold(&long).is_err());
        assert_eq!(words(&"\u{1b}[2J".repeat(1000)).chars().count(), WORDS_MAX);
        assert!(!words("\u{1b}[2J\n").contains(char::is_control));
    }

    #[test]
    fn standing_still_needs_work() {
        let busy = Stats { running: 1, steps: 5, ..Stats::default() };
        assert!(stands_still(&busy, &busy));
        assert!(!stands_still(&busy, &Stats { steps: 6, ..busy }));
        assert!(!stands_still(&Stats::default(), &Stats::default()));
        assert!(!stands_still(&Stats { steps: 5, ..Stats::default() }, &busy), "only just begun");
    }
}
