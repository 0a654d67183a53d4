//! What a GGUF file holds and where, for those who convert it. The scanner's
//! own parse, held to a stricter rule: whatever it would report of the tables
//! is an error here.

use crate::core::engine::{inspect_with, nothing};
use crate::core::{FormatError, Input, NoContent, Options, Reader};
use crate::formats::gguf::metadata::{ArrayAt, Metadata, Type};
use crate::formats::gguf::quant::{self, Kind};
use crate::formats::gguf::source::Source;
use crate::formats::gguf::{alignment, tables};

pub use crate::formats::gguf::metadata::Value;

/// Tables of a GGUF file.
pub struct Catalogue {
    input: Input,
    metadata: Metadata,
    version: u32,
    /// Tensors in the order of the file, their bytes inside it.
    pub tensors: Vec<Entry>,
}

/// One tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Name; no control or deceptive characters.
    pub name: String,
    /// Type as ggml prints it.
    pub kind: &'static str,
    /// Elements of the innermost dimension.
    pub row: u64,
    /// Elements in all.
    pub elements: u64,
    /// Offset of its bytes in the file.
    pub start: u64,
    /// Its bytes.
    pub size: u64,
}

/// Reads the tables of `input`, little-endian GGUF.
///
/// # Errors
/// Whatever stops the parse, anything the scanner reports of the tables, and
/// tensors that overlap or lie outside the file.
pub fn read(input: &Input) -> Result<Catalogue, FormatError> {
    let mut parsed = Err(FormatError::truncated("header", 0));
    let outcome = inspect_with("model.gguf", &Options::default(), &NoContent, |ctx| {
        parsed = (|| {
            let mut s = Source::open(input)?;
            if s.big_endian {
                return Err(FormatError::malformed("version", 4, "big-endian files are not converted"));
            }
            let (mut metadata, mut tensors) = (Metadata::default(), Vec::new());
            tables(ctx, &mut s, &mut metadata, &mut tensors)?;
            let alignment = alignment(ctx, &metadata);
            Ok((metadata, tensors, s.version, s.r.position(), alignment))
        })();
        nothing()
    });
    let (metadata, tensors, version, described, alignment) = parsed?;
    if let Some(finding) = outcome.findings.first() {
        let (offset, reason) = (finding.offset.unwrap_or(0), format!("{} ({})", finding.detail, finding.rule));
        return Err(FormatError::malformed("tables", offset, reason));
    }
    let start = described
        .checked_next_multiple_of(alignment)
        .filter(|start| tensors.is_empty() || *start <= input.len())
        .ok_or_else(|| FormatError::truncated("tensor data", described))?;
    let mut entries = Vec::with_capacity(tensors.len());
    for t in &tensors {
        let bad = |reason: &'static str| FormatError::malformed("tensor", t.described_at, reason);
        let name = t.full_name().ok_or_else(|| bad("no name was kept"))?.to_owned();
        let Kind::Known(quant) = quant::kind(t.kind) else { return Err(bad("unknown type")) };
        let (Some(elements), Some(size)) = (t.elements, t.size) else { return Err(bad("unknown size")) };
        let begin = start.checked_add(t.offset).ok_or_else(|| bad("starts beyond 2^64"))?;
        if begin.checked_add(size).is_none_or(|end| end > input.len()) {
            return Err(FormatError::truncated(format!("bytes of tensor {name}"), input.len()));
        }
        entries.push(Entry { name, kind: quant.name, row: t.row, elements, start: begin, size });
    }
    disjoint(&entries)?;
    Ok(Catalogue { input: input.clone(), metadata, version, tensors: entries })
}

fn disjoint(entries: &[Entry]) -> Result<(), FormatError> {
    let mut order: Vec<&Entry> = entries.iter().collect();
    order.sort_by_key(|e| (e.start, e.size));
    let mut end = 0;
    for entry in order {
        if entry.start < end {
            return Err(FormatError::malformed(
                "tensor offset",
                entry.start,
                format!("`{}` starts inside the tensor before it", entry.name),
            ));
        }
        end = entry.start.saturating_add(entry.size);
    }
    Ok(())
}

impl Catalogue {
    /// The text of `key`, if it has one of at most 16 KiB.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.metadata.text(key)
    }

    /// The integer of `key`, if it is one and not negative.
    #[must_use]
    pub fn unsigned(&self, key: &str) -> Option<u64> {
        self.metadata.unsigned(key)
    }

    /// The value of `key`.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&Value> {
        self.metadata.get(key)
    }

    /// The chat template under `key`.
    #[must_use]
    pub fn template(&self, key: &str) -> Option<&str> {
        self.metadata.templates.iter().find(|(k, _)| k == key).map(|(_, text)| text.as_str())
    }

    /// Elements of the array `key`.
    #[must_use]
    pub fn count(&self, key: &str) -> Option<u64> {
        self.array(key).map(|a| a.count)
    }

    fn array(&self, key: &str) -> Option<&ArrayAt> {
        self.metadata.arrays.iter().find(|a| a.key == key)
    }

    /// The strings of `key`, at most `count_max`, together at most
    /// `bytes_max`; `None` if there is no such array.
    ///
    /// # Errors
    /// [`FormatError::Limit`] beyond either, [`FormatError::Malformed`] for
    /// what is no array of UTF-8 strings.
    pub fn texts(&self, key: &str, count_max: u64, bytes_max: usize) -> Result<Option<Vec<String>>, FormatError> {
        let Some(array) = self.array(key) else { return Ok(None) };
        if array.item != Type::Text {
            return Err(FormatError::malformed("array", array.at, format!("`{key}` does not hold strings")));
        }
        let mut r = Reader::at(&self.input, array.at);
        let width = if self.version == 1 { 4 } else { 8 };
        let count = r.check_count(array.count, count_max, width, "array length")?;
        let mut out = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
        let mut left = bytes_max;
        for _ in 0..count {
            let len = if width == 4 { r.u32_le("element length")?.into() } else { r.u64_le("element length")? };
            let text = r.utf8(len, left, "array element")?;
            left -= text.len();
            out.push(text);
        }
        Ok(Some(out))
    }

    /// The numbers of `key` as `f64`, at most `count_max`; `None` if there is
    /// no such array.
    ///
    /// # Errors
    /// As [`Self::texts`].
    pub fn numbers(&self, key: &str, count_max: u64) -> Result<Option<Vec<f64>>, FormatError> {
        let Some(array) = self.array(key) else { return Ok(None) };
        let mut r = Reader::at(&self.input, array.at);
        let count = r.check_count(array.count, count_max, 1, "array length")?;
        let mut out = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
        for _ in 0..count {
            out.push(match array.item {
                Type::Bool | Type::Unsigned(1) => r.u8("element")?.into(),
                Type::Signed(1) => r.u8("element")?.cast_signed().into(),
                Type::Unsigned(2) => r.u16_le("element")?.into(),
                Type::Signed(2) => r.u16_le("element")?.cast_signed().into(),
                Type::Unsigned(4) => r.u32_le("element")?.into(),
                Type::Signed(4) => r.i32_le("element")?.into(),
                Type::Float(4) => f32::from_bits(r.u32_le("element")?).into(),
                Type::Float(8) => r.f64_le("element")?,
                _ => return Err(FormatError::malformed("array", array.at, format!("`{key}` does not hold numbers"))),
            });
        }
        Ok(Some(out))
    }
}
