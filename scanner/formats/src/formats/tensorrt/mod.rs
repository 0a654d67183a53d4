//! TensorRT engines ("plans"): opaque GPU code with a short header, sometimes
//! behind the JSON header that export tools put in front.

use crate::codec::json;
use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Reader, Recognise, Scope, Sniff};

mod rules;
#[cfg(test)]
mod tests;

/// Longest JSON header in front of an engine, bytes.
const JSON_BYTES_MAX: usize = 1 << 20;
/// Bytes at the start of an engine in which plugin names stand.
const NAMES_BYTES_MAX: usize = 1 << 20;

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "tensorrt",
    name: "TensorRT engine",
    extensions: &["engine", "plan", "trt"],
    runs_code: false,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Bytes(recognise),
    inspect,
    rules: rules::ALL,
};

fn recognise(sniff: &Sniff<'_>) -> Confidence {
    if is_engine(sniff.head) {
        return Confidence::Likely;
    }
    // `u32 length, {json}, engine`: the length is only compared here.
    let json = sniff.u32_le(0).is_some_and(|n| (2..1 << 20).contains(&n) && u64::from(n) + 8 < sniff.len);
    let named = sniff.name.has_extension(FORMAT.extensions);
    if json && named && sniff.has_at(4, b"{\"") { Confidence::Plausible } else { Confidence::No }
}

/// `ptrt` or `ftrt`, then a version whose upper bytes are zero.
fn is_engine(head: &[u8]) -> bool {
    (head.starts_with(b"ptrt") || head.starts_with(b"ftrt")) && head.get(5..8) == Some(&[0, 0, 0])
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let mut engine = input.clone();
    let mut r = Reader::new(input);
    if !is_engine(r.peek(8)?) {
        let length = r.u32_le("json header length")?;
        let start = r.position();
        r.skip(length.into(), "json header")?;
        let header = input.slice(start, length.into()).ok_or_else(|| FormatError::truncated("json header", start))?;
        let document = json::parse(&header, JSON_BYTES_MAX)?;
        for key in ["description", "author", "license", "task", "names", "imgsz", "version"] {
            if let Some(value) = document.value.get(key) {
                ctx.fact(key, value.clone());
            }
        }
        engine = input.tail_from(r.position());
    }
    let mut r = Reader::new(&engine);
    if !is_engine(r.peek(8)?) {
        return Err(FormatError::malformed("engine signature", input.len() - engine.len(), "neither ptrt nor ftrt"));
    }
    r.skip(4, "engine signature")?;
    ctx.fact("format_version", r.u32_le("engine version")?);
    let body = engine.head(NAMES_BYTES_MAX).map_err(|source| FormatError::Io { offset: 0, source })?;
    for mark in [b"PluginV2".as_slice(), b"PluginV3", b"IPluginV2"] {
        if let Some(at) = memchr::memmem::find(&body, mark) {
            let at = input.len() - engine.len() + at as u64;
            ctx.find(&rules::PLUGIN, at, format!("names `{}`", String::from_utf8_lossy(mark)));
            break;
        }
    }
    Ok(())
}
