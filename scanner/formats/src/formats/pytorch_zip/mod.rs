//! `torch.save` since 1.6: a ZIP archive of one pickle, `<root>/data.pkl`, and
//! the storages it names, `<root>/data/<key>` (torch/serialization.py,
//! caffe2/serialize/inline_container.h).

mod dtype;
mod rules;
mod storages;

#[cfg(test)]
pub(crate) mod tests;

use std::collections::HashSet;

use crate::codec::zip::{self, Listing, Member};
use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Recognise, Scope};
use crate::formats::pickle::{self, Dialect, Facts};

pub(crate) use dtype::element;
pub(crate) use rules::{STORAGE_LENGTH, TRAILING_DATA};
pub(crate) use storages::Storages;

/// Longest text of a small member (`version`, `byteorder`) read as a fact.
const TEXT_BYTES_MAX: usize = 64;

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "pytorch-zip",
    name: "PyTorch checkpoint",
    extensions: &["pt", "pth", "bin", "ckpt", "pkl", "tar", "zip", "model", "state", "weights"],
    runs_code: true,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Zip(recognise),
    inspect,
    rules: rules::ALL,
};

/// A `data.pkl` with at least one of its neighbours.
fn recognise(listing: &Listing) -> Confidence {
    const NEIGHBOURS: &[&str] =
        &["version", "byteorder", ".format_version", ".storage_alignment", ".data/serialization_id"];
    let mut best = Confidence::No;
    for member in listing.members.iter().filter(|m| is_named(m, "data.pkl")) {
        let root = root_of(member);
        let beside = |m: &Member| {
            m.name.strip_prefix(root).is_some_and(|rest| NEIGHBOURS.contains(&rest) || rest.starts_with("data/"))
        };
        best = best.max(if listing.members.iter().any(beside) { Confidence::Likely } else { Confidence::Plausible });
        if best == Confidence::Likely {
            break;
        }
    }
    best
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let listing = Listing::read(input)?;
    zip::report_anomalies(ctx, input, &listing)?;
    let mut storages = Storages::of(&listing);
    let mut done = HashSet::new();
    // torch.load opens the `data.pkl` of the first root; other readers others.
    for member in listing.members.iter().filter(|m| is_named(m, "data.pkl")) {
        let root = root_of(member);
        done.insert(member.central_header);
        if let Some(facts) = inspect_pickle(ctx, input, &listing, member, Dialect::Python)? {
            storages.compare(ctx, &facts, |key| format!("{root}data/{key}"))?;
        }
        text_fact(ctx, input, &listing, &format!("{root}version"), "format_version");
    }
    storages.mark_opaque(ctx, input, &listing)?;
    report_unreferenced(ctx, &listing, &storages);
    zip::inspect_members(ctx, input, &listing, |m| !done.contains(&m.central_header) && !storages.settled(m))?;
    storages.facts(ctx);
    Ok(())
}

/// Storages that no pickle names.
fn report_unreferenced(ctx: &mut Inspection<'_>, listing: &Listing, storages: &Storages<'_>) {
    let is_storage = |m: &&Member| {
        let mut parts = m.name.rsplit('/');
        let key = parts.next().unwrap_or_default();
        parts.next() == Some("data") && !key.is_empty() && key.bytes().all(|b| b.is_ascii_digit())
    };
    let mut unreferenced = listing.members.iter().filter(is_storage).filter(|m| !storages.names(&m.name));
    if let Some(first) = unreferenced.next() {
        let count = unreferenced.count() + 1;
        ctx.find(
            &rules::STORAGE_UNREFERENCED,
            first.central_header,
            format!("{count} such members, the first is `{}`", first.name),
        );
    }
}

/// Whether the last component of the member's name is `name`.
pub(crate) fn is_named(member: &Member, name: &str) -> bool {
    member.name.strip_suffix(name).is_some_and(|root| root.is_empty() || root.ends_with('/'))
}

/// The path before the last component, with its slash.
pub(crate) fn root_of(member: &Member) -> &str {
    member.name.rfind('/').and_then(|slash| member.name.get(..=slash)).unwrap_or_default()
}

/// Inspects a member that its reader unpickles. Only the first stream is read
/// by loaders; what follows it is inspected as whatever it is.
pub(crate) fn inspect_pickle(
    ctx: &mut Inspection<'_>,
    input: &Input,
    listing: &Listing,
    member: &Member,
    dialect: Dialect,
) -> Result<Option<Facts>, FormatError> {
    ctx.work(1)?;
    let (content, stopped) = match listing.open(ctx, input, member) {
        Ok(opened) => opened,
        Err(error) => {
            ctx.stopped(&error);
            return Ok(None);
        }
    };
    let facts =
        ctx.within(&member.name, &content, |ctx, content| match pickle::inspect_stream_as(ctx, content, 0, dialect) {
            Ok(facts) => {
                if facts.complete && facts.end < content.len() {
                    let rest = content.tail_from(facts.end);
                    ctx.find(&TRAILING_DATA, facts.end, format!("{} bytes after the pickle", rest.len()));
                    ctx.child("after-the-pickle", &rest);
                }
                Some(facts)
            }
            Err(error) => {
                ctx.stopped(&error);
                None
            }
        });
    if let Some(error) = stopped {
        ctx.stopped(&error);
    }
    Ok(facts)
}

/// Records the text of a small member as a fact.
pub(crate) fn text_fact(ctx: &mut Inspection<'_>, input: &Input, listing: &Listing, member: &str, key: &str) {
    let Some(member) = listing.get(member).filter(|m| m.size <= TEXT_BYTES_MAX as u64) else { return };
    if let Ok((content, None)) = listing.open(ctx, input, member)
        && let Ok(bytes) = content.head(TEXT_BYTES_MAX)
        && let Ok(text) = String::from_utf8(bytes)
    {
        ctx.fact(key, text.trim());
    }
}
