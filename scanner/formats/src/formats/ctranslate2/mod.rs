//! CTranslate2 `model.bin` (faster-whisper and translation models).

use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Reader, Recognise, Scope, Sniff};

mod rules;
#[cfg(test)]
mod tests;

/// Most variables in one model.
const VARIABLES_MAX: u64 = 1_000_000;
/// Longest name, bytes.
const NAME_BYTES_MAX: usize = 4096;
/// Smallest variable: empty name, rank, type, length.
const VARIABLE_BYTES_MIN: u64 = 8;
/// Versions of the format seen so far; a few more are let pass.
const VERSION_MAX: u32 = 20;

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "ctranslate2",
    name: "CTranslate2",
    extensions: &["bin"],
    runs_code: false,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Bytes(recognise),
    inspect,
    rules: rules::ALL,
};

/// `u32 version, u16 length, "<Name>Spec\0"`.
fn recognise(sniff: &Sniff<'_>) -> Confidence {
    let version = sniff.u32_le(0).is_some_and(|v| (1..=VERSION_MAX).contains(&v));
    let name = sniff.head.get(6..).and_then(|rest| rest.split(|b| *b == 0).next()).unwrap_or_default();
    let length = sniff
        .head
        .get(4..6)
        .map(|l| u16::from_le_bytes([l.first().copied().unwrap_or(0), l.last().copied().unwrap_or(0)]));
    let fits = length.is_some_and(|l| usize::from(l) == name.len() + 1);
    if version && fits && name.ends_with(b"Spec") && name.iter().all(u8::is_ascii_alphanumeric) {
        Confidence::Certain
    } else {
        Confidence::No
    }
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let mut r = Reader::new(input);
    ctx.fact("format_version", r.u32_le("binary version")?);
    let name = text(&mut r, "specification name")?;
    ctx.fact("architecture", name);
    ctx.fact("revision", r.u32_le("revision")?);
    let count = r.u32_le("variable count")?;
    let count = r.check_count(count.into(), VARIABLES_MAX, VARIABLE_BYTES_MIN, "variable count")?;
    ctx.fact("tensor_count", count);
    let mut parameters: u64 = 0;
    for _ in 0..count {
        ctx.work(1)?;
        let at = r.position();
        text(&mut r, "variable name")?;
        let rank = r.u8("variable rank")?;
        let mut elements: u64 = 1;
        for _ in 0..rank {
            elements = elements.checked_mul(r.u32_le("variable dimension")?.into()).ok_or_else(|| {
                ctx.find(&rules::OVERFLOW, at, "the product of the dimensions overflows 64 bits");
                FormatError::malformed("variable dimensions", at, "overflow")
            })?;
        }
        r.u8("variable type")?;
        let bytes = r.u32_le("variable length")?;
        let start = r.position();
        r.skip(bytes.into(), "variable data")?;
        ctx.opaque(input, start..r.position());
        parameters = parameters.saturating_add(elements);
    }
    ctx.fact("parameters", parameters);
    Ok(())
}

/// `u16 length` and that many bytes, the last of them NUL.
fn text(r: &mut Reader<'_>, field: &'static str) -> Result<String, FormatError> {
    let length = r.u16_le(field)?;
    let at = r.position();
    let bytes = r.bytes(length.into(), NAME_BYTES_MAX, field)?;
    let text = bytes.strip_suffix(b"\0").ok_or_else(|| FormatError::malformed(field, at, "does not end with NUL"))?;
    Ok(String::from_utf8_lossy(text).into_owned())
}
