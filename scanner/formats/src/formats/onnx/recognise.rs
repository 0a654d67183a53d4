use crate::codec::protobuf::{Peek, PeekedValue, is_identifier, is_text};
use crate::core::{Confidence, Sniff};

/// Highest IR version taken for one; the current one is 14.
const IR_VERSION_MAX: u64 = 64;

/// ONNX has no signature: its first fields have to look like a `ModelProto`,
/// in whatever order, and the graph like a `GraphProto`.
pub fn recognise(sniff: &Sniff<'_>) -> Confidence {
    let named = sniff.name.has_extension(&["onnx"]);
    match Marks::of(sniff.head) {
        // A field that decoders step over may hide all others.
        Marks { foreign: true, ir_version: true, operator: true, opset: true, .. } => Confidence::Likely,
        Marks { foreign: true, .. } if named => Confidence::Plausible,
        Marks { foreign: true, .. } => Confidence::No,
        Marks { ir_version: true, graph: true, operator: true, .. } => Confidence::Certain,
        Marks { graph: true, opset: true, .. } | Marks { functions: true, opset: true, ir_version: true, .. } => {
            Confidence::Likely
        }
        Marks { ir_version: true, graph: true, .. } => Confidence::Likely,
        Marks { ir_version: true, texts: 2.., .. } if named => Confidence::Likely,
        Marks { ir_version: true, .. } | Marks { opset: true, .. } if named => Confidence::Plausible,
        _ => Confidence::No,
    }
}

/// What of a `ModelProto` was seen.
#[derive(Default)]
struct Marks {
    /// A field that no `ModelProto` has stands before the graph.
    foreign: bool,
    ir_version: bool,
    graph: bool,
    /// A node with an operator in that graph.
    operator: bool,
    opset: bool,
    functions: bool,
    texts: u32,
}

impl Marks {
    fn of(head: &[u8]) -> Self {
        let mut marks = Self::default();
        for field in Peek::new(head) {
            match (field.number, field.value) {
                (1, PeekedValue::Varint(1..=IR_VERSION_MAX)) => marks.ir_version = true,
                (2 | 3 | 4 | 6, PeekedValue::Bytes(text, _)) if is_text(text) => marks.texts += 1,
                (5, PeekedValue::Varint(_)) => {}
                (7, PeekedValue::Bytes(graph, whole)) => (marks.graph, marks.operator) = graph_marks(graph, whole),
                (8, PeekedValue::Bytes(opset, _)) if is_opset(opset) => marks.opset = true,
                (14 | 20 | 26, PeekedValue::Bytes(..)) => {}
                (25, PeekedValue::Bytes(..)) => marks.functions = true,
                // Whatever is appended to a model does not make it another.
                _ if marks.graph && marks.ir_version => break,
                _ => marks.foreign = true,
            }
        }
        marks
    }
}

/// Whether this is the start of a `GraphProto`, and whether it shows a node.
fn graph_marks(graph: &[u8], whole: bool) -> (bool, bool) {
    let (mut fields, mut operator) = (0, false);
    for field in Peek::new(graph).take(8) {
        let fits = match (field.number, field.value) {
            (1, PeekedValue::Bytes(node, _)) => {
                let seen = node_fits(node);
                operator |= seen == Some(true);
                seen.is_some()
            }
            (2 | 10, PeekedValue::Bytes(text, _)) => is_text(text),
            (5, PeekedValue::Bytes(tensor, _)) => {
                Peek::new(tensor).next().is_none_or(|f| matches!(f.number, 1..=14 | 16))
            }
            (11..=16, PeekedValue::Bytes(..)) => true,
            _ => false,
        };
        if !fits {
            return (operator, operator);
        }
        fields += 1;
    }
    (fields > 0 || (whole && graph.is_empty()), operator)
}

/// Whether this is the start of a `NodeProto`: `Some(true)` if its operator is
/// among the bytes at hand.
fn node_fits(node: &[u8]) -> Option<bool> {
    let mut operator = false;
    for field in Peek::new(node) {
        match (field.number, field.value) {
            (1 | 2 | 3 | 6 | 7 | 8, PeekedValue::Bytes(text, _)) if is_text(text) => {}
            (4, PeekedValue::Bytes(name, whole)) if is_identifier(name) => operator = whole,
            (5 | 9 | 10, PeekedValue::Bytes(..)) => {}
            _ => return None,
        }
    }
    Some(operator)
}

/// `OperatorSetIdProto`: a domain and a version.
fn is_opset(body: &[u8]) -> bool {
    let mut version = false;
    for field in Peek::new(body) {
        match (field.number, field.value) {
            (1, PeekedValue::Bytes(domain, _)) if domain.is_empty() || is_identifier(domain) => {}
            (2, PeekedValue::Varint(1..=10_000)) => version = true,
            _ => return false,
        }
    }
    version
}
