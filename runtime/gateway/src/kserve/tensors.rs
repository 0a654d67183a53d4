//! Tensors in JSON and in binary, either turned into the other.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Number, Value};
use weighbridge_inference_wire::{Tensor, TensorType};

use crate::problem::{Problem, Result};

/// Most dimensions, and most elements of one tensor.
const DIMENSIONS_MAX: usize = 16;
const ELEMENTS_MAX: u64 = 1 << 28;

/// Bytes of an element; those of [`TensorType::Bytes`] have lengths of their own.
fn width(element: TensorType) -> Option<usize> {
    Some(match element {
        TensorType::Bool | TensorType::Uint8 | TensorType::Int8 => 1,
        TensorType::Uint16 | TensorType::Int16 | TensorType::Fp16 => 2,
        TensorType::Uint32 | TensorType::Int32 | TensorType::Fp32 => 4,
        TensorType::Uint64 | TensorType::Int64 | TensorType::Fp64 => 8,
        TensorType::Bytes => return None,
    })
}

/// How many elements `shape` holds.
pub fn elements(name: &str, shape: &[i64]) -> Result<(Vec<u64>, usize)> {
    let wrong = |what: &str| Problem::field("shape", format!("the shape of `{}` {what}", name.escape_debug()));
    if shape.len() > DIMENSIONS_MAX {
        return Err(wrong("has more than 16 dimensions"));
    }
    let lengths: Vec<u64> = shape
        .iter()
        .map(|length| u64::try_from(*length).map_err(|_| wrong("has a negative length")))
        .collect::<Result<_>>()?;
    let all = lengths.iter().try_fold(1_u64, |all, length| all.checked_mul(*length)).filter(|all| *all <= ELEMENTS_MAX);
    let all = all.and_then(|all| usize::try_from(all).ok()).ok_or_else(|| wrong("holds too many elements"))?;
    Ok((lengths, all))
}

/// A tensor whose elements are `bytes`.
pub fn from_binary(name: String, element: TensorType, shape: &[i64], bytes: &[u8]) -> Result<Tensor> {
    let (shape, count) = elements(&name, shape)?;
    check(&name, element, count, bytes)?;
    Ok(Tensor { name, element, shape, data: STANDARD.encode(bytes) })
}

fn check(name: &str, element: TensorType, count: usize, bytes: &[u8]) -> Result<()> {
    let shown = name.escape_debug();
    let fits = match width(element) {
        Some(width) => width.checked_mul(count) == Some(bytes.len()),
        None => texts(bytes).is_some_and(|all| all.len() == count),
    };
    if fits {
        return Ok(());
    }
    let message = format!("the data of `{shown}` ({} bytes) is not that of {count} elements of its type", bytes.len());
    Err(Problem::field("data", message))
}

/// Elements with their length before them (`u32`, little-endian).
fn texts(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (text, rest) = rest.split_at_checked(length)?;
        all.push(text);
        bytes = rest;
    }
    Some(all)
}

/// A tensor whose elements are `data`, flat or nested as its shape.
pub fn from_json(name: String, element: TensorType, shape: &[i64], data: &Value) -> Result<Tensor> {
    let (shape, count) = elements(&name, shape)?;
    if !data.is_array() {
        return Err(Problem::field("data", format!("the data of `{}` is no list", name.escape_debug())));
    }
    let mut bytes = Vec::with_capacity(width(element).unwrap_or(8).saturating_mul(count).min(1 << 20));
    let mut seen = 0_usize;
    flatten(data, &mut |value| {
        seen += 1;
        write(element, value, &mut bytes).ok_or_else(|| {
            let shown: String = value.to_string().chars().take(64).collect();
            let message = format!("`{}` is no element of the type of `{}`", shown.escape_debug(), name.escape_debug());
            Problem::field("data", message)
        })
    })?;
    if seen != count {
        let message = format!("`{}` has {seen} elements; its shape says {count}", name.escape_debug());
        return Err(Problem::field("data", message));
    }
    Ok(Tensor { name, element, shape, data: STANDARD.encode(bytes) })
}

/// As deep as the JSON itself, which is bounded.
fn flatten(value: &Value, each: &mut impl FnMut(&Value) -> Result<()>) -> Result<()> {
    match value {
        Value::Array(list) => list.iter().try_for_each(|value| flatten(value, each)),
        value => each(value),
    }
}

fn write(element: TensorType, value: &Value, out: &mut Vec<u8>) -> Option<()> {
    let whole = || value.as_i64();
    match element {
        TensorType::Bool => out.push(u8::from(value.as_bool().or_else(|| Some(value.as_u64()? == 1))?)),
        TensorType::Uint8 => out.push(u8::try_from(value.as_u64()?).ok()?),
        TensorType::Uint16 => out.extend(u16::try_from(value.as_u64()?).ok()?.to_le_bytes()),
        TensorType::Uint32 => out.extend(u32::try_from(value.as_u64()?).ok()?.to_le_bytes()),
        TensorType::Uint64 => out.extend(value.as_u64()?.to_le_bytes()),
        TensorType::Int8 => out.extend(i8::try_from(whole()?).ok()?.to_le_bytes()),
        TensorType::Int16 => out.extend(i16::try_from(whole()?).ok()?.to_le_bytes()),
        TensorType::Int32 => out.extend(i32::try_from(whole()?).ok()?.to_le_bytes()),
        TensorType::Int64 => out.extend(whole()?.to_le_bytes()),
        TensorType::Fp32 => {
            #[expect(clippy::cast_possible_truncation, reason = "the type asked for is narrower")]
            let narrow = value.as_f64()? as f32;
            out.extend(narrow.to_le_bytes());
        }
        TensorType::Fp64 => out.extend(value.as_f64()?.to_le_bytes()),
        // The protocol has no JSON for them ("Tensor Data").
        TensorType::Fp16 => return None,
        TensorType::Bytes => {
            let text = value.as_str()?;
            out.extend(u32::try_from(text.len()).ok()?.to_le_bytes());
            out.extend_from_slice(text.as_bytes());
        }
    }
    Some(())
}

/// The bytes of a tensor that a worker made, if they are what it says.
pub fn to_binary(tensor: &Tensor) -> Option<Vec<u8>> {
    let shape: Vec<i64> = tensor.shape.iter().map(|l| i64::try_from(*l).ok()).collect::<Option<_>>()?;
    let (_, count) = elements(&tensor.name, &shape).ok()?;
    let bytes = STANDARD.decode(&tensor.data).ok()?;
    check(&tensor.name, tensor.element, count, &bytes).ok().map(|()| bytes)
}

/// The same as JSON; `None` for what JSON has no word for.
pub fn to_json(element: TensorType, bytes: &[u8]) -> Option<Vec<Value>> {
    fn all<const N: usize>(bytes: &[u8], of: impl Fn([u8; N]) -> Option<Value>) -> Option<Vec<Value>> {
        bytes.as_chunks::<N>().0.iter().map(|chunk| of(*chunk)).collect()
    }
    // What is no number has no JSON; servers of the protocol say null.
    let real = |value: f64| Some(Number::from_f64(value).map_or(Value::Null, Value::Number));
    match element {
        TensorType::Bool => all::<1>(bytes, |b| Some((b != [0]).into())),
        TensorType::Uint8 => all::<1>(bytes, |b| Some(u8::from_le_bytes(b).into())),
        TensorType::Uint16 => all(bytes, |b| Some(u16::from_le_bytes(b).into())),
        TensorType::Uint32 => all(bytes, |b| Some(u32::from_le_bytes(b).into())),
        TensorType::Uint64 => all(bytes, |b| Some(u64::from_le_bytes(b).into())),
        TensorType::Int8 => all::<1>(bytes, |b| Some(i8::from_le_bytes(b).into())),
        TensorType::Int16 => all(bytes, |b| Some(i16::from_le_bytes(b).into())),
        TensorType::Int32 => all(bytes, |b| Some(i32::from_le_bytes(b).into())),
        TensorType::Int64 => all(bytes, |b| Some(i64::from_le_bytes(b).into())),
        TensorType::Fp32 => all(bytes, |b| real(f32::from_le_bytes(b).into())),
        TensorType::Fp64 => all(bytes, |b| real(f64::from_le_bytes(b))),
        TensorType::Fp16 => None,
        TensorType::Bytes => texts(bytes)?.into_iter().map(|t| Some(std::str::from_utf8(t).ok()?.into())).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn nested_and_flat_data_are_the_same() {
        let of = |data| from_json("x".to_owned(), TensorType::Int32, &[2, 2], &data).unwrap();
        assert_eq!(of(json!([1, 2, 3, 4])), of(json!([[1, 2], [3, 4]])));
        assert_eq!(to_binary(&of(json!([1, 2, 3, -4]))).unwrap()[12..], (-4_i32).to_le_bytes());
    }

    #[test]
    fn data_that_does_not_fit_is_refused() {
        let json = |element, shape: &[i64], data| from_json("x".to_owned(), element, shape, &data);
        assert!(json(TensorType::Uint8, &[1], json!([256])).is_err());
        assert!(json(TensorType::Uint8, &[2], json!([1])).is_err());
        assert!(json(TensorType::Int64, &[1], json!(["x"])).is_err());
        assert!(json(TensorType::Fp32, &[-1], json!([1.0])).is_err());
        assert!(json(TensorType::Fp32, &[i64::MAX, i64::MAX], json!([1.0])).is_err());
        assert!(from_binary("x".to_owned(), TensorType::Fp32, &[2], &[0; 7]).is_err());
        assert!(from_binary("x".to_owned(), TensorType::Bytes, &[1], &[9, 0, 0, 0, 1]).is_err());
    }

    proptest! {
        #[test]
        fn whole_numbers_come_back(values in proptest::collection::vec(any::<i64>(), 0..20)) {
            let shape = [i64::try_from(values.len()).unwrap()];
            let tensor = from_json("x".to_owned(), TensorType::Int64, &shape, &json!(values)).unwrap();
            let back = to_json(TensorType::Int64, &to_binary(&tensor).unwrap()).unwrap();
            prop_assert_eq!(json!(back), json!(values));
        }

        #[test]
        fn texts_come_back(values in proptest::collection::vec(".*", 0..8)) {
            let shape = [i64::try_from(values.len()).unwrap()];
            let tensor = from_json("x".to_owned(), TensorType::Bytes, &shape, &json!(values)).unwrap();
            let back = to_json(TensorType::Bytes, &to_binary(&tensor).unwrap()).unwrap();
            prop_assert_eq!(json!(back), json!(values));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64), count in 0_i64..8) {
            let _ = from_binary("x".to_owned(), TensorType::Bytes, &[count], &bytes);
        }
    }
}
