//! Which tensors of a graph lie in other files, and where (onnx.proto,
//! `TensorProto.external_data`): only so much of the format as ONNX Runtime
//! must be told to take them from memory.

use std::collections::HashMap;

use crate::OnnxError;

/// `TensorProto.DataType.UINT8`: packed weights.
const UINT8: u64 = 2;
/// Largest tensor put into a graph, bytes: norms, biases, frequencies.
const INLINE_MAX: usize = 16 << 20;

/// Most tensors of a graph that lie outside it.
const TENSORS_MAX: usize = 100_000;
/// Most dimensions of one.
const DIMENSIONS_MAX: usize = 64;
/// Deepest subgraphs in attributes (`If`, `Loop`).
const DEPTH_MAX: usize = 16;

/// Packed weights by name.
pub(crate) type Packed = HashMap<String, &'static [u8]>;

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
    walk(
        graph,
        |number, value| {
            if let (7, Value::Bytes(graph)) = (number, value) { within(graph, 0, &mut out) } else { Some(()) }
        },
    )
    .ok_or_else(|| OnnxError::Graph("the graph is damaged, or has more tensors than any model".to_owned()))?;
    Ok(out)
}

/// `graph` as ONNX Runtime is to have it, and the packed weights that it is not
/// to have: it would copy them. Our operators find those by name; small tensors
/// are put into the graph.
pub(crate) fn split<'g>(
    graph: &'g [u8],
    find: &mut dyn FnMut(&External<'g>) -> Result<&'static [u8], OnnxError>,
) -> Result<(Vec<u8>, Packed), OnnxError> {
    let damaged = || OnnxError::Graph("the graph is damaged".to_owned());
    let (mut model, mut weights, mut failure) = (Vec::with_capacity(graph.len() + (1 << 20)), HashMap::new(), None);
    let done = fields(graph, |number, raw, body| {
        let (7, Some(inner)) = (number, body) else {
            model.extend_from_slice(raw);
            return Some(());
        };
        let mut out = Vec::with_capacity(inner.len() + (1 << 20));
        fields(inner, |number, raw, body| {
            let found = match (number, body) {
                (5, Some(body)) => tensor(body)?,
                _ => None,
            };
            let Some(found) = found else {
                out.extend_from_slice(raw);
                return Some(());
            };
            match find(&found) {
                Ok(bytes) if found.element == UINT8 => {
                    weights.insert(found.name.to_owned(), bytes);
                    put(&mut out, 5, &inside(found.name, UINT8, &[0], &[]));
                }
                Ok(bytes) if bytes.len() <= INLINE_MAX => {
                    put(&mut out, 5, &inside(found.name, found.element, &found.dims, bytes));
                }
                Ok(_) => {
                    failure = Some(OnnxError::Graph(format!("tensor `{}` is neither packed nor small", found.name)))
                }
                Err(e) => failure = Some(e),
            }
            failure.is_none().then_some(())
        })?;
        put(&mut model, 7, &out);
        Some(())
    });
    match (done, failure) {
        (_, Some(e)) => Err(e),
        (None, None) => Err(damaged()),
        (Some(()), None) => Ok((model, weights)),
    }
}

/// A TensorProto with its bytes.
fn inside(name: &str, element: u64, dims: &[i64], bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 64);
    for dim in dims {
        put_varint(&mut out, 1 << 3);
        put_varint(&mut out, dim.cast_unsigned());
    }
    put_varint(&mut out, 2 << 3);
    put_varint(&mut out, element);
    put(&mut out, 8, name.as_bytes());
    put(&mut out, 9, bytes);
    out
}

fn put(out: &mut Vec<u8>, number: u64, body: &[u8]) {
    put_varint(out, number << 3 | 2);
    put_varint(out, body.len() as u64);
    out.extend_from_slice(body);
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
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
fn walk<'g>(message: &'g [u8], mut each: impl FnMut(u64, Value<'g>) -> Option<()>) -> Option<()> {
    values(message, |number, _, value| each(number, value))
}

/// The same with all bytes of the field, and the body of those that have one.
fn fields<'g>(message: &'g [u8], mut each: impl FnMut(u64, &'g [u8], Option<&'g [u8]>) -> Option<()>) -> Option<()> {
    values(message, |number, raw, value| match value {
        Value::Bytes(body) => each(number, raw, Some(body)),
        _ => each(number, raw, None),
    })
}

fn values<'g>(mut message: &'g [u8], mut each: impl FnMut(u64, &'g [u8], Value<'g>) -> Option<()>) -> Option<()> {
    while !message.is_empty() {
        let start = message;
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
        let raw = start.get(..start.len() - message.len())?;
        each(tag >> 3, raw, value)?;
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
        let mut out = Vec::new();
        put(&mut out, number, body);
        out
    }

    fn sample() -> Vec<u8> {
        let entry =
            |key: &str, value: &str| field(13, &[field(1, key.as_bytes()), field(2, value.as_bytes())].concat());
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
        let expected = External { name: "w", dims: vec![5], element: 1, location: "d", offset: 4096, length: Some(20) };
        assert_eq!(found, [expected.clone(), expected]);
    }

    #[test]
    fn a_graph_is_split_into_what_is_packed_and_the_rest() {
        let tensor = |name: &str, element: u8| {
            let entry = field(13, &[field(1, b"location"), field(2, b"d")].concat());
            [vec![1 << 3, 4, 2 << 3, element], field(8, name.as_bytes()), entry, vec![14 << 3, 1]].concat()
        };
        let kept = field(5, &[field(8, b"in"), field(9, &[7; 4])].concat());
        let graph = [field(5, &tensor("packed", 2)), field(5, &tensor("norm", 1)), kept, field(1, b"")].concat();
        let model = [vec![1 << 3, 10], field(7, &graph)].concat();
        static BYTES: [u8; 16] = [3; 16];
        let mut find = |t: &External<'_>| Ok(if t.element == 2 { &BYTES[..4] } else { &BYTES[..] });
        let (split, weights) = split(&model, &mut find).unwrap();
        assert_eq!(weights, HashMap::from([("packed".to_owned(), &BYTES[..4])]));
        assert!(external(&split).unwrap().is_empty());
        let text = split.windows(16).any(|w| w == BYTES);
        assert!(text && split.starts_with(&[1 << 3, 10]) && split.windows(4).any(|w| w == [7; 4]));
    }

    #[test]
    fn damage_is_an_error_or_harmless() {
        let sample = sample();
        for cut in 0..sample.len() {
            let _ = external(&sample[..cut]);
            let _ = split(&sample[..cut], &mut |_| Ok(&[]));
            for byte in [0, 0x7f, 0x80, 0xff] {
                let mut damaged = sample.clone();
                damaged[cut] = byte;
                let _ = external(&damaged);
            }
        }
        let mut nested = Vec::new();
        for _ in 0..40 {
            nested = field(1, &field(5, &field(6, &nested)));
        }
        assert!(external(&field(7, &nested)).is_err(), "too deep");
        assert!(external(&[0xff; 20]).is_err());
    }
}
