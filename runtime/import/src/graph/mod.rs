//! The ONNX graph: what the importer writes of the format, and nothing else.

mod attention;
mod build;
mod encoder;
mod proto;
mod writer;

pub(crate) use build::build;
pub(crate) use encoder::build as build_encoder;

use crate::weights::Extent;

/// Domain of our operators.
pub(crate) const DOMAIN: &str = "weighbridge";
/// Domain of ONNX Runtime's own operators.
pub(crate) const MICROSOFT: &str = "com.microsoft";

/// A graph in the making.
#[derive(Default)]
pub(crate) struct Graph {
    nodes: Vec<Node>,
    initialisers: Vec<Initialiser>,
}

/// One operator.
pub(crate) struct Node {
    op: &'static str,
    domain: &'static str,
    inputs: Vec<String>,
    outputs: Vec<String>,
    attributes: Vec<(&'static str, Attribute)>,
}

/// An attribute's value.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Attribute {
    Int(i64),
    Float(f32),
    Text(&'static str),
}

/// Element types the graph uses (`TensorProto.DataType`).
#[derive(Debug, Clone, Copy)]
pub(crate) enum Element {
    Float = 1,
    Bytes = 2,
    Int64 = 7,
}

struct Initialiser {
    name: String,
    element: Element,
    dims: Vec<u64>,
    extent: Extent,
}

impl Graph {
    fn node(&mut self, node: Node) {
        self.nodes.push(node);
    }

    /// Names a tensor in the weights file.
    fn initialiser(&mut self, name: &str, element: Element, dims: &[u64], extent: Extent) -> String {
        self.initialisers.push(Initialiser { name: name.to_owned(), element, dims: dims.to_vec(), extent });
        name.to_owned()
    }
}
