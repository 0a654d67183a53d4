//! safetensors (`safetensors/src/tensor.rs`, read as strictly as that
//! library does).

pub mod catalogue;
mod facts;
mod header;
mod layout;
mod metadata;
pub(crate) mod rules;
#[cfg(test)]
mod tests;

use crate::codec::norms::Norms;
use crate::codec::tensors::{Element, Survey};
use crate::codec::zip::Listing;
use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Recognise, Scope, Sniff};
use header::{Dtype, Header};

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "safetensors",
    name: "safetensors",
    extensions: &["safetensors"],
    runs_code: false,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Bytes(recognise),
    inspect,
    rules: rules::ALL,
};

/// Bytes at the end in which an archive's end record stands (APPNOTE 4.3.16:
/// 22 bytes and a comment of up to 65,535).
const ARCHIVE_TAIL_BYTES: usize = 65_557;
/// Longest header the library reads (`MAX_HEADER_SIZE`).
const HEADER_BYTES_MAX: u64 = 100_000_000;
/// Bytes of the length before the header.
const LENGTH_BYTES: u64 = 8;

fn recognise(sniff: &Sniff<'_>) -> Confidence {
    let Some(length) = sniff.u64_le(0) else { return Confidence::No };
    let fits = (2..=HEADER_BYTES_MAX).contains(&length)
        && length.checked_add(LENGTH_BYTES).is_some_and(|end| end <= sniff.len);
    let object = sniff.head.get(8..).and_then(|h| h.strip_prefix(b"{")).map(<[u8]>::trim_ascii_start);
    let object = object.is_some_and(|rest| matches!(rest.first(), Some(b'"' | b'}')));
    let named = sniff.name.has_extension(&["safetensors"]);
    match (object, fits) {
        (true, true) => Confidence::Certain,
        // A length that lies, or a header that starts otherwise.
        (true, false) if named => Confidence::Likely,
        (false, true) if named => Confidence::Plausible,
        // JSON that some other program saved under this name.
        _ if named && sniff.text().starts_with(b"{") => Confidence::Plausible,
        // Broken off inside the header.
        (true, false) if length <= HEADER_BYTES_MAX && sniff.contains(b"\"data_offsets\"") => Confidence::Likely,
        _ => Confidence::No,
    }
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let length = header::length(ctx, input)?;
    let content = input.slice(LENGTH_BYTES, length).ok_or_else(|| FormatError::truncated("header", LENGTH_BYTES))?;
    let mut header = Header::default();
    let parsed = header::read(&content, &mut header);
    header.report(ctx);
    facts::report(ctx, &header, parsed.is_ok());
    ctx.work(header.tensors.len() as u64)?;
    if parsed.is_err() {
        // What follows a header that no library reads may be anything.
        let rest = input.tail_from(LENGTH_BYTES + length);
        archive_at_end(ctx, input, &[]);
        if !rest.is_empty() && header.tensors.is_empty() {
            ctx.child("bytes after the header", &rest);
        }
        return parsed;
    }
    let start = LENGTH_BYTES + length;
    header.tensors.sort_by_key(|t| (t.begin, t.end));
    let end = layout::check(ctx, input, start, &header);
    archive_at_end(ctx, input, &header.tensors);
    let end = end?;
    ctx.opaque(input, start..end);
    let mut survey = Survey::new(false);
    let mut norms = Norms::new(false);
    for tensor in &header.tensors {
        let element = match tensor.dtype {
            Dtype::F64 => Element::F64,
            Dtype::F32 => Element::F32,
            Dtype::F16 => Element::F16,
            Dtype::Bf16 => Element::Bf16,
            _ => Element::Other,
        };
        let range = start.saturating_add(tensor.begin)..start.saturating_add(tensor.end);
        survey.tensor(ctx, input, range.clone(), element, &|| header.name(tensor))?;
        if tensor.rank == 1 {
            norms.tensor(ctx, input, range, element, &header.name(tensor))?;
        }
    }
    norms.report(ctx);
    Ok(())
}

/// A ZIP directory at the end makes the same bytes an archive. Where the
/// archive is exactly the last tensor, that tensor is one.
fn archive_at_end(ctx: &mut Inspection<'_>, input: &Input, tensors: &[header::Tensor]) {
    // An archive that readers find ends with its directory; looking for more
    // would read every tensor.
    let tail = input.tail(ARCHIVE_TAIL_BYTES).unwrap_or_default();
    if memchr::memmem::find(&tail, b"PK\x05\x06").is_none() {
        return;
    }
    let Ok(listing) = Listing::read(input) else { return };
    if listing.members.is_empty() {
        return;
    }
    let archive = input.tail_from(listing.prefix_bytes);
    let whole_tensor = tensors.last().is_some_and(|t| t.end.checked_sub(t.begin) == Some(archive.len()));
    if !whole_tensor {
        ctx.find(
            &rules::ALSO_ARCHIVE,
            listing.end_record,
            format!("a ZIP archive of {} members ends with the file", listing.members.len()),
        );
    }
    ctx.child("ZIP archive at the end", &archive);
}
