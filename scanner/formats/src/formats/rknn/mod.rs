//! Rockchip NPU models: a header, opaque NPU code, and a JSON tail.

use crate::codec::json;
use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Reader, Recognise, Scope, Sniff};

#[cfg(test)]
mod tests;

/// Longest JSON part, bytes.
const JSON_BYTES_MAX: usize = 16 << 20;
/// Bytes of the header: magic, version, length of the data.
const HEADER_BYTES: u64 = 64;

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "rknn",
    name: "RKNN",
    extensions: &["rknn"],
    runs_code: false,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Bytes(recognise),
    inspect,
    rules: &[],
};

fn recognise(sniff: &Sniff<'_>) -> Confidence {
    let version = |at| sniff.u64_le(at).is_some_and(|v| (1..1000).contains(&v));
    if sniff.starts_with(b"CYPTRKNN") || (sniff.starts_with(b"RKNN") || sniff.starts_with(b"RKNX")) && version(8) {
        Confidence::Certain
    } else if sniff.has_at(4, b"RKNN") || sniff.starts_with(b"VPMN") && sniff.name.has_extension(FORMAT.extensions) {
        Confidence::Plausible
    } else {
        Confidence::No
    }
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let mut r = Reader::new(input);
    if r.peek(8)? == b"CYPTRKNN" {
        return Err(FormatError::malformed("RKNN data", 0, "encrypted; it cannot be inspected"));
    }
    r.skip(8, "magic")?;
    ctx.fact("format_version", r.u64_le("version")?);
    let length = r.u64_le("data length")?;
    let Some(json_at) = HEADER_BYTES.checked_add(length).filter(|at| *at < input.len()) else {
        // Version 6 on keeps no JSON: the rest is a flatbuffer and NPU code.
        return Ok(());
    };
    ctx.opaque(input, HEADER_BYTES..json_at);
    let mut r = Reader::at(input, json_at);
    let json_length = r.u64_le("json length")?;
    let Some(part) = input.slice(r.position(), json_length) else {
        return Err(FormatError::truncated("json", r.position()));
    };
    let document = json::parse(&part, JSON_BYTES_MAX)?;
    for (key, fact) in [("name", "name"), ("version", "producer"), ("target_platform", "target_platform")] {
        if let Some(value) = document.value.get(key) {
            ctx.fact(fact, value.clone());
        }
    }
    Ok(())
}
