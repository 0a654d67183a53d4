//! R objects (`saveRDS`, `save`, `serialize`): the format of "R Internals",
//! section 1.8, in its three encodings. What R would rebuild is walked, and
//! the calls in it are written out.

mod calls;
mod decode;
mod rules;
#[cfg(test)]
mod tests;
mod value;
mod walk;

use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Recognise, Scope, Sniff};
use decode::Decoder;

/// Workspaces: `save` puts one of these in front.
const WORKSPACES: &[&[u8]] = &[b"RDX2\n", b"RDX3\n", b"RDA2\n", b"RDA3\n", b"RDB2\n", b"RDB3\n"];
/// Longest name of the native encoding.
const ENCODING_BYTES_MAX: usize = 256;
/// Zero bytes that may follow the object.
const PADDING_BYTES_MAX: usize = 4096;

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "r-rds",
    name: "R object",
    extensions: &["rds", "rda", "rdata", "robj"],
    runs_code: true,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Bytes(recognise),
    inspect,
    rules: rules::ALL,
};

fn recognise(sniff: &Sniff<'_>) -> Confidence {
    if WORKSPACES.iter().any(|magic| sniff.starts_with(magic)) && sniff.head.get(6) == Some(&b'\n') {
        return Confidence::Certain;
    }
    match sniff.head {
        // Version, then that of the writer: `0, major, minor, patch`.
        [b'X', b'\n', 0, 0, 0, 1..=64, 0, 1..=9, _, _, 0, ..] => Confidence::Certain,
        [b'B', b'\n', 1..=64, 0, 0, 0, _, _, 1..=9, 0, ..] => Confidence::Certain,
        [b'A', b'\n', b'2' | b'3', b'\n', b'1'..=b'9', b'0'..=b'9', ..] => Confidence::Likely,
        _ => Confidence::No,
    }
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let head = input.head(5).map_err(|source| FormatError::Io { offset: 0, source })?;
    let start = if WORKSPACES.contains(&head.as_slice()) { 5 } else { 0 };
    ctx.fact("kind", if start > 0 { "workspace" } else { "object" });
    let mut decoder = Decoder::new(input, start)?;
    let version = decoder.int("version")?;
    let writer = decoder.int("writer version")?;
    decoder.int("reader version")?;
    ctx.fact("format_version", version);
    ctx.fact("producer", format!("R {}.{}.{}", writer >> 16, writer >> 8 & 0xff, writer & 0xff));
    match version {
        2 => {}
        3 => {
            let len = decoder.int("encoding length")?;
            let encoding = decoder.text(len, ENCODING_BYTES_MAX, "encoding")?;
            ctx.fact("encoding", encoding);
        }
        _ => return Err(FormatError::malformed("version", start + 2, format!("{version}, neither 2 nor 3"))),
    }
    let mut walk = walk::Walk::new(decoder);
    walk.object(ctx)?;
    let end = walk.position();
    let rest = input.read_vec(end, PADDING_BYTES_MAX).map_err(|source| FormatError::Io { offset: end, source })?;
    if rest.iter().any(|b| !matches!(b, 0 | b'\n')) {
        ctx.find(&rules::TRAILING, end, format!("{} bytes follow the object", input.len() - end));
        let tail = input.tail_from(end);
        ctx.child("trailing", &tail);
        // What follows may be objects in the same encoding.
        let mut more = walk::Walk::new(Decoder::resumed(input, end, walk.encoding()));
        while more.position() < input.len() && more.object(ctx).is_ok() {}
    }
    Ok(())
}
