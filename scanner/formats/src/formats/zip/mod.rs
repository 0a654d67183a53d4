//! ZIP archives that no model format claimed: every member is inspected as
//! what it turns out to be.

use crate::codec::zip::Listing;
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
    rules: &[],
};

fn recognise(sniff: &Sniff<'_>) -> Confidence {
    if sniff.starts_with(b"PK\x03\x04") || sniff.starts_with(b"PK\x05\x06") {
        Confidence::Likely
    } else {
        Confidence::No
    }
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let listing = Listing::read(input)?;
    for member in &listing.members {
        if member.name.ends_with('/') {
            continue;
        }
        match listing.open(ctx, input, member) {
            Ok((content, stopped)) => {
                ctx.child(&member.name, &content);
                if let Some(error) = stopped {
                    ctx.stopped(&error);
                }
            }
            Err(error) => ctx.stopped(&error),
        }
    }
    Ok(())
}
