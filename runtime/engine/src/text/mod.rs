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
mod pieces;
mod settings;

use std::time::{Duration, Instant};

use tokenizers::Tokenizer;
use weighbridge_inference_wire::{Failure, FailureKind, Sampling};

pub use detokenize::{Detokenizer, Utf8};

use crate::failure::{failed, guarded, model, said};
use pieces::Pieces;

/// Largest tokenizer file: twice the largest in common use.
const TOKENIZER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most tokens: four times the largest vocabulary in common use.
const VOCABULARY_MAX: usize = 1 << 20;
/// Longest token of use in bounding a prompt; longer ones are rules of lines.
const TOKEN_BYTES_MIN: usize = 16;
/// A good tokenizer reads the probes in 2 ms.
const PROBE_TIME_MAX: Duration = Duration::from_secs(2);
/// Breaks a special token's text in guarded text; a noncharacter.
const SEAM: char = '\u{FDD0}';

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
    specials: Vec<String>,
    special_firsts: Vec<char>,
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
        let mut tokenizer = guarded(|| Tokenizer::from_bytes(files.tokenizer))
            .and_then(|read| read.map_err(said))
            .map_err(|why| model(format!("the tokenizer cannot be read: {why}")))?;
        // Both may name any length.
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|why| model(said(why)))?;
        let size = tokenizer.get_vocab_size(true);
        if size == 0 || size > VOCABULARY_MAX || vocabulary > VOCABULARY_MAX {
            return Err(model(format!("the tokenizer has {size} tokens; 1 to {VOCABULARY_MAX} are read")));
        }
        let pieces = Pieces::read(&tokenizer, head.decoder.as_ref(), vocabulary);
        let specials = special_texts(&tokenizer);
        let settings = settings::read(files, &tokenizer, vocabulary)?;
        let longest = tokenizer.get_vocab(true).keys().map(String::len).max().unwrap_or(0).max(TOKEN_BYTES_MIN);
        let mut special_firsts: Vec<char> = specials.iter().filter_map(|special| special.chars().next()).collect();
        special_firsts.sort_unstable();
        special_firsts.dedup();
        let mut text = Self {
            tokenizer,
            pieces,
            longest,
            trailing: 0,
            specials,
            special_firsts,
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

    /// Refuses text that cannot fit `context_length` tokens, before the work of
    /// tokenizing it.
    ///
    /// # Errors
    /// [`FailureKind::TooLong`] with the numbers.
    pub fn check_bytes(&self, bytes: usize, context_length: usize) -> Result<(), Failure> {
        let most = self.bytes_of(context_length);
        if bytes <= most {
            return Ok(());
        }
        Err(failed(
            FailureKind::TooLong,
            format!(
                "the prompt has {bytes} bytes; no more than {most} can fit the context of {context_length} tokens; \
                 shorten it"
            ),
        ))
    }

    /// Most bytes that [`Text::check_bytes`] lets pass.
    pub(crate) fn bytes_of(&self, context_length: usize) -> usize {
        context_length.saturating_mul(self.longest)
    }

    /// Tokens that the model wants behind every text.
    pub(crate) fn trailing(&self) -> usize {
        self.trailing
    }

    /// `text` such that [`Text::encode_guarded`] reads no special token in it.
    #[must_use]
    pub fn guard(&self, text: &str) -> String {
        let mut guarded = String::with_capacity(text.len());
        for (at, character) in text.char_indices() {
            guarded.push(character);
            if !self.special_firsts.contains(&character) {
                continue;
            }
            let rest = text.get(at..).unwrap_or_default();
            if self.specials.iter().any(|special| rest.starts_with(special.as_str())) {
                guarded.push(SEAM);
            }
        }
        guarded
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

/// Texts of special tokens, longest first.
fn special_texts(tokenizer: &Tokenizer) -> Vec<String> {
    let added = tokenizer.get_added_tokens_decoder();
    let mut texts: Vec<String> = added
        .into_values()
        .filter(|token| token.special && token.content.chars().count() > 1)
        .map(|token| token.content)
        .collect();
    texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
    texts
}

#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;
