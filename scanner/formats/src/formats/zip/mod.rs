//! ZIP archives that no model format claimed: every member is looked at, and
//! inspected if it turns out to be something.

use crate::codec::zip::{self, Listing, rules};
use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Recognise, Scope, Sniff};

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "zip",
    name: "ZIP archive",
    extensions: &["zip"],
    runs_code: false,
    is_model: false,
    scope: Scope::Anywhere,
    recognise: Recognise::Bytes(recognise),
    inspect,
    rules: rules::ALL,
};

/// Extensions of formats that are ZIP archives and whose readers look for the
/// archive from the end of the file, so that other bytes may stand before it.
const ZIP_EXTENSIONS: &[&str] =
    &["zip", "pt", "pth", "ckpt", "bin", "pkl", "keras", "npz", "mar", "skops", "pt2", "ptl", "whl", "jar"];

fn recognise(sniff: &Sniff<'_>) -> Confidence {
    // The last two: markers of archives that were to be split (APPNOTE 8.5.4).
    if sniff.starts_with(b"PK\x03\x04")
        || sniff.starts_with(b"PK\x05\x06")
        || sniff.starts_with(b"PK\x07\x08PK\x03\x04")
        || sniff.starts_with(b"PK00PK\x03\x04")
    {
        return Confidence::Likely;
    }
    let may_have_prefix = sniff.name.has_extension(ZIP_EXTENSIONS) || sniff.starts_with(b"#!");
    if may_have_prefix && ends_like_zip(sniff.tail()) { Confidence::Likely } else { Confidence::No }
}

/// An end record whose comment ends with the file.
fn ends_like_zip(tail: &[u8]) -> bool {
    memchr::memmem::rfind(tail, b"PK\x05\x06").and_then(|at| tail.get(at..)).is_some_and(|record| {
        let comment = record.get(20..22).and_then(<[u8]>::first_chunk).map(|c| u16::from_le_bytes(*c));
        comment.is_some_and(|len| record.len() == 22 + usize::from(len))
    })
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let listing = Listing::read(input)?;
    zip::inspect_archive(ctx, input, &listing)
}

#[cfg(test)]
mod tests;
