use crate::codec::protobuf::{Peek, PeekedValue, is_identifier, is_text};
use crate::core::{Confidence, Sniff};

pub fn recognise(sniff: &Sniff<'_>) -> Confidence {
    if is_text_net(sniff.head) {
        return Confidence::Likely;
    }
    let named = sniff.name.has_extension(&["caffemodel"]);
    match net_marks(sniff.head) {
        Some(Marks { layers: 1.., .. }) => Confidence::Likely,
        Some(Marks { operators: 1.., .. }) if sniff.name.has_extension(&["pb"]) => Confidence::Likely,
        Some(_) if named => Confidence::Plausible,
        _ => Confidence::No,
    }
}

/// What of a `NetParameter` or `NetDef` was seen.
struct Marks {
    layers: u32,
    operators: u32,
}

/// Both start with a name; layers (Caffe) or operators (Caffe2) follow.
fn net_marks(head: &[u8]) -> Option<Marks> {
    let mut fields = Peek::new(head);
    let first = fields.next()?;
    let name = first.whole(1)?;
    if !is_text(name) {
        return None;
    }
    let mut marks = Marks { layers: 0, operators: 0 };
    for field in fields {
        match (field.number, field.value) {
            (100, PeekedValue::Bytes(layer, _)) if is_layer(layer) => marks.layers += 1,
            (2, PeekedValue::Bytes(body, _)) if is_v1_layer(body) => marks.layers += 1,
            (2, PeekedValue::Bytes(body, _)) if is_caffe2_operator(body) => marks.operators += 1,
            (3, PeekedValue::Bytes(text, _)) if is_text(text) => {}
            (4 | 5 | 7, PeekedValue::Varint(_)) | (5..=8, PeekedValue::Bytes(..)) => {}
            _ if marks.layers > 0 => break,
            _ => return None,
        }
    }
    Some(marks)
}

/// `LayerParameter`: name and type, as all writers write them.
fn is_layer(body: &[u8]) -> bool {
    let mut fields = Peek::new(body);
    fields.next().is_some_and(|f| f.body(1).is_some_and(is_text))
        && fields.next().is_some_and(|f| f.whole(2).is_some_and(is_identifier))
}

/// `V1LayerParameter`: bottoms, tops, a name, a numbered type.
fn is_v1_layer(body: &[u8]) -> bool {
    let (mut named, mut typed) = (false, false);
    for field in Peek::new(body).take(8) {
        match (field.number, field.value) {
            (2 | 3, PeekedValue::Bytes(text, true)) if is_text(text) => {}
            (4, PeekedValue::Bytes(text, true)) if is_text(text) => named = true,
            (5, PeekedValue::Varint(kind)) if kind <= 64 => typed = true,
            (1 | 6..=63, _) if typed => break,
            _ => return false,
        }
    }
    named && typed
}

/// `OperatorDef`: inputs, outputs, a name, a type.
fn is_caffe2_operator(body: &[u8]) -> bool {
    let mut typed = false;
    for field in Peek::new(body).take(16) {
        match (field.number, field.value) {
            (1..=3, PeekedValue::Bytes(text, _)) if is_text(text) => {}
            (4, PeekedValue::Bytes(kind, _)) if is_identifier(kind) => {
                typed = kind.first().is_some_and(u8::is_ascii_uppercase)
            }
            (5..=10, PeekedValue::Bytes(..)) => {}
            _ => return false,
        }
    }
    typed
}

/// Whether `head` is a net as text: layers with types.
pub fn is_text_net(head: &[u8]) -> bool {
    let has = |text: &[u8]| memchr::memmem::find(head, text).is_some();
    let opens = |word: &[u8]| {
        memchr::memmem::find_iter(head, word).any(|at| {
            let line_start = at == 0 || head.get(at - 1) == Some(&b'\n');
            let rest = head.get(at + word.len()..).unwrap_or_default().trim_ascii_start();
            line_start && (rest.starts_with(b"{") || rest.starts_with(b": {") || rest.starts_with(b":{"))
        })
    };
    let first = head.trim_ascii_start().first();
    let is_text_start = first.is_some_and(|b| b.is_ascii_alphabetic() || *b == b'#');
    is_text_start
        && (opens(b"layer") || opens(b"layers"))
        && has(b"type:")
        && (has(b"bottom:") || has(b"top:") || has(b"name:"))
}
