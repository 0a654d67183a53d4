//! Texts of requests as tokens, held against what the model can read.

use std::borrow::Cow;
use std::sync::Arc;

use weighbridge_inference_wire::{Embed, Failure, FailureKind, Rerank};

use crate::failure::{failed, invalid, model};
use crate::text::Text;

/// Most texts of one request.
const TEXT_COUNT_MAX: usize = 4096;

/// A text, or a pair of them, as tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// `input_ids`.
    pub tokens: Vec<u32>,
    /// `token_type_ids`: which text of a pair, as many as tokens.
    pub types: Vec<u32>,
}

/// A request as tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// Its texts, or pairs, in order; none is empty.
    pub rows: Vec<Row>,
    /// What becomes of them.
    pub wanted: Wanted,
}

/// What is to become of texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Vectors, of that many leading numbers if so.
    Vectors {
        /// [`Embed::dimensions`].
        dimensions: Option<u32>,
    },
    /// Scores.
    Scores,
}

/// What a model wants of texts beside their length.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Put before every text that becomes a vector.
    pub prompt: String,
    /// Texts are read in lower case.
    pub lowercases: bool,
    /// Tokens there are; any number for 0.
    pub vocabulary: u32,
    /// Types there are; any number for 0.
    pub types: u32,
    /// Scores pairs rather than making vectors.
    pub ranks: bool,
}

/// Turns texts into tokens; may be used on a thread of its own.
pub struct Reader {
    text: Arc<Text>,
    tokens_max: usize,
    rules: Rules,
}

impl Reader {
    /// For a model that reads `tokens_max` tokens at most.
    #[must_use]
    pub fn new(text: Arc<Text>, tokens_max: usize, rules: Rules) -> Self {
        Self { text, tokens_max, rules }
    }

    /// The longest text, tokens.
    #[must_use]
    pub fn tokens_max(&self) -> usize {
        self.tokens_max
    }

    /// What the model wants of texts.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Reads a request for vectors.
    ///
    /// # Errors
    /// Texts that are too many, too long or empty; a model that ranks.
    pub fn embed(&self, request: &Embed) -> Result<Work, Failure> {
        if self.rules.ranks {
            return Err(failed(FailureKind::Unsupported, "this model makes no vectors of texts"));
        }
        let wanted = Wanted::Vectors { dimensions: request.dimensions };
        Ok(Work { rows: self.each_has_tokens(self.texts(request)?)?, wanted })
    }

    /// Reads a request for scores.
    ///
    /// # Errors
    /// As [`Self::embed`]; a model that makes vectors.
    pub fn rerank(&self, request: &Rerank) -> Result<Work, Failure> {
        if !self.rules.ranks {
            return Err(failed(FailureKind::Unsupported, "this model ranks no documents"));
        }
        Ok(Work { rows: self.each_has_tokens(self.pairs(request)?)?, wanted: Wanted::Scores })
    }

    pub(super) fn texts(&self, request: &Embed) -> Result<Vec<Row>, Failure> {
        if request.tokens.is_empty() {
            checked(request.texts.iter().map(|text| self.tokenize(&self.prepared(text), None, request.truncate)))
        } else {
            checked(request.tokens.iter().map(|tokens| self.tokenized(tokens, request.truncate)))
        }
    }

    pub(super) fn pairs(&self, request: &Rerank) -> Result<Vec<Row>, Failure> {
        checked(request.documents.iter().map(|document| self.tokenize(&request.query, Some(document), true)))
    }

    /// As the model was taught to see texts.
    fn prepared<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let Rules { prompt, lowercases, .. } = &self.rules;
        match (prompt.is_empty(), lowercases) {
            (true, false) => Cow::Borrowed(text),
            (true, true) => Cow::Owned(text.to_lowercase()),
            (false, false) => Cow::Owned([prompt, text].concat()),
            (false, true) => Cow::Owned([prompt, text].concat().to_lowercase()),
        }
    }

    fn each_has_tokens(&self, rows: Vec<Row>) -> Result<Vec<Row>, Failure> {
        if rows.iter().any(|row| row.tokens.is_empty()) {
            return Err(invalid("input", "a text has no tokens; leave it out"));
        }
        Ok(rows)
    }

    /// A text that the caller has cut into tokens.
    fn tokenized(&self, tokens: &[u32], truncate: bool) -> Result<Row, Failure> {
        let most = self.tokens_max;
        if let Some(token) = tokens.iter().find(|token| !self.text.has(**token)) {
            return Err(invalid("input", format!("{token} is no token of this model")));
        }
        if tokens.len() > most && !truncate {
            let length = tokens.len();
            let text = format!("a text has {length} tokens and the model reads {most}; shorten it or ask to truncate");
            return Err(failed(FailureKind::TooLong, text));
        }
        let tokens: Vec<u32> = tokens.iter().copied().take(most).collect();
        self.fitting(Row { types: vec![0; tokens.len()], tokens })
    }

    fn tokenize(&self, first: &str, second: Option<&str>, truncate: bool) -> Result<Row, Failure> {
        let most = self.tokens_max;
        let bytes = first.len() + second.map_or(0, str::len);
        let cut;
        let (mut first, mut second) = (first, second);
        if let Err(failure) = self.text.check_bytes(bytes, most) {
            if !truncate {
                return Err(failure);
            }
            // Far more than can count is not even tokenized.
            cut = self.text.bytes_of(most);
            first = prefix(first, cut);
            second = second.map(|second| prefix(second, cut));
        }
        let (mut tokens, mut types) = self.text.encode_pair(first, second)?;
        if tokens.len() > most {
            if !truncate {
                let length = tokens.len();
                return Err(failed(
                    FailureKind::TooLong,
                    format!("a text has {length} tokens and the model reads {most}; shorten it or ask to truncate"),
                ));
            }
            // What the model wants at the end of every text stays there.
            let ends = self.text.trailing();
            let from = tokens.len() - ends.min(tokens.len());
            let tail = (tokens.split_off(from), types.split_off(from));
            tokens.truncate(most.saturating_sub(ends));
            types.truncate(most.saturating_sub(ends));
            tokens.extend(tail.0);
            types.extend(tail.1);
        }
        self.fitting(Row { tokens, types })
    }

    /// Refuses tokens that the tokenizer has and the model has not: a batch
    /// with them would fail for all who share it.
    fn fitting(&self, row: Row) -> Result<Row, Failure> {
        let Rules { vocabulary, types, .. } = self.rules;
        if vocabulary > 0 && row.tokens.iter().any(|token| *token >= vocabulary) {
            return Err(model(format!(
                "the tokenizer makes tokens beyond the model's {vocabulary}; they do not belong together"
            )));
        }
        if types > 0 && row.types.iter().any(|kind| *kind >= types) {
            return Err(model(format!("the tokenizer makes token types beyond the model's {types}")));
        }
        Ok(row)
    }
}

fn checked(rows: impl ExactSizeIterator<Item = Result<Row, Failure>>) -> Result<Vec<Row>, Failure> {
    let count = rows.len();
    if count == 0 || count > TEXT_COUNT_MAX {
        return Err(invalid("input", format!("{count} texts were given; give 1 to {TEXT_COUNT_MAX}")));
    }
    rows.collect()
}

fn prefix(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or_default()
}
