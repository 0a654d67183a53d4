//! `ModelProto` and what is in it (onnx.proto, field numbers beside each).

use super::{Attribute, DOMAIN, Element, Graph, Initialiser, MICROSOFT, Node};
use crate::WEIGHTS_FILE;

/// `IR_VERSION` the graph is written in, and the operator sets it uses.
const IR_VERSION: u64 = 10;
const OPERATOR_SETS: &[(&str, u64)] = &[("", 21), (MICROSOFT, 1), (DOMAIN, 1)];

/// `TensorProto.DataLocation.EXTERNAL`.
const EXTERNAL: u64 = 1;
/// `AttributeProto.AttributeType`.
const ATTRIBUTE_FLOAT: u64 = 1;
const ATTRIBUTE_INT: u64 = 2;
const ATTRIBUTE_STRING: u64 = 3;

/// A message under construction.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        loop {
            let [low, ..] = value.to_le_bytes();
            value >>= 7;
            if value == 0 {
                self.0.push(low & 0x7f);
                return;
            }
            self.0.push(low | 0x80);
        }
    }

    fn int(mut self, field: u64, value: u64) -> Self {
        self.varint(field << 3);
        self.varint(value);
        self
    }

    fn float(mut self, field: u64, value: f32) -> Self {
        self.varint(field << 3 | 5);
        self.0.extend(value.to_le_bytes());
        self
    }

    fn bytes(mut self, field: u64, bytes: &[u8]) -> Self {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
        self
    }

    fn text(self, field: u64, text: &str) -> Self {
        self.bytes(field, text.as_bytes())
    }

    fn message(self, field: u64, inner: &Self) -> Self {
        self.bytes(field, &inner.0)
    }

    fn messages(self, field: u64, inner: impl IntoIterator<Item = Self>) -> Self {
        inner.into_iter().fold(self, |m, i| m.message(field, &i))
    }

    fn texts(self, field: u64, texts: &[String]) -> Self {
        texts.iter().fold(self, |m, t| m.text(field, t))
    }
}

/// A dimension of an input or output.
pub(super) enum Dim {
    Fixed(u64),
    Named(&'static str),
}

/// An input or output of the graph.
pub(super) struct Port {
    pub(super) name: &'static str,
    pub(super) element: Element,
    pub(super) dims: Vec<Dim>,
}

/// The bytes of `model.onnx`.
pub(super) fn model(graph: &Graph, name: &str, inputs: &[Port], outputs: &[Port]) -> Vec<u8> {
    let graph = Message::default()
        .messages(1, graph.nodes.iter().enumerate().map(|(n, node)| self::node(n, node)))
        .text(2, name)
        .messages(5, graph.initialisers.iter().map(tensor))
        .messages(11, inputs.iter().map(port))
        .messages(12, outputs.iter().map(port));
    let sets = OPERATOR_SETS.iter().map(|(domain, version)| Message::default().text(1, domain).int(2, *version));
    Message::default()
        .int(1, IR_VERSION)
        .text(2, env!("CARGO_PKG_NAME"))
        .text(3, env!("CARGO_PKG_VERSION"))
        .message(7, &graph)
        .messages(8, sets)
        .0
}

fn node(number: usize, node: &Node) -> Message {
    Message::default()
        .texts(1, &node.inputs)
        .texts(2, &node.outputs)
        .text(3, &format!("{number}.{}", node.op))
        .text(4, node.op)
        .messages(5, node.attributes.iter().map(|(name, value)| attribute(name, *value)))
        .text(7, node.domain)
}

fn attribute(name: &str, value: Attribute) -> Message {
    let m = Message::default().text(1, name);
    match value {
        Attribute::Float(f) => m.float(2, f).int(20, ATTRIBUTE_FLOAT),
        Attribute::Int(i) => m.int(3, i.cast_unsigned()).int(20, ATTRIBUTE_INT),
        Attribute::Text(s) => m.text(4, s).int(20, ATTRIBUTE_STRING),
    }
}

fn tensor(t: &Initialiser) -> Message {
    let entry = |key: &str, value: &str| Message::default().text(1, key).text(2, value);
    t.dims
        .iter()
        .fold(Message::default(), |m, d| m.int(1, *d))
        .int(2, t.element as u64)
        .text(8, &t.name)
        .message(13, &entry("location", WEIGHTS_FILE))
        .message(13, &entry("offset", &t.extent.offset.to_string()))
        .message(13, &entry("length", &t.extent.length.to_string()))
        .int(14, EXTERNAL)
}

fn port(p: &Port) -> Message {
    let dims = p.dims.iter().map(|d| match d {
        Dim::Fixed(n) => Message::default().int(1, *n),
        Dim::Named(name) => Message::default().text(2, name),
    });
    let shape = Message::default().messages(1, dims);
    let tensor = Message::default().int(1, p.element as u64).message(2, &shape);
    Message::default().text(1, p.name).message(2, &Message::default().message(1, &tensor))
}
