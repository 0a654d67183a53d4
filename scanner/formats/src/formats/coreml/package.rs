//! Files of an `.mlpackage` and `.mlmodelc` beside the model itself.

use serde_json::Value;
use weighbridge_types::LinkKind;

use crate::codec::json;
use crate::codec::location::{Reach, reach};
use crate::core::{FormatError, Input, Inspection, Reader};

use super::model::in_model;
use super::rules;

/// Largest manifest.
const MANIFEST_BYTES_MAX: usize = 4 << 20;
/// Longest line of a program; constants stand in lines.
const LINE_BYTES_MAX: usize = 16 << 20;
/// Records of one blob file.
const RECORDS_MAX: u64 = 1_000_000;
/// Size and alignment of header and records.
const RECORD_BYTES: u64 = 64;

/// `Manifest.json`: the items of a package.
pub fn manifest(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let document = json::parse(input, MANIFEST_BYTES_MAX)?;
    let Some(Value::Object(items)) = document.value.get("itemInfoEntries") else { return Ok(()) };
    for (id, item) in items {
        ctx.work(1)?;
        let Some(path) = item.get("path").and_then(Value::as_str) else { continue };
        match reach(path) {
            Reach::Inside => ctx.link(LinkKind::ExternalData, &format!("Data/{path}")),
            Reach::Odd(reason) | Reach::Outside(reason) => {
                ctx.find(&rules::PATH_OUTSIDE, None, format!("item `{id}` is `{path}`: {reason}"));
            }
        }
    }
    if let Some(version) = document.value.get("fileFormatVersion").and_then(Value::as_str) {
        ctx.fact("format_version", version);
    }
    Ok(())
}

/// `weight.bin` (MIL blob storage, version 2): a header with a count, then
/// records, each followed by its data.
pub fn weights(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let mut r = Reader::new(input);
    let count = u64::from(r.u32_le("count")?);
    ctx.fact("tensor_count", count);
    r.seek(RECORD_BYTES, "header")?;
    r.check_count(count, RECORDS_MAX, RECORD_BYTES, "count")?;
    for _ in 0..count {
        ctx.work(1)?;
        let at = r.position();
        r.magic(&[0xef, 0xbe, 0xad, 0xde])?;
        r.skip(4, "data type")?;
        let size = r.u64_le("size")?;
        let offset = r.u64_le("offset")?;
        let end = offset.checked_add(size).filter(|end| *end <= input.len());
        let end = end.ok_or_else(|| FormatError::truncated("weight data", at))?;
        if offset < at + RECORD_BYTES {
            return Err(FormatError::malformed("offset", at, "points back into the records"));
        }
        ctx.opaque(input, offset..end);
        r.seek(end.next_multiple_of(RECORD_BYTES).min(input.len()), "next record")?;
    }
    Ok(())
}

/// `model.mil`: a program as text; its files are named `BLOBFILE(path = …`.
pub fn program(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let mut r = Reader::new(input);
    let mut custom = false;
    while !r.at_end() {
        ctx.work(1)?;
        let at = r.position();
        let Ok(line) = r.line(LINE_BYTES_MAX, "line") else {
            // The last line may lack its end.
            break;
        };
        for start in memchr::memmem::find_iter(&line, b"BLOBFILE(") {
            let quoted = line.get(start..).unwrap_or_default().split(|b| *b == b'"').nth(1);
            check_blob_file(ctx, &String::from_utf8_lossy(quoted.unwrap_or_default()), at + start as u64);
        }
        let is_custom =
            [&b"= custom("[..], b"= custom_"].iter().any(|mark| memchr::memmem::find(&line, mark).is_some());
        if is_custom && !custom {
            custom = true;
            ctx.find(&rules::CUSTOM_LAYER, at, String::from_utf8_lossy(line.trim_ascii()));
        }
    }
    Ok(())
}

/// Weights lie in the model's own folder.
pub fn check_blob_file(ctx: &mut Inspection<'_>, name: &str, at: u64) {
    match reach(in_model(name)) {
        Reach::Inside => ctx.link(LinkKind::ExternalData, in_model(name)),
        Reach::Odd(reason) | Reach::Outside(reason) => {
            ctx.find(&rules::PATH_OUTSIDE, at, format!("weights in `{name}`: {reason}"));
        }
    }
}
