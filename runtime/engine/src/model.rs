//! What a language model must do for the engine.

/// Sizes of a loaded model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Numbers in a row of logits.
    pub vocabulary: usize,
    /// Longest sequence, tokens.
    pub context_length: usize,
    /// Tokens a page of keys and values holds.
    pub page_tokens: usize,
    /// Pages there are.
    pub pages: usize,
    /// Whether sequences may read the same page. False for models that keep
    /// their own keys and values per sequence; pages then only count memory.
    pub shares_pages: bool,
}

/// New tokens of one sequence.
#[derive(Debug, Clone, Copy)]
pub struct Segment<'a> {
    /// Place of its first token in [`Batch::tokens`].
    pub first: usize,
    /// How many tokens.
    pub count: usize,
    /// Tokens of the sequence whose keys and values lie in the pages already.
    pub past: usize,
    /// Pages of the sequence in order, enough for `past + count` tokens. Those
    /// wholly below `past` may be shared and are only read.
    pub pages: &'a [u32],
    /// Which sequence; stable from its first step to [`LanguageModel::released`].
    pub sequence: u64,
}

/// One step for many sequences; nothing is padded.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// New tokens, segment after segment.
    pub tokens: &'a [u32],
    /// Whose they are.
    pub segments: &'a [Segment<'a>],
    /// Places in `tokens` whose logits are wanted, ascending.
    pub logit_rows: &'a [usize],
}

/// A step that could not be done. The sequences of the batch end with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StepError {
    /// Memory ran out; a smaller batch may fit.
    #[error("no memory for a step of {tokens} tokens; try again with less at once")]
    Memory {
        /// Tokens in the batch.
        tokens: usize,
    },
    /// The graph cannot do it.
    #[error("the model's graph failed: {0}")]
    Graph(String),
}

/// Computes logits and keeps keys and values in pages.
pub trait LanguageModel {
    /// Its sizes; the same at every call.
    fn shape(&self) -> Shape;

    /// Writes keys and values of all tokens and returns logits of the wanted
    /// rows, row after row, [`Shape::vocabulary`] numbers each.
    ///
    /// # Errors
    /// [`StepError`]; what the batch would have written is then undefined.
    fn step(&mut self, batch: &Batch<'_>) -> Result<&[f32], StepError>;

    /// The sequence is over or starts again from its first token.
    fn released(&mut self, _sequence: u64) {}
}

impl<M: LanguageModel + ?Sized> LanguageModel for Box<M> {
    fn shape(&self) -> Shape {
        (**self).shape()
    }

    fn step(&mut self, batch: &Batch<'_>) -> Result<&[f32], StepError> {
        (**self).step(batch)
    }

    fn released(&mut self, sequence: u64) {
        (**self).released(sequence);
    }
}
