//! A plain evaluator of imported graphs: what each operator means, one number
//! after the other. It is the measure for faster implementations and for the
//! importer itself, never a way to serve a model.
//!
//! Believes the graph: feed it only what [`crate::import`] wrote. Keys and
//! values are kept in f32, so that implementations which keep f16 differ by
//! that.
#![expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "evaluates graphs of this crate's own making"
)]

mod attention;
mod ops;
mod proto;

use std::collections::HashMap;

pub use proto::{Attribute, Graph, Initialiser, Node};

/// What an evaluation stumbled over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReferenceError {
    /// The bytes are no graph of the importer's.
    #[error("the graph is malformed: {0}")]
    Graph(&'static str),
    /// A value, attribute or operator is missing.
    #[error("`{node}` lacks `{what}`")]
    Missing {
        /// The node.
        node: String,
        /// What it lacks.
        what: String,
    },
    /// A packed matrix does not unpack.
    #[error("`{tensor}` does not unpack")]
    Unpack {
        /// The tensor.
        tensor: String,
        /// Why.
        source: weighbridge_kernels::KernelError,
    },
}

/// A value on an edge: rows of equal length.
#[derive(Debug, Clone, Default)]
pub struct Matrix {
    /// Elements of one row.
    pub width: usize,
    /// Row-major.
    pub values: Vec<f32>,
}

impl Matrix {
    fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.width.max(1))
    }
}

/// One sequence being evaluated.
pub struct Session<'a> {
    graph: &'a Graph,
    weights: &'a [u8],
    store: HashMap<i64, attention::Store>,
}

impl<'a> Session<'a> {
    /// An empty sequence over `graph` and the bytes of its weights file.
    #[must_use]
    pub fn new(graph: &'a Graph, weights: &'a [u8]) -> Self {
        Self { graph, weights, store: HashMap::new() }
    }

    /// Appends `ids` and returns the logits of the positions `rows` among
    /// them.
    ///
    /// # Errors
    /// Graphs that are not the importer's.
    pub fn step(&mut self, ids: &[i64], rows: &[i64]) -> Result<Vec<Vec<f32>>, ReferenceError> {
        self.run(&HashMap::from([("input_ids", ids), ("logit_rows", rows)]), "logits")
    }

    /// Runs the graph of an encoder on one text, whose whole numbers go in by
    /// name, and returns the rows of `output`.
    ///
    /// # Errors
    /// Graphs that are not the importer's.
    pub fn run(&mut self, numbers: &HashMap<&str, &[i64]>, output: &str) -> Result<Vec<Vec<f32>>, ReferenceError> {
        let mut values: HashMap<&str, Matrix> = HashMap::new();
        for node in &self.graph.nodes {
            let call = ops::Call { node, graph: self.graph, weights: self.weights, values: &values, numbers };
            let outputs = match node.op.as_str() {
                "Embed" => vec![call.embed()?],
                "MatMul" => vec![call.mat_mul()?],
                "GatedFeedForward" => vec![call.gated_feed_forward()?],
                "Attention" => {
                    let layer = call.int("layer")?;
                    vec![attention::run(&call, self.store.entry(layer).or_default())?]
                }
                "SimplifiedLayerNormalization" => vec![call.norm(call.value(0)?, 1)?],
                "SkipSimplifiedLayerNormalization" => {
                    let sum = call.sum()?;
                    vec![call.norm(&sum, 2)?, Matrix::default(), Matrix::default(), sum]
                }
                "SegmentAttention" => vec![attention::within(&call)?],
                "AddNorm" => vec![call.add_norm()?],
                "Gather" => vec![call.gather()?],
                "Concat" => vec![call.concat()?],
                other => return Err(call.missing(other)),
            };
            for (name, value) in node.outputs.iter().zip(outputs).filter(|(name, _)| !name.is_empty()) {
                values.insert(name, value);
            }
        }
        let output = values.remove(output).ok_or(ReferenceError::Graph("the output is not made"))?;
        Ok(output.rows().map(<[f32]>::to_vec).collect())
    }
}
