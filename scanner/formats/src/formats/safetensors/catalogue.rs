//! Which tensors a safetensors file holds and where, for those who convert
//! it: as strict as the library that made the format.

use crate::core::engine::{inspect_with, nothing};
use crate::core::{FormatError, Input, NoContent, Options};
use crate::formats::safetensors::header::{self, Header};
use crate::formats::safetensors::{LENGTH_BYTES, layout};

/// One tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Name; no control or deceptive characters.
    pub name: String,
    /// Element type as it stands in the header.
    pub dtype: &'static str,
    /// Dimensions.
    pub rank: u8,
    /// Elements of the innermost dimension; 1 for a scalar.
    pub row: u64,
    /// Elements in all.
    pub elements: u64,
    /// Offset of its bytes in the file.
    pub start: u64,
    /// Its bytes: what its type and elements ask for.
    pub size: u64,
}

/// The tensors of `input`, sorted by offset.
///
/// # Errors
/// Whatever the reference library refuses: overlaps, holes, bytes outside the
/// file, sizes that do not fit the shape, names that repeat or deceive.
pub fn read(input: &Input) -> Result<Vec<Entry>, FormatError> {
    let mut parsed = Err(FormatError::truncated("header", 0));
    let outcome = inspect_with("model.safetensors", &Options::default(), &NoContent, |ctx| {
        parsed = (|| {
            let length = header::length(ctx, input)?;
            let content =
                input.slice(LENGTH_BYTES, length).ok_or_else(|| FormatError::truncated("header", LENGTH_BYTES))?;
            let mut header = Header::default();
            header::read(&content, &mut header)?;
            header.tensors.sort_by_key(|t| (t.begin, t.end));
            header.report_names(ctx);
            layout::check(ctx, input, LENGTH_BYTES + length, &header)?;
            Ok((header, LENGTH_BYTES + length))
        })();
        nothing()
    });
    let (header, start) = parsed?;
    if let Some(finding) = outcome.findings.first() {
        let (offset, reason) = (finding.offset.unwrap_or(0), format!("{} ({})", finding.detail, finding.rule));
        return Err(FormatError::malformed("header", offset, reason));
    }
    let entry = |t: &header::Tensor| {
        Some(Entry {
            name: header.full_name(t)?.to_owned(),
            dtype: t.dtype.name(),
            rank: t.rank,
            row: t.row,
            elements: t.elements,
            start: start.checked_add(t.begin)?,
            size: t.bytes?,
        })
    };
    header
        .tensors
        .iter()
        .map(|t| {
            entry(t).ok_or_else(|| FormatError::malformed("header", LENGTH_BYTES, "a tensor without a usable name"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: usize) -> Vec<u8> {
        let mut out = (header.len() as u64).to_le_bytes().to_vec();
        out.extend(header.as_bytes());
        out.resize(out.len() + data, 0);
        out
    }

    #[test]
    fn tensors_are_found_where_they_are() {
        let header = r#"{"b":{"dtype":"BF16","shape":[2,3],"data_offsets":[4,16]},"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}"#;
        let entries = read(&Input::bytes(file(header, 16))).unwrap();
        let start = 8 + header.len() as u64;
        let seen: Vec<_> = entries.iter().map(|e| (e.name.as_str(), e.dtype, e.rank, e.row, e.start, e.size)).collect();
        assert_eq!(seen, [("a", "F32", 0, 1, start, 4), ("b", "BF16", 2, 3, start + 4, 12)]);
    }

    #[test]
    fn what_the_library_refuses_is_refused() {
        let one = |shape: &str, offsets: &str| {
            read(&Input::bytes(file(
                &format!(r#"{{"a":{{"dtype":"F16","shape":{shape},"data_offsets":{offsets}}}}}"#),
                12,
            )))
        };
        assert!(one("[2,3]", "[0,12]").is_ok());
        for (shape, offsets) in [
            ("[2,4]", "[0,12]"),
            ("[2,3]", "[2,14]"),
            ("[2]", "[0,4]"),
            ("[2,3]", "[12,0]"),
            ("[18446744073709551615,18446744073709551615]", "[0,12]"),
            ("[2,-3]", "[0,12]"),
        ] {
            assert!(one(shape, offsets).is_err(), "{shape} {offsets}");
        }
        for header in [r#"{"a":{"dtype":"F99","shape":[6],"data_offsets":[0,12]}}"#, "{}", "[]", ""] {
            assert!(read(&Input::bytes(file(header, 12))).is_err(), "{header}");
        }
    }
}
