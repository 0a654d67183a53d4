use crate::codec::protobuf::{Peek, PeekedValue, is_text};
use crate::core::{Confidence, Sniff};

/// Kinds of files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// `ProgramDesc`
    Program,
    /// A program of Paddle 3.
    Json,
    /// Tensors one after the other.
    Params,
    /// Paddle-Lite, with the version of the tool that optimised it.
    Lite(String),
}

pub fn recognise(sniff: &Sniff<'_>) -> Confidence {
    match part(sniff.head) {
        Some(Part::Program) => Confidence::Certain,
        Some(Part::Json | Part::Params) => Confidence::Likely,
        Some(Part::Lite(_)) if sniff.name.has_extension(&["nb"]) => Confidence::Likely,
        _ => Confidence::No,
    }
}

/// What starts with `head`.
pub fn part(head: &[u8]) -> Option<Part> {
    if is_program(head) {
        return Some(Part::Program);
    }
    let text = head.trim_ascii_start();
    let has = |mark: &[u8]| memchr::memmem::find(text, mark).is_some();
    if text.starts_with(b"{") && has(b"\"base_code\"") && has(b"\"magic\"") && has(b"\"pir\"") {
        return Some(Part::Json);
    }
    if is_params(head) {
        return Some(Part::Params);
    }
    lite_version(head).map(Part::Lite)
}

/// A block: its index is 0, its parent none, then variables with names.
fn is_program(head: &[u8]) -> bool {
    let Some(block) = Peek::new(head).next().and_then(|f| f.body(1)) else { return false };
    let mut fields = Peek::new(block);
    let is_root = fields.next().is_some_and(|f| f.varint(1) == Some(0))
        && fields.next().is_some_and(|f| f.varint(2).is_some_and(|parent| parent == 0 || parent >= 0xffff_ffff));
    let is_entry = |entry: &[u8]| match Peek::new(entry).next() {
        Some(first) => matches!((first.number, first.value), (1..=3, PeekedValue::Bytes(..))),
        None => false,
    };
    is_root
        && fields.next().is_some_and(|f| match (f.number, f.value) {
            (3, PeekedValue::Bytes(variable, _)) => {
                Peek::new(variable).next().and_then(|f| f.body(1)).is_some_and(|name| !name.is_empty() && is_text(name))
            }
            (4, PeekedValue::Bytes(operator, _)) => is_entry(operator),
            _ => false,
        })
}

/// `LoDTensor`: version 0, no levels, version 0, then a small description
/// that starts with the data type.
fn is_params(head: &[u8]) -> bool {
    let Some((zeros, rest)) = head.split_first_chunk::<16>() else { return false };
    let Some((len, description)) = rest.split_first_chunk::<4>() else { return false };
    let len = u32::from_le_bytes(*len);
    let fields = description.get(..usize::try_from(len).unwrap_or(usize::MAX));
    zeros == &[0; 16]
        && (2..=128).contains(&len)
        && fields.is_some_and(|fields| {
            Peek::new(fields).next().is_some_and(|f| f.varint(1).is_some_and(|t| t <= 40))
                && Peek::new(fields).skip(1).all(|f| f.number == 2)
        })
}

/// A meta version of 0 to 2, then 16 bytes of text (`v2.12`).
fn lite_version(head: &[u8]) -> Option<String> {
    let (meta, rest) = head.split_first_chunk::<2>()?;
    let text = rest.get(..16)?;
    let end = text.iter().position(|b| *b == 0).unwrap_or(text.len());
    let (version, padding) = text.split_at_checked(end)?;
    let digits = version.strip_prefix(b"v").unwrap_or(version);
    let fits = matches!(meta, [0..=2, 0])
        && digits.first().is_some_and(u8::is_ascii_digit)
        && version.len() >= 3
        && version.iter().all(u8::is_ascii_graphic)
        && padding.iter().all(|b| *b == 0);
    fits.then(|| String::from_utf8_lossy(version).into_owned())
}
