//! skops (`.skops`): a ZIP archive of `schema.json`, a tree of nodes that name
//! types and functions, and of arrays (skops/io/_persist.py). Loading refuses
//! types outside a trusted list, which several bugs let a file get around.

mod nodes;
mod rules;

#[cfg(test)]
mod tests;

use serde_json::Value;

use crate::codec::json;
use crate::codec::zip::{self, Listing, Member};
use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Recognise, Scope};

/// Largest schema parsed, bytes.
const SCHEMA_BYTES_MAX: usize = 64 << 20;

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "skops",
    name: "skops",
    extensions: &["skops", "zip"],
    // By design: only trusted types are made.
    runs_code: false,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Zip(recognise),
    inspect,
    rules: rules::ALL,
};

/// `schema.json` at the root, among arrays and nothing else.
fn recognise(listing: &Listing) -> Confidence {
    const DATA: &[&str] = &[".npy", ".npz", ".bin"];
    if !listing.members.iter().any(|m| m.name == "schema.json") {
        return Confidence::No;
    }
    let is_data = |m: &Member| m.name == "schema.json" || DATA.iter().any(|e| m.name.ends_with(e));
    if listing.members.iter().all(is_data) { Confidence::Likely } else { Confidence::Plausible }
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let listing = Listing::read(input)?;
    zip::report_anomalies(ctx, input, &listing)?;
    if let Some(member) = listing.get("schema.json") {
        inspect_schema(ctx, input, &listing, member)?;
    }
    zip::inspect_members(ctx, input, &listing, |m| m.name != "schema.json")
}

fn inspect_schema(
    ctx: &mut Inspection<'_>,
    input: &Input,
    listing: &Listing,
    member: &Member,
) -> Result<(), FormatError> {
    let (content, stopped) = match listing.open(ctx, input, member) {
        Ok(opened) => opened,
        Err(error) => {
            ctx.stopped(&error);
            return Ok(());
        }
    };
    if let Some(error) = stopped {
        ctx.stopped(&error);
    }
    let document = match json::parse(&content, SCHEMA_BYTES_MAX) {
        Ok(document) => document,
        Err(error) => {
            ctx.within(&member.name, &content, |ctx, _| ctx.stopped(&error));
            return Ok(());
        }
    };
    let schema = &document.value;
    for (key, fact) in [("_skops_version", "producer"), ("protocol", "format_version")] {
        match schema.get(key) {
            Some(Value::String(text)) => {
                ctx.fact(fact, format!("{}{text}", if key == "protocol" { "" } else { "skops " }))
            }
            Some(value @ Value::Number(_)) => ctx.fact(fact, value.clone()),
            _ => {}
        }
    }
    if let (Some(module), Some(class)) = (nodes::text(schema, "__module__"), nodes::text(schema, "__class__")) {
        ctx.fact("architecture", format!("{module}.{class}"));
    }
    ctx.within(&member.name, &content, |ctx, _| {
        if let Some((path, _)) =
            document.duplicates.iter().find(|(path, _)| path.rsplit('.').next().is_some_and(nodes::is_own_key))
        {
            ctx.find(&rules::DUPLICATE_KEYS, None, format!("`{path}` occurs twice"));
        }
        nodes::walk(ctx, schema)
    })
}
