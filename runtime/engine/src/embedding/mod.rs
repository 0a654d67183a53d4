//! Texts as vectors, and pairs of texts as scores.
//!
//! The arithmetic stands behind [`TensorModel`] for graphs that want texts of
//! one length: there, texts of like length share a batch, so that little is
//! padded. Behind [`EncoderModel`] nothing is padded, and texts of several
//! callers share a batch ([`Queue`]).

mod pooling;
mod queue;
mod reader;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use weighbridge_inference_wire::{Embed, Event, Failure, FailureKind, Rerank, Usage};

pub use pooling::{Activation, Pooling, Settings, normalise, pool};
pub use queue::{Bounds, EncoderModel, Queue, Read, Texts};
pub use reader::{Reader, Row, Rules, Wanted, Work};

use crate::failure::{failed, invalid, model};
use crate::model::StepError;
use crate::text::Text;

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
    reader: Reader,
    settings: Settings,
    /// Most tokens in a batch, padding included.
    batch_tokens: usize,
}

impl<M: TensorModel> Embedder<M> {
    /// With `batch_tokens` tokens at once at most, unless one text has more.
    pub fn new(model: M, text: std::sync::Arc<Text>, settings: Settings, batch_tokens: usize) -> Self {
        let reader = Reader::new(text, settings.tokens_max, Rules::default());
        Self { model, reader, settings, batch_tokens: batch_tokens.max(1) }
    }

    /// Vectors of all texts, and what it took.
    ///
    /// # Errors
    /// Texts that are too many or too long, a model that fails.
    pub fn embed(&mut self, request: &Embed) -> Result<(Event, Usage), Failure> {
        let rows = self.reader.texts(request)?;
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
        let rows = self.reader.pairs(request)?;
        let usage = usage(&rows);
        let activation = self.settings.activation;
        let scores = self.vectors(rows)?.iter().map(|vector| activation.score(vector)).collect::<Option<Vec<f32>>>();
        let scores = scores.ok_or_else(|| model("the model gives no score for a pair; it is no reranker"))?;
        Ok((Event::Scores { scores }, usage))
    }

    /// One vector per row, in the order of the request.
    fn vectors(&mut self, rows: Vec<Row>) -> Result<Vec<Vec<f32>>, Failure> {
        let mut vectors = vec![Vec::new(); rows.len()];
        let mut rows: Vec<(usize, Row)> = rows.into_iter().enumerate().collect();
        rows.sort_by_key(|(_, row)| std::cmp::Reverse(row.tokens.len()));
        let mut rest = rows.as_slice();
        while let Some((_, longest)) = rest.first() {
            let columns = longest.tokens.len().max(1);
            let (now, later) = rest.split_at((self.batch_tokens / columns).clamp(1, rest.len()));
            rest = later;
            let batch = batch(now, columns, self.settings.padding);
            let hidden = self.model.run(&batch).map_err(|error| failure(&error))?;
            let pooled = pool(&hidden, &batch, self.settings.pooling)
                .ok_or_else(|| model(format!("the model's output has the shape {:?}", hidden.shape)))?;
            for ((place, _), vector) in now.iter().zip(pooled) {
                if vector.iter().any(|number| !number.is_finite()) {
                    return Err(model(DAMAGED));
                }
                if let Some(place) = vectors.get_mut(*place) {
                    *place = vector;
                }
            }
        }
        Ok(vectors)
    }
}

/// Said where a model makes infinities.
const DAMAGED: &str = "the model's output has values that are not numbers; it is damaged";

/// A run that failed, in words for the caller.
fn failure(error: &StepError) -> Failure {
    let memory = matches!(error, StepError::Memory { .. });
    failed(if memory { FailureKind::Busy } else { FailureKind::Model }, error.to_string())
}

fn usage(rows: &[Row]) -> Usage {
    let tokens = rows.iter().map(|row| row.tokens.len()).sum::<usize>();
    Usage { prompt_tokens: u32::try_from(tokens).unwrap_or(u32::MAX), ..Usage::default() }
}

fn batch(rows: &[(usize, Row)], columns: usize, padding: u32) -> TokenBatch {
    let mut batch = TokenBatch { rows: rows.len(), columns, tokens: Vec::new(), mask: Vec::new(), types: Vec::new() };
    for (_, row) in rows {
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
    check_size(size, vectors.first().map_or(0, Vec::len))?;
    vectors.iter_mut().for_each(|vector| vector.truncate(size));
    Ok(())
}

fn check_size(size: usize, whole: usize) -> Result<(), Failure> {
    if size == 0 || size > whole {
        return Err(invalid("dimensions", format!("`dimensions` is {size}; the model gives 1 to {whole}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
