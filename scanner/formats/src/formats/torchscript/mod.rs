//! TorchScript: a ZIP archive of TorchScript sources under `code/` and the
//! pickles `data.pkl` and `constants.pkl`; for mobile also `bytecode.pkl`
//! (torch/csrc/jit/serialization).

mod code;
mod operators;
mod rules;

#[cfg(test)]
mod tests;

use std::collections::HashSet;

use crate::codec::zip::{self, Listing, Member};
use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Recognise, Scope};
use crate::formats::pickle::Dialect;
use crate::formats::pytorch_zip::{Storages, inspect_pickle, is_named, root_of, text_fact};

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "torchscript",
    name: "TorchScript",
    extensions: &["pt", "pth", "ptl", "jit", "ts", "torchscript", "bin", "zip", "model"],
    runs_code: true,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Zip(recognise),
    inspect,
    rules: rules::ALL,
};

/// `constants.pkl` or `bytecode.pkl` with its neighbours.
fn recognise(listing: &Listing) -> Confidence {
    let mut best = Confidence::No;
    for member in listing.members.iter().filter(|m| is_named(m, "constants.pkl") || is_named(m, "bytecode.pkl")) {
        let root = root_of(member);
        let beside = |m: &Member| {
            m.name.strip_prefix(root).is_some_and(|rest| {
                rest.starts_with("code/") || rest == "data.pkl" || rest == "version" || rest == "bytecode.pkl"
            })
        };
        if listing.members.iter().any(|m| m.central_header != member.central_header && beside(m)) {
            best = Confidence::Certain;
            break;
        }
        best = Confidence::Plausible;
    }
    best
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let listing = Listing::read(input)?;
    zip::report_anomalies(ctx, input, &listing)?;
    let mut storages = Storages::of(&listing);
    let mut done = HashSet::new();
    for member in &listing.members {
        ctx.work(1)?;
        let root = root_of(member);
        if read_by_torchscript(member) {
            done.insert(member.central_header);
            if let Some(facts) = inspect_pickle(ctx, input, &listing, member, Dialect::TorchScript)? {
                operators::inspect_classes(ctx, &facts, &member.name);
                // Only these two have their tensors beside them under one name.
                for (pickle, folder) in [("data.pkl", "data"), ("constants.pkl", "constants")] {
                    if is_named(member, pickle) {
                        storages.compare(ctx, &facts, |key| format!("{root}{folder}/{key}"))?;
                    }
                }
            }
            if is_named(member, "bytecode.pkl") {
                operators::inspect_bytecode(ctx, input, &listing, member)?;
            }
        } else if code::is_source(member) {
            done.insert(member.central_header);
            code::inspect(ctx, input, &listing, member)?;
        }
    }
    storages.mark_opaque(ctx, input, &listing)?;
    zip::inspect_members(ctx, input, &listing, |m| !done.contains(&m.central_header) && !storages.settled(m))?;
    storages.facts(ctx);
    if let Some(member) = listing.members.iter().find(|m| is_named(m, "constants.pkl")) {
        text_fact(ctx, input, &listing, &format!("{}version", root_of(member)), "format_version");
    }
    Ok(())
}

/// Pickles that the C++ unpickler reads.
fn read_by_torchscript(member: &Member) -> bool {
    const NAMES: &[&str] = &[
        "data.pkl",
        "constants.pkl",
        "bytecode.pkl",
        "attributes.pkl",
        "mobile_debug_handles.pkl",
        "callstack_debug_map.pkl",
    ];
    NAMES.iter().any(|name| is_named(member, name)) || member.name.ends_with(".debug_pkl")
}
