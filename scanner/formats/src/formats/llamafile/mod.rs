//! llamafile: an executable, a ZIP archive behind it, a stored GGUF in that
//! (Mozilla-Ocho/llamafile README, "How llamafile works").

mod arguments;
pub(crate) mod rules;
#[cfg(test)]
mod tests;

use crate::codec::zip::{Listing, Member};
use crate::core::{Confidence, FileName, FormatError, FormatSpec, Input, Inspection, Recognise, Scope, Sniff};
use crate::formats::gguf;

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "llamafile",
    name: "llamafile",
    extensions: &["llamafile"],
    runs_code: true,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Bytes(recognise),
    inspect,
    rules: rules::ALL,
};

/// An executable with the end of a ZIP archive in its last bytes. Whether the
/// archive holds weights is for [`confirms`]: installers look the same
/// up to here.
fn recognise(sniff: &Sniff<'_>) -> Confidence {
    let ape = sniff.starts_with(b"MZqFpD") || sniff.starts_with(b"jartsr=");
    let native = sniff.starts_with(b"\x7fELF")
        || sniff.starts_with(b"MZ")
        || sniff.starts_with(b"\xcf\xfa\xed\xfe")
        || sniff.starts_with(b"\xca\xfe\xba\xbe");
    if (ape || native) && memchr::memmem::rfind(sniff.tail(), b"PK\x05\x06").is_some() {
        Confidence::Likely
    } else {
        Confidence::No
    }
}

/// Whether the archive behind the executable holds a GGUF, or, under the
/// name of a llamafile, the arguments to fetch one.
#[must_use]
pub fn confirms(listing: &Listing, name: &FileName) -> bool {
    listing.members.iter().any(is_weights) || name.has_extension(FORMAT.extensions) && listing.get(".args").is_some()
}

fn is_weights(member: &Member) -> bool {
    member.name.to_ascii_lowercase().ends_with(".gguf")
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let listing = Listing::read(input)?;
    ctx.find(
        &rules::IS_A_PROGRAM,
        0,
        format!("the first {} bytes are an executable", listing.prefix_bytes.max(listing.central_start)),
    );
    for member in &listing.members {
        if member.name.ends_with('/') {
            continue;
        }
        ctx.work(1)?;
        if leaves_folder(&member.name) {
            ctx.find(&rules::MEMBER_PATH, member.central_header, format!("the member `{}`", member.name));
        }
        match listing.open(ctx, input, member) {
            Ok((content, stopped)) => {
                inspect_member(ctx, &member.name, &content)?;
                if let Some(error) = stopped {
                    ctx.stopped(&error);
                }
            }
            Err(error) => ctx.stopped(&error),
        }
    }
    Ok(())
}

fn inspect_member(ctx: &mut Inspection<'_>, name: &str, content: &Input) -> Result<(), FormatError> {
    let gguf = content.head(4).is_ok_and(|head| head == b"GGUF");
    if name.to_ascii_lowercase().ends_with(".gguf") && gguf {
        let inspected = ctx.within(name, content, |ctx, content| {
            if let Err(error) = gguf::inspect(ctx, content) {
                ctx.stopped(&error);
            }
            ctx.name().as_given().to_owned()
        });
        ctx.fact("weights", inspected);
    } else if name == ".args" {
        ctx.within(name, content, arguments::inspect)?;
    } else {
        if content.head(2).is_ok_and(|head| head == b"#!") {
            ctx.find(&rules::MEMBER_SCRIPT, None, format!("the member `{name}` is a script"));
        }
        ctx.child(name, content);
    }
    Ok(())
}

fn leaves_folder(name: &str) -> bool {
    let drive = name.get(1..2) == Some(":");
    name.starts_with(['/', '\\']) || drive || name.split(['/', '\\']).any(|part| part == "..")
}
