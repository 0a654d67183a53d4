//! Imported models that read whole texts: one ragged batch per run, nothing
//! padded, nothing kept.

use std::sync::Arc;

use ort::session::{Session, SessionInputValue};
use ort::value::{DynValue, Shape as Dimensions, Tensor};
use weighbridge_engine::embedding::{Read, Texts};
use weighbridge_engine::{EncoderModel, StepError};
use weighbridge_import::{Manifest, Pooling, Task};

use crate::operators::{self, Segment, Shared};
use crate::session::{self, File, Threads};
use crate::{Library, OnnxError, initialisers};

/// An imported encoder, ready.
pub struct Encoder {
    session: Session,
    shared: Arc<Shared>,
    /// Number of a text's first position.
    first_position: i64,
    /// The graph asks which text of a pair a token is of.
    has_types: bool,
    /// The graph gives the rows of first tokens alone.
    gives_first: bool,
    /// `logits` or `last_hidden_state`.
    output: &'static str,
    /// Numbers of a row.
    size: usize,
    /// Of the last run: what was returned points into it.
    rows: Option<DynValue>,
}

impl Encoder {
    /// Opens `graph`, whose weights lie in `files`, as `manifest` describes it.
    ///
    /// # Errors
    /// [`OnnxError`].
    pub fn open(
        library: &Library,
        manifest: &Manifest,
        graph: &[u8],
        files: &[File<'_>],
        threads: usize,
    ) -> Result<Self, OnnxError> {
        let encoder = manifest.encoder.as_ref();
        let encoder = encoder.ok_or_else(|| OnnxError::Manifest("it describes no encoder".to_owned()))?;
        let (graph, weights) = initialisers::split(graph, &mut |tensor| session::bytes_of(tensor, files))?;
        let shared = Shared::new(threads, None, weights)?;
        let domain = operators::domain(&shared)?;
        // As for language models: ours are the threads that compute.
        let session = session::open_ours(library, &graph, Threads { count: 1, spin: false }, domain)?;
        let scores = encoder.task == Task::Rerank;
        let size = if scores { encoder.labels } else { manifest.hidden_size };
        Ok(Self {
            session,
            shared,
            first_position: i64::from(encoder.first_position),
            has_types: encoder.token_types > 1,
            gives_first: scores || encoder.pooling == Pooling::Cls,
            output: if scores { "logits" } else { "last_hidden_state" },
            size: usize::try_from(size).unwrap_or(usize::MAX),
            rows: None,
        })
    }

    fn run(&mut self, texts: &Texts<'_>) -> ort::Result<DynValue> {
        let length = |n: usize| i64::try_from(n).map_err(|_| ort::Error::new("the batch is too large"));
        let row = |numbers: Vec<i64>| -> ort::Result<SessionInputValue<'_>> {
            Ok(Tensor::from_array((Dimensions::new([1, length(numbers.len())?]), numbers))?.into())
        };
        let each = |numbers: &[u32]| numbers.iter().map(|n| i64::from(*n)).collect::<Vec<i64>>();
        let (mut positions, mut firsts) = (Vec::with_capacity(texts.tokens.len()), Vec::new());
        for count in texts.counts {
            firsts.push(length(positions.len())?);
            positions.extend((self.first_position..).take(*count));
        }
        let mut inputs = vec![("input_ids", row(each(texts.tokens))?), ("position_ids", row(positions)?)];
        if self.has_types {
            inputs.push(("token_type_ids", row(each(texts.types))?));
        }
        if self.gives_first {
            inputs.push(("rows", Tensor::from_array((Dimensions::new([length(firsts.len())?]), firsts))?.into()));
        }
        let mut outputs = self.session.run(inputs)?;
        let missing = || ort::Error::new(format!("it has no output `{}`", self.output));
        outputs.remove(self.output).ok_or_else(missing)
    }
}

impl EncoderModel for Encoder {
    fn size(&self) -> usize {
        self.size
    }

    fn read(&mut self, texts: &Texts<'_>) -> Result<Read<'_>, StepError> {
        let graph = |e: ort::Error| StepError::Graph(e.to_string());
        let counted = texts.counts.iter().try_fold(0_usize, |sum, count| sum.checked_add(*count));
        if counted != Some(texts.tokens.len()) || texts.types.len() != texts.tokens.len() {
            return Err(StepError::Graph("texts do not have as many tokens as were given".to_owned()));
        }
        {
            let mut state = self.shared.lock();
            state.segments.clear();
            let mut first = 0;
            for &count in texts.counts {
                state.segments.push(Segment { first, count, past: 0, pages: (0, 0) });
                first += count;
            }
        }
        self.rows = None;
        let value = self.run(texts).map_err(graph)?;
        let rows = if self.gives_first { texts.counts.len() } else { texts.tokens.len() };
        let (_, numbers) = self.rows.insert(value).try_extract_tensor::<f32>().map_err(graph)?;
        if numbers.len() != rows.saturating_mul(self.size) {
            let what = format!("it gives {} numbers for {rows} rows of {}", numbers.len(), self.size);
            return Err(StepError::Graph(what));
        }
        Ok(if self.gives_first { Read::Texts(numbers) } else { Read::Tokens(numbers) })
    }
}
