//! `torch.package`: a ZIP archive of Python sources, executed when the package
//! is imported, and of pickles whose classes they define
//! (torch/package/package_importer.py).

mod rules;

#[cfg(test)]
mod tests;

use std::collections::HashSet;

use crate::codec::python::Trust;
use crate::codec::zip::{self, Listing, Member};
use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Recognise, Scope};
use crate::formats::pickle::Dialect;
use crate::formats::python;
use crate::formats::pytorch_zip::{Storages, inspect_pickle, is_named, root_of, text_fact};

/// Longest list of external modules read, bytes.
const EXTERN_BYTES_MAX: usize = 1 << 20;

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "torch-package",
    name: "torch.package archive",
    extensions: &["pt", "pth", "zip", "package"],
    runs_code: true,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Zip(recognise),
    inspect,
    rules: rules::ALL,
};

/// `.data/version` with the list of external modules or with sources, and none
/// of the marks of its siblings.
fn recognise(listing: &Listing) -> Confidence {
    if listing
        .members
        .iter()
        .any(|m| is_named(m, "archive_format") || is_named(m, "constants.pkl") && !m.name.contains("/.data/"))
    {
        return Confidence::No;
    }
    let has = |name: &str| listing.members.iter().any(|m| m.name == name || m.name.ends_with(&format!("/{name}")));
    match (has(".data/version"), has(".data/extern_modules") || has(".data/python_version")) {
        (true, true) => Confidence::Certain,
        (true, false) if listing.any_ends_with(".py") => Confidence::Likely,
        (false, true) if listing.any_ends_with(".py") || listing.any_ends_with(".pkl") => Confidence::Likely,
        _ => Confidence::No,
    }
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let listing = Listing::read(input)?;
    zip::report_anomalies(ctx, input, &listing)?;
    let root = listing.members.iter().find_map(|m| m.name.strip_suffix(".data/version")).unwrap_or_default().to_owned();
    let mut storages = Storages::of(&listing);
    let mut done = HashSet::new();
    for member in &listing.members {
        ctx.work(1)?;
        if member.name.ends_with(".py") {
            done.insert(member.central_header);
            python::inspect_member(ctx, input, &listing, member, Trust::Loaded)?;
        } else if member.name.ends_with(".pkl") {
            done.insert(member.central_header);
            if let Some(facts) = inspect_pickle(ctx, input, &listing, member, Dialect::Packaged)? {
                storages.compare(ctx, &facts, |key| format!("{root}.data/{key}.storage"))?;
            }
        } else if is_named(member, "extern_modules") && root_of(member).ends_with(".data/") {
            inspect_extern(ctx, input, &listing, member);
        }
    }
    storages.mark_opaque(ctx, input, &listing)?;
    zip::inspect_members(ctx, input, &listing, |m| !done.contains(&m.central_header) && !storages.settled(m))?;
    storages.facts(ctx);
    text_fact(ctx, input, &listing, &format!("{root}.data/version"), "format_version");
    text_fact(ctx, input, &listing, &format!("{root}.data/python_version"), "python_version");
    Ok(())
}

/// Modules that the package takes from its user's environment.
fn inspect_extern(ctx: &mut Inspection<'_>, input: &Input, listing: &Listing, member: &Member) {
    const POWERFUL: &[&str] = &[
        "subprocess",
        "pty",
        "_posixsubprocess",
        "ctypes",
        "socket",
        "pip",
        "telnetlib",
        "ftplib",
        "smtplib",
        "webbrowser",
        "code",
        "pdb",
        "runpy",
        "marshal",
    ];
    let Ok((content, _)) = listing.open(ctx, input, member) else { return };
    let Ok(bytes) = content.head(EXTERN_BYTES_MAX) else { return };
    let text = String::from_utf8_lossy(&bytes);
    let modules: Vec<&str> = text.lines().map(str::trim).filter(|m| !m.is_empty()).take(256).collect();
    let powerful: Vec<&str> =
        modules.iter().copied().filter(|m| POWERFUL.contains(&m.split('.').next().unwrap_or_default())).collect();
    if !powerful.is_empty() {
        ctx.find(&rules::POWERFUL_EXTERN, None, format!("external modules: {}", powerful.join(", ")));
    }
    ctx.fact("extern_modules", modules);
}
