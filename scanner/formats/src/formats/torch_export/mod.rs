//! `torch.export` archives (`.pt2`): a graph as JSON, raw weights, sample
//! inputs, and for AOTInductor compiled code
//! (torch/csrc/export/pt2_archive_constants.h). Before 2.8 four members at the
//! root: `serialized_exported_program.json` and three `torch.save` payloads.

mod graph;
mod rules;
mod weights;

#[cfg(test)]
mod tests;

use std::collections::HashSet;

use crate::codec::zip::{self, Listing, Member};
use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Recognise, Scope};
use crate::formats::pytorch_zip::{is_named, root_of, text_fact};

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "torch-export",
    name: "torch.export program",
    extensions: &["pt2", "pt", "zip"],
    runs_code: true,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Zip(recognise),
    inspect,
    rules: rules::ALL,
};

fn recognise(listing: &Listing) -> Confidence {
    if listing.members.iter().any(|m| is_named(m, "serialized_exported_program.json")) {
        return Confidence::Certain;
    }
    let Some(marker) = listing.members.iter().find(|m| is_named(m, "archive_format")) else { return Confidence::No };
    let root = root_of(marker);
    let beside = |m: &Member| {
        m.name.strip_prefix(root).is_some_and(|rest| {
            rest.starts_with("models/")
                || rest.starts_with("data/")
                || rest == "archive_version"
                || rest == ".data/version"
        })
    };
    if listing.members.iter().any(beside) { Confidence::Certain } else { Confidence::No }
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let listing = Listing::read(input)?;
    zip::report_anomalies(ctx, input, &listing)?;
    let mut done = HashSet::new();
    let mut native = Vec::new();
    for member in &listing.members {
        ctx.work(1)?;
        if is_graph(member) {
            done.insert(member.central_header);
            graph::inspect(ctx, input, &listing, member)?;
        } else if member.name.ends_with("_weights_config.json") || member.name.ends_with("_constants_config.json") {
            weights::mark_raw(ctx, input, &listing, member, &mut done)?;
        } else if is_native(member) {
            native.push(member.name.as_str());
        }
    }
    if let Some(first) = native.first() {
        ctx.find(&rules::NATIVE_CODE, None, format!("{} members, the first is `{first}`", native.len()));
    }
    zip::inspect_members(ctx, input, &listing, |m| !done.contains(&m.central_header))?;
    if let Some(marker) = listing.members.iter().find(|m| is_named(m, "archive_format")) {
        text_fact(ctx, input, &listing, &format!("{}archive_version", root_of(marker)), "format_version");
    }
    Ok(())
}

/// `models/<name>.json`, or the single program of older archives.
fn is_graph(member: &Member) -> bool {
    let in_models = member.name.starts_with("models/") || member.name.contains("/models/");
    in_models && member.name.ends_with(".json") || is_named(member, "serialized_exported_program.json")
}

/// Compiled code, or source that the loader compiles.
fn is_native(member: &Member) -> bool {
    const EXTENSIONS: &[&str] = &[
        ".so",
        ".cpp",
        ".cc",
        ".c",
        ".cu",
        ".o",
        ".a",
        ".dylib",
        ".dll",
        ".pyd",
        ".cubin",
        ".hsaco",
        ".ptx",
        ".metallib",
    ];
    let lower = member.name.to_ascii_lowercase();
    EXTENSIONS.iter().any(|e| lower.ends_with(e))
}
