//! Our operators (domain `weighbridge`, version 1), in process and never
//! loaded. Each is a thin layer over `weighbridge-kernels`; what they share
//! between steps is in [`Shared`].

mod add_norm;
mod attention;
mod embed;
mod feed_forward;
mod mat_mul;
mod segment_attention;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ort::operator::{ComputeContext, KernelContext, OperatorDomain};
use ort::value::ValueRef;
use weighbridge_kernels::{Activation, Isa, KernelError, Layout, PageStore, Pool, Scratch, StoreShape};

use crate::OnnxError;
use crate::initialisers::Packed;

/// What the operators of one model share: threads, working memory, keys and
/// values, and whose tokens a step has. ONNX Runtime runs them one after the
/// other, so nobody waits for the lock.
pub(crate) struct Shared {
    state: Mutex<State>,
    weights: Packed,
}

pub(crate) struct State {
    pub pool: Pool,
    pub isa: Isa,
    pub scratch: Scratch,
    /// None for models that read whole texts.
    pub store: Option<PageStore>,
    pub segments: Vec<Segment>,
    /// Pages of all segments, one after the other.
    pub pages: Vec<u32>,
}

/// Whose tokens they are, by place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Segment {
    pub first: usize,
    pub count: usize,
    pub past: usize,
    /// Its pages in [`State::pages`].
    pub pages: (usize, usize),
}

impl Shared {
    pub fn new(threads: usize, store: Option<StoreShape>, weights: Packed) -> Result<Arc<Self>, OnnxError> {
        let state = State {
            pool: Pool::new(threads)?,
            isa: Isa::detect(),
            scratch: Scratch::default(),
            store: store.map(PageStore::new).transpose()?,
            segments: Vec::new(),
            pages: Vec::new(),
        };
        Ok(Arc::new(Self { state: Mutex::new(state), weights }))
    }

    /// The packed weights that are the second input of a node.
    fn weights_of(&self, node: &KernelContext<'_>) -> ort::Result<&'static [u8]> {
        let inputs = node.inputs()?;
        let name = inputs.get(1).map(|i| i.name()).unwrap_or_default();
        let found = self.weights.get(name).copied();
        found.ok_or_else(|| ort::Error::new(format!("the packed weights `{name}` are not there")))
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The domain with all operators.
pub(crate) fn domain(shared: &Arc<Shared>) -> Result<Arc<OperatorDomain>, OnnxError> {
    let domain = OperatorDomain::new("weighbridge")
        .and_then(|d| d.add(embed::Embed(Arc::clone(shared))))
        .and_then(|d| d.add(mat_mul::MatMul(Arc::clone(shared))))
        .and_then(|d| d.add(feed_forward::GatedFeedForward(Arc::clone(shared))))
        .and_then(|d| d.add(attention::Attention(Arc::clone(shared))))
        .and_then(|d| d.add(segment_attention::SegmentAttention(Arc::clone(shared))))
        .and_then(|d| d.add(add_norm::AddNorm(Arc::clone(shared))));
    domain.map(Arc::new).map_err(OnnxError::graph)
}

/// An attribute that is a size.
fn size(node: &KernelContext<'_>, name: &str) -> ort::Result<usize> {
    let value: i64 = node.get(name).ok_or_else(|| missing("attribute", name))?;
    usize::try_from(value).map_err(|_| ort::Error::new(format!("attribute `{name}` is {value}, which is no size")))
}

fn float(node: &KernelContext<'_>, name: &str, absent: f32) -> f32 {
    node.get(name).unwrap_or(absent)
}

fn layout(node: &KernelContext<'_>) -> ort::Result<Layout> {
    let name: String = node.get("layout").ok_or_else(|| missing("attribute", "layout"))?;
    Layout::from_name(&name).map_err(kernel)
}

fn activation(name: &str) -> ort::Result<Activation> {
    Activation::from_name(name).ok_or_else(|| ort::Error::new(format!("activation `{name}` is not known")))
}

fn input<'c>(context: &'c ComputeContext, index: usize, name: &str) -> ort::Result<ValueRef<'c>> {
    context.input(index)?.ok_or_else(|| missing("input", name))
}

fn missing(what: &str, name: &str) -> ort::Error {
    ort::Error::new(format!("{what} `{name}` is missing"))
}

fn kernel(error: KernelError) -> ort::Error {
    ort::Error::new(error.to_string())
}

/// A length as ONNX counts.
fn dimension(n: usize) -> ort::Result<i64> {
    i64::try_from(n).map_err(|_| ort::Error::new("a dimension is too large"))
}
