//! Text to tokens and back.
//!
//! A tokenizer file is an attacker's program: regular expressions, rewriting
//! rules, padding. What could grow text or time is bounded or refused when it
//! is loaded ([`Text::load`]); what remains (a pre-tokenizer whose regular
//! expression backtracks up to the limit of `fancy-regex` at each character)
//! costs time in this model's worker alone, and prompts are refused by their
//! bytes before they are tokenized.

mod check;
mod detokenize;
mod guard;
mod listed;
mod pieces;
mod read;
mod settings;
mod size;

use std::time::{Duration, Instant};

use tokenizers::{AddedToken, Model, Tokenizer};
use weighbridge_inference_wire::{Failure, Sampling};

pub use detokenize::{Detokenizer, Utf8};

use crate::failure::{guarded, model, said};
use guard::{Guard, SEAM, is_mark};
use pieces::Pieces;

/// Largest tokenizer file: twice the largest in common use.
const TOKENIZER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most tokens: four times the largest vocabulary in common use.
const VOCABULARY_MAX: usize = 1 << 20;
/// A good tokenizer reads the probes in 2 ms.
const PROBE_TIME_MAX: Duration = Duration::from_secs(2);

/// The files a model's text is made with.
#[derive(Debug, Clone, Copy, Default)]
pub struct TextFiles<'a> {
    /// `tokenizer.json`.
    pub tokenizer: &'a [u8],
    /// `tokenizer_config.json`.
    pub config: Option<&'a [u8]>,
    /// `generation_config.json` or `genai_config.json`.
    pub generation: Option<&'a [u8]>,
}

/// A model's tokenizer and what its settings say of text.
pub struct Text {
    tokenizer: Tokenizer,
    pieces: Option<Pieces>,
    longest: usize,
    trailing: usize,
    guard: Guard,
    ends: Vec<u32>,
    leading: Option<String>,
    ending: Option<String>,
    template: Option<String>,
    sampling: Sampling,
}

impl Text {
    /// Reads and checks the files of a model whose logits have `vocabulary`
    /// numbers.
    ///
    /// # Errors
    /// [`FailureKind::Model`] for files that are damaged, too large or hostile.
    pub fn load(files: &TextFiles<'_>, vocabulary: usize) -> Result<Self, Failure> {
        if files.tokenizer.len() > TOKENIZER_BYTES_MAX {
            let size = files.tokenizer.len();
            return Err(model(format!("the tokenizer has {size} bytes; at most {TOKENIZER_BYTES_MAX} are read")));
        }
        let head = check::head(files.tokenizer)?;
        let mut tokenizer = guarded(|| read::tokenizer(files.tokenizer, head.model.kind.as_deref()))
            .and_then(|read| read)
            .map_err(|why| model(format!("the tokenizer cannot be read: {why}")))?;
        // Both may name any length.
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|why| model(said(why)))?;
        let size = size(&tokenizer);
        if size == 0 || size > VOCABULARY_MAX || vocabulary > VOCABULARY_MAX {
            return Err(model(format!("the tokenizer has {size} tokens; 1 to {VOCABULARY_MAX} are read")));
        }
        let pieces = Pieces::read(&tokenizer, files.tokenizer, head.decoder.as_ref(), vocabulary);
        let settings = settings::read(files, &tokenizer, vocabulary)?;
        let longest = pieces.as_ref().map_or_else(|| longest(&tokenizer, size), Pieces::longest);
        let guard = Guard::new(steering(&tokenizer, &settings.ends));
        let mut text = Self {
            tokenizer,
            pieces,
            longest,
            trailing: 0,
            guard,
            ends: settings.ends,
            leading: settings.leading,
            ending: settings.ending,
            template: settings.template,
            sampling: settings.sampling,
        };
        text.probe()?;
        text.trailing = text.count_trailing()?;
        Ok(text)
    }

    /// How many tokens follow the last of a text's own.
    fn count_trailing(&self) -> Result<usize, Failure> {
        let (bare, wrapped) = (self.encode("a", false)?, self.encode("a", true)?);
        let before = wrapped.windows(bare.len().max(1)).position(|window| window == bare).unwrap_or(0);
        Ok(wrapped.len().saturating_sub(before + bare.len()))
    }

    /// Refuses a tokenizer that is slow on simple text.
    fn probe(&self) -> Result<(), Failure> {
        let started = Instant::now();
        for part in ["a", " ", "\n", "1", "ab 1", "é", "aA", "\t "] {
            self.encode(&part.repeat(512), false)?;
            if started.elapsed() > PROBE_TIME_MAX {
                return Err(model(format!(
                    "the tokenizer needs over {PROBE_TIME_MAX:?} for a few lines; its regular expressions are hostile or broken"
                )));
            }
        }
        Ok(())
    }

    /// Tokens of `text`; `leading` adds what the model wants before and after
    /// every text.
    ///
    /// # Errors
    /// [`FailureKind::Model`] if the tokenizer breaks on it.
    pub fn encode(&self, text: &str, leading: bool) -> Result<Vec<u32>, Failure> {
        guarded(|| self.tokenizer.encode_fast(text, leading))
            .and_then(|encoded| encoded.map_err(said))
            .map(|encoded| encoded.get_ids().to_vec())
            .map_err(|why| model(format!("the tokenizer fails on the text: {why}")))
    }

    /// Tokens of `first` and `second` as the model wants pairs, and which of
    /// the two each token belongs to.
    ///
    /// # Errors
    /// [`FailureKind::Model`] if the tokenizer breaks on it.
    pub fn encode_pair(&self, first: &str, second: Option<&str>) -> Result<(Vec<u32>, Vec<u32>), Failure> {
        let encoded = guarded(|| match second {
            Some(second) => self.tokenizer.encode_fast((first, second), true),
            None => self.tokenizer.encode_fast(first, true),
        });
        encoded
            .and_then(|encoded| encoded.map_err(said))
            .map(|encoded| (encoded.get_ids().to_vec(), encoded.get_type_ids().to_vec()))
            .map_err(|why| model(format!("the tokenizer fails on the text: {why}")))
    }

    /// Tokens that the model wants behind every text.
    pub(crate) fn trailing(&self) -> usize {
        self.trailing
    }

    /// `text` such that [`Text::encode_guarded`] reads no token in it that is
    /// special, ends an answer or marks a turn.
    #[must_use]
    pub fn guard(&self, text: &str) -> String {
        self.guard.apply(text)
    }

    /// Tokens of a rendered template: special tokens are read where the
    /// template wrote them and nowhere that [`Text::guard`] touched.
    ///
    /// # Errors
    /// As [`Text::encode`].
    pub fn encode_guarded(&self, text: &str) -> Result<Vec<u32>, Failure> {
        let mut tokens = Vec::new();
        for part in text.split(SEAM).filter(|part| !part.is_empty()) {
            tokens.extend(self.encode(part, false)?);
        }
        Ok(tokens)
    }

    /// `text` without the traces of [`Text::guard`].
    #[must_use]
    pub fn unguarded(text: &str) -> String {
        text.replace(SEAM, "")
    }

    /// Whether tokens can be turned into text one by one.
    #[must_use]
    pub fn writes(&self) -> bool {
        self.pieces.is_some()
    }

    /// Bytes of a token, special or not; nothing for numbers no token has.
    #[must_use]
    pub fn bytes(&self, token: u32) -> &[u8] {
        self.pieces.as_ref().map_or(&[], |pieces| pieces.bytes(token))
    }

    /// Whether a token steers rather than says something.
    #[must_use]
    pub fn is_special(&self, token: u32) -> bool {
        self.pieces.as_ref().is_some_and(|pieces| pieces.is_special(token))
    }

    pub(crate) fn pieces(&self) -> Option<&Pieces> {
        self.pieces.as_ref()
    }

    /// The token with exactly this text.
    #[must_use]
    pub fn token(&self, text: &str) -> Option<u32> {
        self.tokenizer.token_to_id(text)
    }

    /// Whether any token has this number.
    #[must_use]
    pub fn has(&self, token: u32) -> bool {
        self.tokenizer.id_to_token(token).is_some()
    }

    /// Tokens that end an answer.
    #[must_use]
    pub fn ends(&self) -> &[u32] {
        &self.ends
    }

    /// Text of the token before every text (`bos_token`).
    #[must_use]
    pub fn leading(&self) -> Option<&str> {
        self.leading.as_deref()
    }

    /// Text of the token after every text (`eos_token`).
    #[must_use]
    pub fn ending(&self) -> Option<&str> {
        self.ending.as_deref()
    }

    /// The chat template in `tokenizer_config.json`.
    #[must_use]
    pub fn template(&self) -> Option<&str> {
        self.template.as_deref()
    }

    /// The model's own way of drawing tokens.
    #[must_use]
    pub fn sampling(&self) -> &Sampling {
        &self.sampling
    }
}

/// Texts of tokens that steer the model.
fn steering(tokenizer: &Tokenizer, ends: &[u32]) -> Vec<String> {
    let added = tokenizer.get_added_vocabulary().get_added_tokens_decoder();
    let steers = |(id, token): &(&u32, &AddedToken)| token.special || ends.contains(id) || is_mark(&token.content);
    added.iter().filter(steers).map(|(_, token)| token.content.clone()).collect()
}

/// How many tokens there are; the library's own count copies all of them.
fn size(tokenizer: &Tokenizer) -> usize {
    let (model, added) = (tokenizer.get_model(), tokenizer.get_added_vocabulary());
    let further = added.get_added_tokens_decoder().keys().filter(|&&token| model.id_to_token(token).is_none());
    model.get_vocab_size() + further.count()
}

/// Bytes of the longest token.
fn longest(tokenizer: &Tokenizer, size: usize) -> usize {
    let tokens = 0..u32::try_from(size).unwrap_or(u32::MAX);
    tokens.filter_map(|token| tokenizer.id_to_token(token)).map(|text| text.len()).max().unwrap_or(0)
}

#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;
