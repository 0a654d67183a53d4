//! Texts as vectors, and pairs of texts as scores.
//!
//! The arithmetic stands behind [`TensorModel`]. Texts of like length share a
//! batch, so that little is padded.

mod pooling;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use weighbridge_inference_wire::{Embed, Event, Failure, FailureKind, Rerank, Usage};

pub use pooling::{Activation, Pooling, Settings, normalise, pool};

use crate::failure::{failed, invalid, model};
use crate::model::StepError;
use crate::text::Text;

/// Most texts of one request.
const TEXT_COUNT_MAX: usize = 4096;

/// Tokens of several texts, padded to one length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenBatch {
    /// Texts.
    pub rows: usize,
    /// Tokens of each, padding included.
    pub columns: usize,
    /// `input_ids`, row after row.
    pub tokens: Vec<i64>,
    /// `attention_mask`: 1 for tokens, 0 for padding.
    pub mask: Vec<i64>,
    /// `token_type_ids`: which text of a pair.
    pub types: Vec<i64>,
}

/// What a model makes of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Hidden {
    /// `[rows, columns, size]`, or `[rows, size]` if it was pooled already.
    pub shape: Vec<usize>,
    /// Row-major.
    pub data: Vec<f32>,
}

/// Runs a graph that reads whole texts.
pub trait TensorModel {
    /// The main output for a batch.
    ///
    /// # Errors
    /// [`StepError`].
    fn run(&mut self, batch: &TokenBatch) -> Result<Hidden, StepError>;
}

/// Texts to vectors and scores with one model.
pub struct Embedder<M> {
    model: M,
    text: std::sync::Arc<Text>,
    settings: Settings,
    /// Most tokens in a batch, padding included.
    batch_tokens: usize,
}

/// A text as tokens, with its place in the request.
struct Row {
    place: usize,
    tokens: Vec<u32>,
    types: Vec<u32>,
}

impl<M: TensorModel> Embedder<M> {
    /// With `batch_tokens` tokens at once at most, unless one text has more.
    pub fn new(model: M, text: std::sync::Arc<Text>, settings: Settings, batch_tokens: usize) -> Self {
        Self { model, text, settings, batch_tokens: batch_tokens.max(1) }
    }

    /// Vectors of all texts, and what it took.
    ///
    /// # Errors
    /// Texts that are too many or too long, a model that fails.
    pub fn embed(&mut self, request: &Embed) -> Result<(Event, Usage), Failure> {
        let rows = if request.tokens.is_empty() {
            self.checked(request.texts.iter().map(|text| self.tokenize(text, None, request.truncate)))?
        } else {
            self.checked(request.tokens.iter().map(|tokens| self.tokenized(tokens, request.truncate)))?
        };
        let usage = usage(&rows);
        let mut vectors = self.vectors(rows)?;
        if let Some(size) = request.dimensions {
            shorten(&mut vectors, size as usize)?;
        }
        if self.settings.normalises {
            vectors.iter_mut().for_each(|vector| normalise(vector));
        }
        let size = vectors.first().map_or(0, Vec::len);
        let bytes: Vec<u8> = vectors.iter().flatten().flat_map(|number| number.to_le_bytes()).collect();
        let size = u32::try_from(size).map_err(|_| model("the model's vectors are too long"))?;
        Ok((Event::Vectors { size, data: STANDARD.encode(bytes) }, usage))
    }

    /// A score for each document, and what it took.
    ///
    /// # Errors
    /// As [`Embedder::embed`].
    pub fn rerank(&mut self, request: &Rerank) -> Result<(Event, Usage), Failure> {
        let rows = request.documents.iter().map(|document| self.tokenize(&request.query, Some(document), true));
        let rows = self.checked(rows)?;
        let usage = usage(&rows);
        let activation = self.settings.activation;
        let scores = self.vectors(rows)?.iter().map(|vector| activation.score(vector)).collect::<Option<Vec<f32>>>();
        let scores = scores.ok_or_else(|| model("the model gives no score for a pair; it is no reranker"))?;
        Ok((Event::Scores { scores }, usage))
    }

    fn checked(&self, rows: impl ExactSizeIterator<Item = Result<Row, Failure>>) -> Result<Vec<Row>, Failure> {
        let count = rows.len();
        if count == 0 || count > TEXT_COUNT_MAX {
            return Err(invalid("input", format!("{count} texts were given; give 1 to {TEXT_COUNT_MAX}")));
        }
        let rows: Result<Vec<Row>, Failure> = rows.collect();
        Ok(rows?.into_iter().enumerate().map(|(place, row)| Row { place, ..row }).collect())
    }

    /// A text that the caller has cut into tokens.
    fn tokenized(&self, tokens: &[u32], truncate: bool) -> Result<Row, Failure> {
        let most = self.settings.tokens_max;
        if let Some(token) = tokens.iter().find(|token| !self.text.has(**token)) {
            return Err(invalid("input", format!("{token} is no token of this model")));
        }
        if tokens.len() > most && !truncate {
            let length = tokens.len();
            let text = format!("a text has {length} tokens and the model reads {most}; shorten it or ask to truncate");
            return Err(failed(FailureKind::TooLong, text));
        }
        let tokens: Vec<u32> = tokens.iter().copied().take(most).collect();
        Ok(Row { place: 0, types: vec![0; tokens.len()], tokens })
    }

    fn tokenize(&self, first: &str, second: Option<&str>, truncate: bool) -> Result<Row, Failure> {
        let most = self.settings.tokens_max;
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
        Ok(Row { place: 0, tokens, types })
    }

    /// One vector per row, in the order of the request.
    fn vectors(&mut self, mut rows: Vec<Row>) -> Result<Vec<Vec<f32>>, Failure> {
        let mut vectors = vec![Vec::new(); rows.len()];
        rows.sort_by_key(|row| std::cmp::Reverse(row.tokens.len()));
        let mut rest = rows.as_slice();
        while let Some(longest) = rest.first() {
            let columns = longest.tokens.len().max(1);
            let (now, later) = rest.split_at((self.batch_tokens / columns).clamp(1, rest.len()));
            rest = later;
            let batch = batch(now, columns, self.settings.padding);
            let hidden = self.model.run(&batch).map_err(|error| {
                let memory = matches!(error, StepError::Memory { .. });
                failed(if memory { FailureKind::Busy } else { FailureKind::Model }, error.to_string())
            })?;
            let pooled = pool(&hidden, &batch, self.settings.pooling)
                .ok_or_else(|| model(format!("the model's output has the shape {:?}", hidden.shape)))?;
            for (row, vector) in now.iter().zip(pooled) {
                if vector.iter().any(|number| !number.is_finite()) {
                    return Err(model("the model's output has values that are not numbers; it is damaged"));
                }
                if let Some(place) = vectors.get_mut(row.place) {
                    *place = vector;
                }
            }
        }
        Ok(vectors)
    }
}

fn prefix(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or_default()
}

fn usage(rows: &[Row]) -> Usage {
    let tokens = rows.iter().map(|row| row.tokens.len()).sum::<usize>();
    Usage { prompt_tokens: u32::try_from(tokens).unwrap_or(u32::MAX), ..Usage::default() }
}

fn batch(rows: &[Row], columns: usize, padding: u32) -> TokenBatch {
    let mut batch = TokenBatch { rows: rows.len(), columns, tokens: Vec::new(), mask: Vec::new(), types: Vec::new() };
    for row in rows {
        let missing = columns.saturating_sub(row.tokens.len());
        let pad = |value: i64| std::iter::repeat_n(value, missing);
        batch.tokens.extend(row.tokens.iter().map(|&token| i64::from(token)).chain(pad(i64::from(padding))));
        batch.mask.extend(row.tokens.iter().map(|_| 1).chain(pad(0)));
        batch.types.extend(row.types.iter().map(|&kind| i64::from(kind)).chain(pad(0)));
    }
    batch
}

/// Keeps the leading numbers (Matryoshka).
fn shorten(vectors: &mut [Vec<f32>], size: usize) -> Result<(), Failure> {
    let whole = vectors.first().map_or(0, Vec::len);
    if size == 0 || size > whole {
        return Err(invalid("dimensions", format!("`dimensions` is {size}; the model gives 1 to {whole}")));
    }
    vectors.iter_mut().for_each(|vector| vector.truncate(size));
    Ok(())
}

#[cfg(test)]
mod tests;
