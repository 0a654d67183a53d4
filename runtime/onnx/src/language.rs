//! Imported language models: one ragged batch per step, keys and values in
//! pages.

use std::sync::Arc;

use ort::session::Session;
use ort::value::{DynValue, Shape as Dimensions, Tensor};
use weighbridge_engine::{Batch, LanguageModel, Shape, StepError};
use weighbridge_import::Manifest;
use weighbridge_kernels::{PAGE_TOKENS, StoreShape};

use crate::operators::{self, Segment, Shared};
use crate::session::{self, File, Threads};
use crate::{Library, OnnxError, initialisers};

/// How a model is to be run.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Threads that compute.
    pub threads: usize,
    /// Most bytes for keys and values; memory is taken as it is used.
    pub cache_bytes: u64,
    /// Longest sequence, tokens; the model's own limit when absent.
    pub context_length: Option<usize>,
}

/// An imported language model, ready.
pub struct Language {
    session: Session,
    shared: Arc<Shared>,
    shape: Shape,
    /// Of the last step: what was returned points into it.
    logits: Option<DynValue>,
}

impl Language {
    /// Opens `graph`, whose weights lie in `files`, as `manifest` describes it.
    ///
    /// # Errors
    /// [`OnnxError`].
    pub fn open(
        library: &Library,
        manifest: &Manifest,
        graph: &[u8],
        files: &[File<'_>],
        setting: Setting,
    ) -> Result<Self, OnnxError> {
        let size = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        let mut store = StoreShape {
            layers: size(manifest.layers),
            kv_heads: size(manifest.kv_heads),
            head_size: size(manifest.head_size),
            pages: 1,
        };
        let page = store.page_bytes()?;
        let most = usize::try_from(setting.cache_bytes).unwrap_or(usize::MAX) / page.max(1);
        let context = size(manifest.context_length).min(setting.context_length.unwrap_or(usize::MAX));
        // Pages are numbered by 32 bits.
        store.pages = most.min(u32::MAX as usize);
        if store.pages == 0 {
            let reason = format!("one page of keys and values takes {page} bytes, more than all that may be used");
            return Err(OnnxError::Manifest(reason));
        }
        let (graph, weights) = initialisers::split(graph, &mut |tensor| session::bytes_of(tensor, files))?;
        let shared = Shared::new(setting.threads, Some(store), weights)?;
        let domain = operators::domain(&shared)?;
        // The operators bring their own threads; those of ONNX Runtime would
        // compete with them.
        let threads = Threads { count: 1, spin: false };
        let session = session::open_ours(library, &graph, threads, domain)?;
        let shape = Shape {
            vocabulary: size(manifest.vocabulary_size),
            context_length: context.min(store.pages.saturating_mul(PAGE_TOKENS)),
            page_tokens: PAGE_TOKENS,
            pages: store.pages,
            shares_pages: true,
        };
        Ok(Self { session, shared, shape, logits: None })
    }
}

impl LanguageModel for Language {
    fn shape(&self) -> Shape {
        self.shape
    }

    fn step(&mut self, batch: &Batch<'_>) -> Result<&[f32], StepError> {
        {
            let mut state = self.shared.lock();
            let state = &mut *state;
            state.pages.clear();
            state.segments.clear();
            for s in batch.segments {
                let first = state.pages.len();
                state.pages.extend_from_slice(s.pages);
                let pages = (first, state.pages.len());
                state.segments.push(Segment { first: s.first, count: s.count, past: s.past, pages });
            }
        }
        self.logits = None;
        let value = run(&mut self.session, batch).map_err(|e| StepError::Graph(e.to_string()))?;
        let rows = batch.logit_rows.len();
        let (_, logits) =
            self.logits.insert(value).try_extract_tensor::<f32>().map_err(|e| StepError::Graph(e.to_string()))?;
        if logits.len() != rows.saturating_mul(self.shape.vocabulary) {
            let what = format!("it gives {} logits for {rows} rows of {}", logits.len(), self.shape.vocabulary);
            return Err(StepError::Graph(what));
        }
        Ok(logits)
    }
}

fn run(session: &mut Session, batch: &Batch<'_>) -> ort::Result<DynValue> {
    let length = |n: usize| i64::try_from(n).map_err(|_| ort::Error::new("the batch is too large"));
    let tokens: Vec<i64> = batch.tokens.iter().map(|t| i64::from(*t)).collect();
    let rows: Result<Vec<i64>, _> = batch.logit_rows.iter().map(|r| length(*r)).collect();
    let rows = rows?;
    let tokens = Tensor::from_array((Dimensions::new([1, length(tokens.len())?]), tokens))?;
    let rows = Tensor::from_array((Dimensions::new([length(rows.len())?]), rows))?;
    let mut outputs = session.run(ort::inputs!["input_ids" => tokens, "logit_rows" => rows])?;
    outputs.remove("logits").ok_or_else(|| ort::Error::new("it has no output `logits`"))
}
