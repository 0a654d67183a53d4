//! Tensors as messages carry them, and as graphs take them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use weighbridge_inference_wire::{Failure, FailureKind, Tensor, TensorType};
use weighbridge_onnx::{Data, Element, Numbers};

use crate::error::{failed, of_model};

/// Most texts in one tensor.
const TEXTS_MAX: usize = 1 << 20;

/// For the graph.
///
/// # Errors
/// [`FailureKind::Invalid`] names the tensor.
pub fn taken(tensor: Tensor) -> Result<Numbers, Failure> {
    let Tensor { name, element, shape, data } = tensor;
    let wrong = |why: &str| Failure {
        field: Some("inputs".to_owned()),
        ..failed(FailureKind::Invalid, format!("the data of input `{name}` {why}"))
    };
    let bytes = STANDARD.decode(data).map_err(|_| wrong("is not base64"))?;
    let element = element_of(element);
    let data = if element == Element::Text {
        Data::Texts(texts(&bytes).ok_or_else(|| wrong("is no list of UTF-8 texts with their lengths"))?)
    } else {
        Data::Bytes(bytes)
    };
    Ok(Numbers { name, element, shape, data })
}

/// From the graph.
///
/// # Errors
/// For texts that are too long.
pub fn given(numbers: Numbers) -> Result<Tensor, Failure> {
    let Numbers { name, element, shape, data } = numbers;
    let bytes = match data {
        Data::Bytes(bytes) => bytes,
        Data::Texts(texts) => {
            let mut bytes = Vec::new();
            for text in texts {
                let length =
                    u32::try_from(text.len()).map_err(|_| of_model("the model's output has a text too long"))?;
                bytes.extend_from_slice(&length.to_le_bytes());
                bytes.extend_from_slice(text.as_bytes());
            }
            bytes
        }
    };
    Ok(Tensor { name, element: type_of(element), shape, data: STANDARD.encode(bytes) })
}

fn texts(mut bytes: &[u8]) -> Option<Vec<String>> {
    let mut texts = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let (text, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
        if texts.len() == TEXTS_MAX {
            return None;
        }
        texts.push(String::from_utf8(text.to_vec()).ok()?);
        bytes = rest;
    }
    bytes.is_empty().then_some(texts)
}

fn element_of(element: TensorType) -> Element {
    match element {
        TensorType::Bool => Element::Bool,
        TensorType::Uint8 => Element::U8,
        TensorType::Uint16 => Element::U16,
        TensorType::Uint32 => Element::U32,
        TensorType::Uint64 => Element::U64,
        TensorType::Int8 => Element::I8,
        TensorType::Int16 => Element::I16,
        TensorType::Int32 => Element::I32,
        TensorType::Int64 => Element::I64,
        TensorType::Fp16 => Element::F16,
        TensorType::Fp32 => Element::F32,
        TensorType::Fp64 => Element::F64,
        TensorType::Bytes => Element::Text,
    }
}

fn type_of(element: Element) -> TensorType {
    match element {
        Element::Bool => TensorType::Bool,
        Element::U8 => TensorType::Uint8,
        Element::U16 => TensorType::Uint16,
        Element::U32 => TensorType::Uint32,
        Element::U64 => TensorType::Uint64,
        Element::I8 => TensorType::Int8,
        Element::I16 => TensorType::Int16,
        Element::I32 => TensorType::Int32,
        Element::I64 => TensorType::Int64,
        Element::F16 => TensorType::Fp16,
        Element::F32 => TensorType::Fp32,
        Element::F64 => TensorType::Fp64,
        Element::Text => TensorType::Bytes,
    }
}

/// As the Open Inference Protocol calls it.
pub fn type_name(element: Option<Element>) -> String {
    let Some(element) = element else { return "unknown".to_owned() };
    match serde_json::to_value(type_of(element)) {
        Ok(serde_json::Value::String(name)) => name,
        _ => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(element: TensorType, bytes: &[u8]) -> Tensor {
        Tensor { name: "x".to_owned(), element, shape: vec![2], data: STANDARD.encode(bytes) }
    }

    #[test]
    fn numbers_and_texts_come_back_as_they_went() {
        for tensor in [
            tensor(TensorType::Fp32, &[0, 0, 128, 63, 0, 0, 0, 64]),
            tensor(TensorType::Bytes, b"\x02\0\0\0ab\x00\0\0\0"),
        ] {
            assert_eq!(given(taken(tensor.clone()).unwrap()).unwrap(), tensor);
        }
        assert_eq!(type_name(Some(Element::F32)), "FP32");
    }

    #[test]
    fn damaged_data_names_the_input() {
        let broken = Tensor { data: "*".to_owned(), ..tensor(TensorType::Fp32, &[]) };
        for tensor in [
            broken,
            tensor(TensorType::Bytes, b"\x03\0\0\0ab"),
            tensor(TensorType::Bytes, b"\x01\0"),
            tensor(TensorType::Bytes, b"\x01\0\0\0\xff"),
            tensor(TensorType::Bytes, b"\xff\xff\xff\xff"),
        ] {
            let failure = taken(tensor).unwrap_err();
            assert_eq!((failure.kind, failure.message.contains("`x`")), (FailureKind::Invalid, true));
        }
    }
}
