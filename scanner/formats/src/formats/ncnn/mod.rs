//! ncnn: a text (or binary) list of layers, and weights without a signature.

use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Reader, Recognise, Scope, Sniff};
use weighbridge_types::LinkKind;

mod rules;
#[cfg(test)]
mod tests;

/// First line of a text parameter file.
const TEXT_MAGIC: &[u8] = b"7767517";
/// First word of a binary parameter file.
const BINARY_MAGIC: u32 = 0x0076_85dd;
/// Most layers read.
const LAYERS_MAX: u64 = 1_000_000;
/// Longest line, bytes.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "ncnn",
    name: "ncnn",
    extensions: &["param", "bin"],
    runs_code: false,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Bytes(recognise),
    inspect,
    rules: rules::ALL,
};

fn recognise(sniff: &Sniff<'_>) -> Confidence {
    let counts = |text: &[u8]| {
        let line = text.split(|b| *b == b'\n').nth(1).unwrap_or_default();
        let mut fields = line.split(u8::is_ascii_whitespace).filter(|f| !f.is_empty());
        let number = |f: Option<&[u8]>| f.is_some_and(|f| f.iter().all(u8::is_ascii_digit));
        number(fields.next()) && number(fields.next()) && fields.next().is_none()
    };
    if sniff.starts_with(TEXT_MAGIC) && counts(sniff.head) {
        Confidence::Certain
    } else if sniff.u32_le(0) == Some(BINARY_MAGIC) && sniff.name.as_str().ends_with(".param.bin") {
        Confidence::Likely
    } else {
        Confidence::No
    }
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let mut r = Reader::new(input);
    if r.peek(TEXT_MAGIC.len())? != TEXT_MAGIC {
        r.skip(4, "magic")?;
        let layers = r.u32_le("layer count")?;
        ctx.fact("layers", layers);
        return Ok(());
    }
    if let Some(stem) = ctx.name().as_str().strip_suffix(".param").map(str::to_owned) {
        ctx.link(LinkKind::ExternalData, &format!("{stem}.bin"));
    }
    r.line(LINE_BYTES_MAX, "magic")?;
    let counts = String::from_utf8_lossy(&r.line(LINE_BYTES_MAX, "layer and blob counts")?).into_owned();
    let layers: u64 = counts.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0);
    ctx.fact("layers", layers);
    // The last line may lack its newline.
    for _ in 0..layers.min(LAYERS_MAX) {
        if r.at_end() {
            return Err(FormatError::truncated("layer", r.position()));
        }
        ctx.work(1)?;
        let at = r.position();
        let Ok(line) = r.line(LINE_BYTES_MAX, "layer") else { break };
        let kind = line.split(u8::is_ascii_whitespace).next().unwrap_or_default();
        // Custom layers need code registered by the program that loads them.
        if kind.iter().any(|b| !b.is_ascii_alphanumeric() && *b != b'_') || kind.is_empty() {
            return Err(FormatError::malformed("layer type", at, "not a name"));
        }
        if kind.starts_with(b"Custom") || kind.contains(&b'.') {
            ctx.find(&rules::CUSTOM_LAYER, at, String::from_utf8_lossy(kind));
        }
    }
    Ok(())
}
