use crate::codec::location::{Reach, reach};
use crate::codec::protobuf::{Message, Value};
use crate::core::{FormatError, Inspection};
use weighbridge_types::LinkKind;

use super::model::{DISTINCT_MAX, NAME_BYTES_MAX, Scan};
use super::rules;

/// Elements no honest tensor has: 4 TiB of bytes.
const ELEMENTS_MAX: u64 = 1 << 42;
/// Bytes of an external file that none has.
const FILE_BYTES_MAX: i64 = 1 << 50;
/// Bytes kept of a location: longer than any path.
const LOCATION_BYTES_MAX: usize = 64 * 1024;
/// External ranges remembered to look for overlaps.
const RANGES_MAX: usize = 200_000;
/// Location that ONNX Runtime gives to tensors in its own memory, with the
/// address as offset (`kTensorProtoMemoryAddressTag`).
const MEMORY_TAG: &str = "*/_ORT_MEM_ADDR_/*";

/// What of a `TensorProto` is checked.
#[derive(Debug, Default)]
pub struct Tensor {
    at: u64,
    name: String,
    data_type: u64,
    dims: Vec<i64>,
    raw: Option<Message>,
    /// Whether `data_location` is EXTERNAL.
    is_external: bool,
    external: Vec<(String, String)>,
}

/// A range of an external file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct External {
    pub location: String,
    pub offset: u64,
    pub length: u64,
}

impl Tensor {
    /// Product of the dimensions; `None` if one is negative or it overflows.
    pub fn elements(&self) -> Option<u64> {
        self.dims.iter().try_fold(1u64, |n, dim| n.checked_mul(u64::try_from(*dim).ok()?))
    }

    /// Bytes of `n` elements, where the type is known and fixed in size.
    fn bytes_of(&self, n: u64) -> Option<u64> {
        let bits = match self.data_type {
            25 | 26 => 2,
            21..=23 => 4,
            2 | 3 | 9 | 17..=20 | 24 => 8,
            4 | 5 | 10 | 16 => 16,
            1 | 6 | 12 => 32,
            7 | 11 | 13 | 14 => 64,
            15 => 128,
            _ => return None,
        };
        Some(n.checked_mul(bits)?.div_ceil(8))
    }

    pub fn type_name(&self) -> &'static str {
        const NAMES: [&str; 27] = [
            "undefined",
            "float32",
            "uint8",
            "int8",
            "uint16",
            "int16",
            "int32",
            "int64",
            "string",
            "bool",
            "float16",
            "float64",
            "uint32",
            "uint64",
            "complex64",
            "complex128",
            "bfloat16",
            "float8e4m3fn",
            "float8e4m3fnuz",
            "float8e5m2",
            "float8e5m2fnuz",
            "uint4",
            "int4",
            "float4e2m1",
            "float8e8m0",
            "uint2",
            "int2",
        ];
        usize::try_from(self.data_type).ok().and_then(|n| NAMES.get(n)).copied().unwrap_or("other")
    }

    /// The last value of `key`, as loaders take it.
    fn external_value(&self, key: &str) -> Option<&str> {
        self.external.iter().rev().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }
}

impl Scan<'_> {
    /// Reads a `TensorProto` into `tensor`: again, if the field is repeated.
    pub fn tensor(&mut self, ctx: &mut Inspection<'_>, tensor: &mut Tensor, body: Message) -> Result<(), FormatError> {
        tensor.at = body.start;
        let mut fields = body.fields();
        while let Some(field) = fields.next(ctx, &mut self.r)? {
            match (field.number, field.value) {
                (1, value) => {
                    let dims = &mut tensor.dims;
                    value.varints(ctx, &mut self.r, |dim| {
                        if dims.len() < 1024 {
                            dims.push(dim.cast_signed());
                        }
                    })?;
                }
                (2, Value::Varint(data_type)) => tensor.data_type = data_type,
                (4 | 5 | 7 | 10 | 11, Value::Bytes(numbers)) => ctx.opaque(self.input, numbers.start..numbers.end),
                (8, Value::Bytes(text)) => tensor.name = text.text(&mut self.r, NAME_BYTES_MAX, "tensor name")?,
                (9, Value::Bytes(raw)) => tensor.raw = Some(raw),
                (13, Value::Bytes(entry)) => {
                    let entry = self.entry(ctx, entry, LOCATION_BYTES_MAX)?;
                    if tensor.external.len() < 64 {
                        tensor.external.push(entry);
                    }
                }
                (14, Value::Varint(location)) => tensor.is_external = location == 1,
                _ => {}
            }
        }
        Ok(())
    }

    /// Reports what is wrong with a tensor that was read in full.
    pub fn check_tensor(&mut self, ctx: &mut Inspection<'_>, tensor: &Tensor) {
        let name = &tensor.name;
        let bytes = match tensor.elements() {
            Some(n) if n <= ELEMENTS_MAX => tensor.bytes_of(n),
            Some(_) => {
                ctx.find(&rules::BAD_SHAPE, tensor.at, format!("tensor `{name}` has dimensions {:?}", tensor.dims));
                None
            }
            None => {
                let why = if tensor.dims.iter().any(|d| *d < 0) { "negative" } else { "overflowing" };
                ctx.find(
                    &rules::BAD_SHAPE,
                    tensor.at,
                    format!("tensor `{name}` has {why} dimensions {:?}", tensor.dims),
                );
                None
            }
        };
        if let Some(raw) = tensor.raw {
            ctx.opaque(self.input, raw.start..raw.end);
            if let Some(bytes) = bytes.filter(|b| *b != raw.len() && !raw.is_empty() && tensor.external.is_empty()) {
                let detail = format!("tensor `{name}` {:?} needs {bytes} bytes and has {}", tensor.dims, raw.len());
                ctx.find(&rules::SIZE_MISMATCH, raw.start, detail);
            }
        }
        if tensor.is_external || !tensor.external.is_empty() {
            self.check_external(ctx, tensor, bytes);
        }
    }

    fn check_external(&mut self, ctx: &mut Inspection<'_>, tensor: &Tensor, bytes: Option<u64>) {
        let (at, name) = (tensor.at, &tensor.name);
        if let Some((key, _)) = tensor.external.iter().find(|(key, _)| key.starts_with('_') || key.contains("__")) {
            ctx.find(&rules::EXTERNAL_ATTRIBUTE, at, format!("external data of `{name}` sets `{key}`"));
        }
        // A loader may take the first of repeated entries and another the last.
        for (_, location) in tensor.external.iter().filter(|(key, _)| key == "location") {
            if location == MEMORY_TAG {
                let address = tensor.external_value("offset").unwrap_or_default();
                ctx.find(&rules::EXTERNAL_MEMORY, at, format!("`{name}` lies at memory address {address}"));
                return;
            }
            match reach(location) {
                Reach::Inside => {
                    if self.locations.len() < DISTINCT_MAX && self.locations.insert(location.clone()) {
                        ctx.link(LinkKind::ExternalData, location);
                    }
                }
                Reach::Odd(reason) => {
                    ctx.find(&rules::EXTERNAL_ODD, at, format!("`{name}` is kept in `{location}`: {reason}"));
                }
                Reach::Outside(reason) => {
                    ctx.find(&rules::EXTERNAL_OUTSIDE, at, format!("`{name}` is kept in `{location}`: {reason}"));
                }
            }
        }
        let Some(location) = tensor.external_value("location") else {
            ctx.find(&rules::EXTERNAL_ODD, at, format!("`{name}` is external, but names no location"));
            return;
        };
        self.check_range(ctx, tensor, location, bytes);
    }

    fn check_range(&mut self, ctx: &mut Inspection<'_>, tensor: &Tensor, location: &str, bytes: Option<u64>) {
        let mut numbers = [None; 2];
        for (number, key) in numbers.iter_mut().zip(["offset", "length"]) {
            let Some(text) = tensor.external_value(key) else { continue };
            match text.trim().parse::<i64>() {
                Ok(n) if (0..=FILE_BYTES_MAX).contains(&n) => *number = u64::try_from(n).ok(),
                _ => {
                    let detail = format!("`{}` in `{location}` has {key} `{text}`", tensor.name);
                    ctx.find(&rules::EXTERNAL_BOUNDS, tensor.at, detail);
                    return;
                }
            }
        }
        let [offset, length] = numbers;
        if let (Some(length), Some(bytes)) = (length, bytes)
            && length != bytes
        {
            let detail =
                format!("`{}` {:?} needs {bytes} bytes, `{location}` keeps {length}", tensor.name, tensor.dims);
            ctx.find(&rules::SIZE_MISMATCH, tensor.at, detail);
        }
        if let (Some(length), true) = (length.or(bytes), self.external.len() < RANGES_MAX) {
            self.external.push(External { location: location.to_owned(), offset: offset.unwrap_or(0), length });
        }
    }
}
