use std::ops::Range;

use crate::codec::msgpack::{Event, Scalar, Step, Walker};
use crate::codec::tensors::Element;
use crate::core::{FormatError, Input, Reader};

/// NumPy's own limit is 64.
const DIMENSIONS_MAX: u32 = 64;
/// Longest name of a type read: structured ones are long.
const DTYPE_BYTES_MAX: usize = 4096;

/// An array as `flax.serialization._ndarray_to_bytes` writes it:
/// `(shape, dtype name, bytes)`.
pub struct Array {
    /// Extents.
    pub shape: Vec<u64>,
    /// NumPy's name of the type.
    pub dtype: String,
    /// Where the elements lie, from the start of the extension.
    pub data: Range<u64>,
}

/// Reads the content of an extension.
pub fn read(content: &Input) -> Result<Array, FormatError> {
    let mut walker = Walker::new(Reader::new(content));
    let bad = |at: u64, reason: &'static str| FormatError::malformed("array", at, reason);
    let mut next = || -> Result<Step, FormatError> {
        walker.step()?.ok_or_else(|| FormatError::malformed("array", content.len(), "ends early"))
    };
    let outer = next()?;
    if outer.event != Event::Array(3) {
        return Err(bad(outer.at, "not (shape, dtype, bytes)"));
    }
    let extents = next()?;
    let Event::Array(dimensions @ 0..=DIMENSIONS_MAX) = extents.event else {
        return Err(bad(extents.at, "the shape is no list of extents"));
    };
    let mut shape = Vec::new();
    for _ in 0..dimensions {
        let extent = next()?;
        let Event::Scalar(Scalar::Unsigned(n)) = extent.event else {
            return Err(bad(extent.at, "an extent is no count"));
        };
        shape.push(n);
    }
    let dtype = next()?;
    let (Event::Text(name) | Event::Binary(name)) = dtype.event else {
        return Err(bad(dtype.at, "the type has no name"));
    };
    let data = next()?;
    let (Event::Binary(data_range) | Event::Text(data_range)) = data.event else {
        return Err(bad(data.at, "the elements are no bytes"));
    };
    if walker.position() != content.len() {
        return Err(bad(walker.position(), "bytes follow the elements"));
    }
    let mut r = Reader::at(content, name.start);
    let dtype = String::from_utf8_lossy(&r.bytes(name.end - name.start, DTYPE_BYTES_MAX, "dtype")?).into_owned();
    Ok(Array { shape, dtype, data: data_range })
}

impl Array {
    /// Elements by the shape; `None` if that overflows.
    pub fn elements(&self) -> Option<u64> {
        self.shape.iter().try_fold(1u64, |n, extent| n.checked_mul(*extent))
    }

    /// Whether the elements are Python objects: NumPy pickles those.
    pub fn holds_objects(&self) -> bool {
        let name = self.dtype.trim_start_matches(['<', '>', '|', '=']);
        name == "object" || name == "O" || name == "O8" || self.dtype.contains("object")
    }

    /// Bytes of one element, for types known here.
    pub fn element_bytes(&self) -> Option<u64> {
        Some(match self.dtype.as_str() {
            "bool" | "int8" | "uint8" => 1,
            name if name.starts_with("float8_") => 1,
            "int16" | "uint16" | "float16" | "bfloat16" => 2,
            "int32" | "uint32" | "float32" => 4,
            "int64" | "uint64" | "float64" | "complex64" => 8,
            "complex128" => 16,
            _ => return None,
        })
    }

    /// What the elements are to the survey of tensors.
    pub fn element(&self) -> Element {
        match self.dtype.as_str() {
            "float64" => Element::F64,
            "float32" => Element::F32,
            "float16" => Element::F16,
            "bfloat16" => Element::Bf16,
            _ => Element::Other,
        }
    }
}
