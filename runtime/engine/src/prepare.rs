//! From a request to what the scheduler needs, away from the scheduler.
//!
//! Tokenizing a long prompt or compiling a schema takes milliseconds to
//! seconds; [`Prepare`] can be shared with another thread, so that running
//! answers do not wait for it.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;
use weighbridge_inference_wire::{Chat, Constraint, Facts, Failure, FailureKind, Generate, Prompt, ToolChoice};

use crate::answer::{Answer, Split, Stops};
use crate::constrain::{Grammar, Grammars, is_deep};
use crate::failure::{failed, invalid};
use crate::model::Shape;
use crate::sample::{Sampler, seed_of_choice};
use crate::template::Template;
use crate::text::{Detokenizer, Text};
use crate::tools::{self, CallFormat};

/// Most answers to one request.
const CHOICES_MAX: u32 = 128;
/// Most likely tokens named at one place.
const LOGPROBS_MAX: u32 = 64;

/// Turns requests into sequences.
pub struct Prepare {
    text: Arc<Text>,
    template: Option<Template>,
    grammars: Grammars,
    vocabulary: usize,
    /// Most tokens of prompt and answer.
    room: usize,
    seeds: RandomState,
    count: AtomicU64,
}

/// A request whose prompt is tokens.
pub struct Prepared {
    pub(crate) tokens: Arc<[u32]>,
    /// Most tokens of prompt and answer together.
    pub(crate) length_max: usize,
    pub(crate) choices: Vec<Choice>,
    pub(crate) logprobs: Option<usize>,
    pub(crate) ignores_end: bool,
    pub(crate) scope: u64,
}

/// What one answer needs of its own.
#[derive(Clone)]
pub(crate) struct Choice {
    pub(crate) sampler: Sampler,
    pub(crate) grammar: Option<Grammar>,
    pub(crate) answer: Answer,
    pub(crate) detokenizer: Detokenizer,
}

/// How the prompt shapes the answer.
struct Opening {
    tokens: Vec<u32>,
    split: Split,
    shown: Vec<u32>,
    grammar: Option<Grammar>,
    continues: bool,
}

impl Prepare {
    /// For a model of this shape. `room` further limits prompt and answer.
    #[must_use]
    pub fn new(text: Arc<Text>, template: Option<Template>, shape: Shape, room: Option<usize>) -> Self {
        let pages = shape.pages.saturating_mul(shape.page_tokens);
        Self {
            grammars: Grammars::new(Arc::clone(&text), shape.vocabulary),
            vocabulary: shape.vocabulary,
            room: shape.context_length.min(pages).min(room.unwrap_or(usize::MAX)),
            text,
            template,
            seeds: RandomState::new(),
            count: AtomicU64::new(0),
        }
    }

    /// The tokenizer.
    #[must_use]
    pub fn text(&self) -> &Arc<Text> {
        &self.text
    }

    /// Fills in what this side knows of the model.
    pub fn describe(&self, facts: &mut Facts) {
        facts.generates = self.text.writes();
        facts.chats = self.template.is_some();
        facts.calls_tools = self.template.as_ref().is_some_and(|template| template.calls().is_some());
        facts.context_length = self.room;
        facts.vocabulary = self.vocabulary;
        facts.template = self.template.as_ref().map(|template| template.source().to_owned());
    }

    /// Checks a request and turns it into tokens and samplers.
    ///
    /// # Errors
    /// What is wrong with it, by field, or that it is too long.
    pub fn prepare(&self, request: Generate) -> Result<Prepared, Failure> {
        if !self.text.writes() {
            return Err(failed(
                FailureKind::Unsupported,
                "this model's tokenizer cannot write text; use it for embeddings or ranking",
            ));
        }
        if request.choices == 0 || request.choices > CHOICES_MAX {
            return Err(invalid("n", format!("`n` is {}; ask for 1 to {CHOICES_MAX} answers", request.choices)));
        }
        if let Some(count) = request.logprobs.filter(|&count| count > LOGPROBS_MAX) {
            return Err(invalid(
                "top_logprobs",
                format!("`top_logprobs` is {count}; at most {LOGPROBS_MAX} are named"),
            ));
        }
        let stops = Stops::new(&request.stop)?;
        let opening = self.open(&request)?;
        let length = opening.tokens.len();
        let length_max = self.length_max(length, request.max_tokens)?;
        let seed =
            request.sampling.seed.unwrap_or_else(|| self.seeds.hash_one(self.count.fetch_add(1, Ordering::Relaxed)));
        let first = Choice {
            sampler: Sampler::new(&request.sampling, self.text.sampling(), self.vocabulary, seed)?,
            grammar: opening.grammar,
            answer: Answer::new(stops, opening.split),
            detokenizer: Detokenizer::new(&self.text, opening.continues, &opening.shown),
        };
        let mut choices = Vec::new();
        for number in 0..request.choices {
            let seed = seed_of_choice(seed, number);
            let mut sampler = Sampler::new(&request.sampling, self.text.sampling(), self.vocabulary, seed)?;
            sampler.read(&opening.tokens);
            choices.push(Choice { sampler, ..first.clone() });
        }
        Ok(Prepared {
            tokens: opening.tokens.into(),
            length_max,
            choices,
            logprobs: request.logprobs.map(|count| count as usize),
            ignores_end: request.ignore_end,
            scope: request.scope,
        })
    }

    fn length_max(&self, length: usize, wanted: Option<u32>) -> Result<usize, Failure> {
        if length == 0 {
            return Err(invalid("prompt", "the prompt has no tokens; give at least one"));
        }
        if wanted == Some(0) {
            return Err(invalid("max_tokens", "`max_tokens` is 0; ask for at least 1"));
        }
        if length >= self.room {
            return Err(failed(
                FailureKind::TooLong,
                format!(
                    "the prompt has {length} tokens and the context {}; shorten it by {} or more",
                    self.room,
                    length - self.room + 1
                ),
            ));
        }
        let wanted = wanted.map_or(usize::MAX, |wanted| wanted as usize);
        Ok(length.saturating_add(wanted).min(self.room))
    }

    fn open(&self, request: &Generate) -> Result<Opening, Failure> {
        let plain = |tokens| {
            Ok(Opening {
                tokens,
                split: Split::plain(),
                shown: Vec::new(),
                grammar: self.grammars.constrain(&request.constraint)?,
                continues: true,
            })
        };
        match &request.prompt {
            Prompt::Tokens(tokens) => {
                if let Some(token) = tokens.iter().find(|&&token| token as usize >= self.vocabulary) {
                    let known = self.vocabulary;
                    return Err(invalid(
                        "prompt",
                        format!("token {token} is none; the model knows tokens below {known}"),
                    ));
                }
                if tokens.len() >= self.room {
                    self.length_max(tokens.len(), None)?;
                }
                plain(tokens.clone())
            }
            Prompt::Text(text) => {
                self.text.check(text, self.room)?;
                plain(self.known(self.text.encode(text, true)?)?)
            }
            Prompt::Chat(chat) => self.chat(chat, &request.constraint),
        }
    }

    fn chat(&self, chat: &Chat, constraint: &Constraint) -> Result<Opening, Failure> {
        let template = self.template.as_ref().ok_or_else(|| {
            failed(FailureKind::Unsupported, "this model has no chat template; use completions, or import it with one")
        })?;
        tools::check(&chat.tools, &chat.tool_choice)?;
        let mut calls = chat.messages.iter().flat_map(|message| &message.tool_calls);
        if calls.any(|call| is_deep(&call.arguments)) {
            return Err(invalid("messages", "arguments of a call are nested too deep; flatten them"));
        }
        if chat.template_variables.values().any(is_deep) {
            return Err(invalid("chat_template_kwargs", "a variable of the chat template is nested too deep"));
        }
        self.text.check_bytes(weight(chat), self.room)?;
        let prompt = template.render(chat, &self.text)?;
        self.text.check(&prompt, self.room)?;
        let tokens = self.known(self.text.encode_guarded(&prompt)?)?;

        let offered = !chat.tools.is_empty() && chat.tool_choice != ToolChoice::None;
        let format = if offered { template.calls() } else { None };
        let forced = match &chat.tool_choice {
            ToolChoice::Required => Some(None),
            ToolChoice::Named(name) => Some(Some(name.as_str())),
            ToolChoice::Auto | ToolChoice::None => None,
        };
        let grammar = match forced {
            Some(only) => {
                let format = format.ok_or_else(|| {
                    failed(FailureKind::Unsupported, "this model's chat template knows no tools; leave `tools` out")
                })?;
                let schemas: Vec<_> = chat.tools.iter().filter_map(|tool| tool.parameters.as_ref()).collect();
                Some(self.grammars.lark(tools::grammar(format, &chat.tools, only, &self.text), &schemas, "tools")?)
            }
            None => self.grammars.constrain(constraint)?,
        };
        let split = Split::new(template.thinks(), prompt.trim_end().ends_with("<think>"), format);
        let mut shown = format.map(|format: CallFormat| format.marks(&self.text)).unwrap_or_default();
        if template.thinks() {
            shown.extend(["<think>", "</think>"].iter().filter_map(|mark| self.text.token(mark)));
        }
        Ok(Opening { tokens, split, shown, grammar, continues: false })
    }

    /// Refuses tokens the graph has no rows for.
    fn known(&self, tokens: Vec<u32>) -> Result<Vec<u32>, Failure> {
        match tokens.iter().find(|&&token| token as usize >= self.vocabulary) {
            Some(token) => Err(crate::failure::model(format!(
                "the tokenizer gives token {token}, but the model knows tokens below {} only; the two do not belong together",
                self.vocabulary
            ))),
            None => Ok(tokens),
        }
    }
}

/// Bytes of all that a template may write.
fn weight(chat: &Chat) -> usize {
    let of = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let messages = chat.messages.iter().map(|message| {
        let calls = message.tool_calls.iter().map(|call| call.id.len() + call.name.len() + strings(&call.arguments));
        message.role.len()
            + message.content.len()
            + of(&message.name)
            + of(&message.tool_call_id)
            + calls.sum::<usize>()
    });
    let tools = chat
        .tools
        .iter()
        .map(|tool| tool.name.len() + of(&tool.description) + tool.parameters.as_ref().map_or(0, strings));
    let variables = chat.template_variables.iter().map(|(name, value)| name.len() + strings(value));
    messages.chain(tools).chain(variables).sum()
}

/// Bytes of all strings in `value`.
fn strings(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(strings).sum(),
        Value::Object(fields) => fields.iter().map(|(name, field)| name.len() + strings(field)).sum(),
        _ => 0,
    }
}
