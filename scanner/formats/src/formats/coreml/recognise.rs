use crate::codec::protobuf::{Peek, PeekedValue, is_text};
use crate::core::{Confidence, Sniff};

/// Highest specification version taken for one; the current one is 10.
const VERSION_MAX: u64 = 30;

/// Parts of a package that are no `.mlmodel`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// `Manifest.json`
    Manifest,
    /// `weights/weight.bin`
    Weights,
    /// `model.mil`
    Program,
}

pub fn recognise(sniff: &Sniff<'_>) -> Confidence {
    if part(sniff.head).is_some() {
        return Confidence::Likely;
    }
    let named = sniff.name.has_extension(&["mlmodel"]);
    match model_marks(sniff.head) {
        Some(Marks { described: true, typed: true }) => Confidence::Certain,
        Some(Marks { typed: true, .. }) if named => Confidence::Likely,
        Some(Marks { described: true, .. }) if named => Confidence::Likely,
        _ if named && Peek::new(sniff.head).next().is_some() => Confidence::Plausible,
        _ => Confidence::No,
    }
}

/// Which part of a package starts with `head`.
pub fn part(head: &[u8]) -> Option<Part> {
    let has = |text: &[u8]| memchr::memmem::find(head, text).is_some();
    if head.trim_ascii_start().starts_with(b"{") && has(b"\"itemInfoEntries\"") && has(b"\"fileFormatVersion\"") {
        return Some(Part::Manifest);
    }
    // Blob storage, version 2: a header of 64 bytes, then the first record.
    if head.get(4..8) == Some(&[2, 0, 0, 0]) && head.get(64..68) == Some(&[0xef, 0xbe, 0xad, 0xde]) {
        return Some(Part::Weights);
    }
    if head.starts_with(b"program(") && has(b"[buildInfo") {
        return Some(Part::Program);
    }
    None
}

/// What of a `Model` was seen.
struct Marks {
    /// A description with features or metadata.
    described: bool,
    /// One of the fields that say what kind of model it is.
    typed: bool,
}

fn model_marks(head: &[u8]) -> Option<Marks> {
    let mut fields = Peek::new(head);
    fields.next()?.varint(1).filter(|version| (1..=VERSION_MAX).contains(version))?;
    let mut marks = Marks { described: false, typed: false };
    for field in fields {
        match (field.number, field.value) {
            (2, PeekedValue::Bytes(description, whole)) => {
                marks.described = is_description(description)?;
                if !whole {
                    return Some(marks);
                }
            }
            (10, PeekedValue::Varint(0 | 1)) => {}
            (
                200..=202 | 300..=304 | 400..=404 | 500..=502 | 555 | 556 | 560 | 600..=610 | 900,
                PeekedValue::Bytes(..),
            )
            | (2000..=2006 | 3000, PeekedValue::Bytes(..)) => marks.typed = true,
            _ if marks.typed => return Some(marks),
            _ => return None,
        }
    }
    Some(marks)
}

/// `ModelDescription`: `Some(true)` if it shows a feature's name; `None` if it
/// is none.
fn is_description(body: &[u8]) -> Option<bool> {
    let mut feature = false;
    for field in Peek::new(body) {
        match (field.number, field.value) {
            (1 | 10 | 13 | 20 | 50, PeekedValue::Bytes(inner, _)) => {
                let Some(first) = Peek::new(inner).next() else { continue };
                feature |= first.body(1).filter(|name| !name.is_empty() && is_text(name)).map(|_| true)?;
            }
            (11 | 12 | 21, PeekedValue::Bytes(text, _)) if is_text(text) => {}
            (100, PeekedValue::Bytes(..)) => {}
            _ => return None,
        }
    }
    Some(feature)
}
