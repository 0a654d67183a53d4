//! Darknet: `.cfg` networks as text, `.weights` as a short header and floats.

use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Reader, Recognise, Scope, Sniff};

#[cfg(test)]
mod tests;

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "darknet",
    name: "Darknet",
    extensions: &["weights", "cfg"],
    runs_code: false,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Bytes(recognise),
    inspect,
    rules: &[],
};

/// Sections that networks begin with.
const SECTIONS: &[&[u8]] = &[b"[net]", b"[network]"];

fn recognise(sniff: &Sniff<'_>) -> Confidence {
    let text = sniff.text();
    if SECTIONS.iter().any(|s| text.starts_with(s))
        && [&b"channels="[..], b"batch=", b"width=", b"[convolutional]", b"[connected]"]
            .iter()
            .any(|m| sniff.contains(m))
    {
        return Confidence::Likely;
    }
    // i32 major, minor, revision: no signature, so the name must agree.
    let small = |at, max| sniff.u32_le(at).is_some_and(|v| v <= max);
    let floats = sniff.len >= 20 && sniff.len.is_multiple_of(4);
    if sniff.name.has_extension(&["weights"]) && floats && small(0, 1000) && small(4, 1000) && small(8, 1000) {
        Confidence::Plausible
    } else {
        Confidence::No
    }
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let mut r = Reader::new(input);
    let head = r.peek(4096)?.to_vec();
    let text = head.trim_ascii_start();
    if SECTIONS.iter().any(|s| text.starts_with(s)) {
        ctx.fact("architecture", "darknet");
        return Ok(());
    }
    let major = r.u32_le("major version")?;
    let minor = r.u32_le("minor version")?;
    r.skip(4, "revision")?;
    // The counter grew to 64 bits with version 0.2.
    let wide = major.saturating_mul(10).saturating_add(minor) >= 2;
    let seen = if wide { r.u64_le("images seen")? } else { r.u32_le("images seen")?.into() };
    ctx.fact("format_version", format!("{major}.{minor}"));
    ctx.fact("images_seen", seen);
    ctx.fact("parameters", r.remaining() / 4);
    ctx.opaque(input, r.position()..input.len());
    Ok(())
}
