//! Which tensors of a graph lie in other files, and where (onnx.proto,
//! `TensorProto.external_data`): only so much of the format as ONNX Runtime
//! must be told to take them from memory.

use crate::OnnxError;

/// Most tensors of a graph that lie outside it.
const TENSORS_MAX: usize = 100_000;
/// Most dimensions of one.
const DIMENSIONS_MAX: usize = 64;
/// Deepest subgraphs in attributes (`If`, `Loop`).
const DEPTH_MAX: usize = 16;

/// A tensor outside the graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct External<'g> {
    pub name: &'g str,
    pub dims: Vec<i64>,
    /// `TensorProto.DataType`.
    pub element: u64,
    pub location: &'g str,
    pub offset: u64,
    /// All that follows when absent.
    pub length: Option<u64>,
}

/// All tensors of `graph` (a ModelProto) outside it.
pub(crate) fn external(graph: &[u8]) -> Result<Vec<External<'_>>, OnnxError> {
    let mut out = Vec::new();
    walk(graph, |number, value| {
        if let (7, Value::Bytes(graph)) = (number, value) { within(graph, 0, &mut out) } else { Some(()) }
    })
    .ok_or_else(|| OnnxError::Graph("the graph is damaged, or has more tensors than any model".to_owned()))?;
    Ok(out)
}

/// Of a GraphProto and the graphs in its nodes' attributes.
fn within<'g>(graph: &'g [u8], depth: usize, out: &mut Vec<External<'g>>) -> Option<()> {
    if depth > DEPTH_MAX {
        return None;
    }
    walk(graph, |number, value| match (number, value) {
        (5, Value::Bytes(body)) => {
            if let Some(found) = tensor(body)? {
                out.push(found);
            }
            (out.len() <= TENSORS_MAX).then_some(())
        }
        (1, Value::Bytes(node)) => walk(node, |number, value| match (number, value) {
            (5, Value::Bytes(attribute)) => walk(attribute, |number, value| match (number, value) {
                // `g` and `graphs`; a tensor in an attribute is never outside.
                (6 | 11, Value::Bytes(graph)) => within(graph, depth + 1, out),
                _ => Some(()),
            }),
            _ => Some(()),
        }),
        _ => Some(()),
    })
}

/// A TensorProto, if it lies outside.
fn tensor(body: &[u8]) -> Option<Option<External<'_>>> {
    let mut found = External { name: "", dims: Vec::new(), element: 0, location: "", offset: 0, length: None };
    let mut outside = false;
    walk(body, |number, value| {
        match (number, value) {
            (1, Value::Number(dim)) => found.dims.push(dim.cast_signed()),
            (1, Value::Bytes(mut packed)) => {
                while !packed.is_empty() && found.dims.len() <= DIMENSIONS_MAX {
                    found.dims.push(varint(&mut packed)?.cast_signed());
                }
            }
            (2, Value::Number(element)) => found.element = element,
            (8, Value::Bytes(name)) => found.name = std::str::from_utf8(name).ok()?,
            (13, Value::Bytes(entry)) => {
                let (mut key, mut text) = ("", "");
                walk(entry, |number, value| {
                    match (number, value) {
                        (1, Value::Bytes(bytes)) => key = std::str::from_utf8(bytes).ok()?,
                        (2, Value::Bytes(bytes)) => text = std::str::from_utf8(bytes).ok()?,
                        _ => {}
                    }
                    Some(())
                })?;
                match key {
                    "location" => found.location = text,
                    "offset" => found.offset = text.parse().ok()?,
                    "length" => found.length = Some(text.parse().ok()?),
                    _ => {}
                }
            }
            (14, Value::Number(location)) => outside = location == 1,
            _ => {}
        }
        (found.dims.len() <= DIMENSIONS_MAX).then_some(())
    })?;
    Some(outside.then_some(found))
}

/// What a field holds, as far as it matters here.
enum Value<'g> {
    Number(u64),
    Bytes(&'g [u8]),
    Other,
}

/// Gives each field of a message to `each`; `None` if either gives up.
fn walk<'g>(mut message: &'g [u8], mut each: impl FnMut(u64, Value<'g>) -> Option<()>) -> Option<()> {
    while !message.is_empty() {
        let tag = varint(&mut message)?;
        let value = match tag & 7 {
            0 => Value::Number(varint(&mut message)?),
            2 => {
                let length = usize::try_from(varint(&mut message)?).ok()?;
                Value::Bytes(message.split_off(..length)?)
            }
            1 => message.split_off(..8).map(|_| Value::Other)?,
            5 => message.split_off(..4).map(|_| Value::Other)?,
            _ => return None,
        };
        each(tag >> 3, value)?;
    }
    Some(())
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.split_off_first()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(number: u64, body: &[u8]) -> Vec<u8> {
        let mut out = vec![u8::try_from(number << 3 | 2).unwrap(), u8::try_from(body.len()).unwrap()];
        out.extend_from_slice(body);
        out
    }

    fn sample() -> Vec<u8> {
        let entry = |key: &str, value: &str| field(13, &[field(1, key.as_bytes()), field(2, value.as_bytes())].concat());
        let tensor = [
            vec![1 << 3, 5, 2 << 3, 1],
            field(8, b"w"),
            entry("location", "d"),
            entry("offset", "4096"),
            entry("length", "20"),
            vec![14 << 3, 1],
        ];
        let inside = [field(8, b"in"), field(9, &[0; 4])].concat();
        let graph = [field(5, &inside), field(5, &tensor.concat())].concat();
        let attribute = field(6, &field(5, &tensor.concat()));
        field(7, &[graph, field(1, &field(5, &attribute))].concat())
    }

    #[test]
    fn finds_tensors_outside_in_graphs_and_subgraphs() {
        let sample = sample();
        let found = external(&sample).unwrap();
        let expected =
            External { name: "w", dims: vec![5], element: 1, location: "d", offset: 4096, length: Some(20) };
        assert_eq!(found, [expected.clone(), expected]);
    }

    #[test]
    fn damage_is_an_error_or_harmless() {
        let sample = sample();
        for cut in 0..sample.len() {
            let _ = external(&sample[..cut]);
            for byte in [0, 0x7f, 0x80, 0xff] {
                let mut damaged = sample.clone();
                damaged[cut] = byte;
                let _ = external(&damaged);
            }
        }
        let mut nested = Vec::new();
        for _ in 0..40 {
            let Ok(length) = u8::try_from(nested.len()) else { break };
            if length > 110 {
                break;
            }
            nested = field(1, &field(5, &field(6, &nested)));
        }
        assert!(external(&field(7, &nested)).is_err(), "too deep");
        assert!(external(&[0xff; 20]).is_err());
    }
}
