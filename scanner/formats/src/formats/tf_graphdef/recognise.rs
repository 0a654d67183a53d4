use crate::codec::protobuf::{DEPTH_MAX, Peek, PeekedValue, is_identifier, is_text};
use crate::core::{Confidence, Sniff};

use super::ops;

/// Longest operator name believed.
const OP_BYTES_MAX: usize = 100;

/// By the first nodes; graphs have no signature.
pub fn recognise(sniff: &Sniff<'_>) -> Confidence {
    if is_text_graph(sniff.head) || is_meta_graph(sniff.head) {
        return Confidence::Likely;
    }
    let named = sniff.name.has_extension(&["pb", "graphdef"]);
    match graph_marks(sniff.head) {
        Some(Marks { known_ops: 1.., .. }) => Confidence::Likely,
        Some(Marks { nodes: 1.., .. }) if named => Confidence::Plausible,
        Some(Marks { functions: 1.., .. }) => Confidence::Likely,
        _ if named && nesting(sniff.head) > DEPTH_MAX => Confidence::Plausible,
        _ => Confidence::No,
    }
}

/// What the first fields of a `GraphDef` show.
#[derive(Debug, Default, Clone, Copy)]
pub struct Marks {
    nodes: u32,
    /// Nodes among them whose operator is TensorFlow's.
    known_ops: u32,
    functions: u32,
}

/// `None` if some field is not one of a `GraphDef` and no node speaks for it.
fn graph_marks(head: &[u8]) -> Option<Marks> {
    let mut marks = Marks::default();
    let mut foreign = false;
    for (seen, field) in Peek::new(head).enumerate() {
        match (field.number, field.value) {
            (1, PeekedValue::Bytes(node, _)) => match node_op(node) {
                Some(op) => {
                    marks.nodes += 1;
                    marks.known_ops += u32::from(ops::is_known(op));
                }
                // A node may be cut where the head ends.
                None if seen > 0 && marks.nodes > 0 && Peek::new(node).count() < 2 => {}
                None => foreign = true,
            },
            (2, PeekedValue::Bytes(library, _)) => marks.functions += u32::from(is_function_library(library)),
            (3, PeekedValue::Varint(_)) => {}
            (4 | 5, PeekedValue::Bytes(..)) => {}
            // Decoders step over fields they do not know.
            _ => foreign = true,
        }
    }
    (!foreign || marks.known_ops > 0).then_some(marks)
}

/// Whether `head` is the start of a `GraphDef` with an operator known.
pub fn is_graph_def(head: &[u8]) -> bool {
    graph_marks(head).is_some_and(|m| m.known_ops > 0 || m.functions > 0)
}

/// The operator of a `NodeDef`, in whatever order its fields are.
fn node_op(node: &[u8]) -> Option<&str> {
    let (mut name, mut op) = (None, None);
    for field in Peek::new(node) {
        match (field.number, field.value) {
            (1, PeekedValue::Bytes(text, true)) => name = Some(text),
            (2, PeekedValue::Bytes(text, true)) => op = Some(text),
            (3..=7, PeekedValue::Bytes(..)) => {}
            _ => return None,
        }
    }
    let (name, op) = (name?, op?);
    let named =
        !name.is_empty() && name.iter().all(|b| b.is_ascii_graphic() || *b == b' ') && !name.ends_with(b".proto");
    let fits = named && op.len() <= OP_BYTES_MAX && is_identifier(op);
    fits.then(|| std::str::from_utf8(op).ok())?
}

/// Levels of nested messages, each the whole of the one around it: a bomb for
/// decoders that recurse.
pub fn nesting(head: &[u8]) -> u32 {
    let (mut levels, mut body) = (0, head);
    while let Some(inner) =
        Peek::new(body).next().and_then(|f| f.body(f.number)).filter(|inner| inner.len() < body.len())
    {
        levels += 1;
        body = inner;
    }
    levels
}

/// `FunctionDefLibrary`: a function with a signature with a name.
fn is_function_library(library: &[u8]) -> bool {
    let signature = Peek::new(library).next().and_then(|f| f.body(1));
    let op_def = signature.and_then(|function| Peek::new(function).next()?.body(1));
    let mut fields = Peek::new(op_def.unwrap_or_default());
    let named = fields.next().and_then(|f| f.whole(1)).is_some_and(is_identifier);
    // Arguments follow, each with a name.
    named
        && fields.next().is_some_and(|f| {
            matches!(f.number, 2 | 3)
                && Peek::new(f.body(f.number).unwrap_or_default())
                    .next()
                    .is_some_and(|f| f.body(1).is_some_and(is_text))
        })
}

/// Whether `head` is the start of a `MetaGraphDef`.
pub fn is_meta_graph(head: &[u8]) -> bool {
    let mut fields = Peek::new(head);
    let Some(first) = fields.next() else { return false };
    match (first.number, first.value) {
        (1, PeekedValue::Bytes(info, whole)) => {
            is_meta_info(info)
                && (!whole || fields.next().is_none_or(|f| matches!(f.value, PeekedValue::Bytes(..)) && f.number <= 7))
        }
        (2, PeekedValue::Bytes(graph, _)) => is_graph_def(graph),
        _ => false,
    }
}

/// `MetaInfoDef`: the operators used, tags, the version of TensorFlow.
fn is_meta_info(info: &[u8]) -> bool {
    let mut marks = 0;
    for field in Peek::new(info) {
        match (field.number, field.value) {
            (2, PeekedValue::Bytes(list, _)) => {
                let op = Peek::new(list).next().and_then(|f| f.body(1));
                let name = op.and_then(|op| Peek::new(op).next()?.whole(1));
                if !name.and_then(|n| std::str::from_utf8(n).ok()).is_some_and(ops::is_known) {
                    return false;
                }
                marks += 2;
            }
            (1 | 4 | 6, PeekedValue::Bytes(text, _)) if is_text(text) => {}
            (5, PeekedValue::Bytes(version, _)) if is_text(version) => {
                marks += u32::from(version.first().is_some_and(u8::is_ascii_digit) && version.contains(&b'.')) * 2;
            }
            (3 | 8, PeekedValue::Bytes(..)) | (7, PeekedValue::Varint(0 | 1)) => {}
            _ => return false,
        }
        if matches!(field.value, PeekedValue::Bytes(b"serve" | b"train", true)) {
            marks += 1;
        }
    }
    marks >= 2
}

/// Whether `head` is a graph as text: it starts with a field of `GraphDef` or
/// `MetaGraphDef` and shows a node.
pub fn is_text_graph(head: &[u8]) -> bool {
    let first = first_word(head);
    let starts = [&b"node"[..], b"library", b"versions", b"meta_info_def", b"graph_def"].contains(&first);
    starts && has_text(head, b"name: \"") && (has_text(head, b"op: \"") || has_text(head, b"stripped_op_list"))
}

/// Whether `head` is a SavedModel as text.
pub fn is_text_saved_model(head: &[u8]) -> bool {
    let first = first_word(head);
    (first == b"saved_model_schema_version" && has_text(head, b"meta_graphs"))
        || (first == b"meta_graphs" && (has_text(head, b"meta_info_def") || has_text(head, b"graph_def")))
}

fn has_text(head: &[u8], text: &[u8]) -> bool {
    memchr::memmem::find(head, text).is_some()
}

/// The first word after white space and comments.
fn first_word(head: &[u8]) -> &[u8] {
    let mut rest = head.trim_ascii_start();
    while rest.starts_with(b"#") {
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        rest = rest.get(end..).unwrap_or_default().trim_ascii_start();
    }
    let end = rest.iter().position(|b| !(b.is_ascii_alphanumeric() || *b == b'_')).unwrap_or(rest.len());
    let follows = rest.get(end..).unwrap_or_default().trim_ascii_start();
    if follows.starts_with(b"{") || follows.starts_with(b":") { rest.get(..end).unwrap_or_default() } else { b"" }
}
