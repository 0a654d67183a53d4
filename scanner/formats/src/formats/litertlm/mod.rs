//! LiteRT-LM bundles (`schema/core/litertlm_header_schema.fbs`): a header, a
//! FlatBuffer that lists sections, and sections on boundaries of 16 KiB:
//! models, tokenizers, metadata.

mod rules;
#[cfg(test)]
mod tests;

use std::ops::Range;

use crate::codec::flatbuffers::{FlatBuffer, Table, inspect_trailing};
use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Reader, Recognise, Scope, Sniff};

const MAGIC: &[u8] = b"LITERTLM";
/// Where the FlatBuffer starts.
const HEADER_AT: u64 = 32;
/// Most sections in one bundle.
const SECTIONS_MAX: u32 = 4096;
/// Longest text of the system metadata.
const TEXT_BYTES_MAX: usize = 64 * 1024;
/// `VData` that holds text.
const STRING_VALUE: u8 = 9;
/// `AnySectionDataType`, by number.
const KINDS: &[&str] = &[
    "none",
    "binary",
    "deprecated",
    "model.tflite",
    "tokenizer.model",
    "llm_metadata.pb",
    "tokenizer.json.zlib",
    "weights",
    "executor_metadata.pb",
];

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "litertlm",
    name: "LiteRT-LM bundle",
    extensions: &["litertlm"],
    runs_code: false,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Bytes(recognise),
    inspect,
    rules: rules::ALL,
};

fn recognise(sniff: &Sniff<'_>) -> Confidence {
    if sniff.starts_with(MAGIC) { Confidence::Certain } else { Confidence::No }
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let mut r = Reader::new(input);
    r.magic(MAGIC)?;
    let [major, minor, patch] = [r.u32_le("major version")?, r.u32_le("minor version")?, r.u32_le("patch version")?];
    ctx.fact("format_version", format!("{major}.{minor}.{patch}"));
    r.skip(4, "padding")?;
    let header_end = r.u64_le("header end offset")?;
    if header_end <= HEADER_AT || header_end > input.len() {
        return Err(FormatError::malformed("header end offset", 24, format!("{header_end} of {}", input.len())));
    }
    let header =
        input.slice(HEADER_AT, header_end - HEADER_AT).ok_or_else(|| FormatError::truncated("header", HEADER_AT))?;
    let buffer = FlatBuffer::new(&header);
    let root = buffer.root()?;
    if let Some(system) = root.table(0, "system_metadata")? {
        told(ctx, &system)?;
    }
    let Some(list) = root.table(1, "section_metadata")?.map(|t| t.vector(0, 4, "sections")).transpose()?.flatten()
    else {
        return Err(FormatError::malformed("section_metadata", HEADER_AT, "no sections"));
    };
    if list.len() > SECTIONS_MAX {
        return Err(FormatError::limit("litertlm_sections_max", SECTIONS_MAX.into()));
    }
    let mut end = header_end;
    let mut kinds = Vec::new();
    for (number, section) in list.tables("section").enumerate() {
        ctx.work(1)?;
        let section = section?;
        let range = section.u64(1, 0, "begin_offset")?..section.u64(2, 0, "end_offset")?;
        let kind = section.u8(3, 0, "data_type")?;
        kinds.push(KINDS.get(usize::from(kind)).copied().unwrap_or("unknown"));
        end = end.max(inspect_section(ctx, input, number, kind, range));
    }
    ctx.fact("sections", kinds);
    inspect_trailing(ctx, input, end)
}

/// The system metadata that is text.
fn told(ctx: &mut Inspection<'_>, system: &Table<'_>) -> Result<(), FormatError> {
    for entry in system.vector(0, 4, "system entries")?.into_iter().flat_map(|v| v.tables("system entry")).take(256) {
        let entry = entry?;
        let key = entry.string(0, TEXT_BYTES_MAX, "system key")?.unwrap_or_default();
        if entry.u8(1, 0, "value type")? == STRING_VALUE
            && let Some(value) = entry.table(2, "value")?
            && let Some(text) = value.string(0, TEXT_BYTES_MAX, "value text")?
        {
            ctx.fact(&key.to_lowercase(), text);
        }
    }
    Ok(())
}

/// Inspects one section by what it turns out to be; returns where it ends.
fn inspect_section(ctx: &mut Inspection<'_>, input: &Input, number: usize, kind: u8, range: Range<u64>) -> u64 {
    let content = range.end.checked_sub(range.start).and_then(|len| input.slice(range.start, len));
    let Some(content) = content else {
        let detail = format!("section {number}: {} to {} of {}", range.start, range.end, input.len());
        ctx.find(&rules::SECTION_OUTSIDE, None, detail);
        return 0;
    };
    let name = KINDS.get(usize::from(kind)).copied().unwrap_or("unknown");
    if name == "weights" {
        ctx.opaque(input, range.clone());
    } else if name == "tokenizer.json.zlib" {
        // The size of the unpacked text stands in front of the stream.
        ctx.child(&format!("section-{number}-{name}"), &content.tail_from(8));
    } else if !content.is_empty() {
        ctx.child(&format!("section-{number}-{name}"), &content);
    }
    range.end
}
