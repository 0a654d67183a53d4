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
