//! TorchServe model archives (`.mar`): a ZIP archive with a manifest, a
//! serialised model, and the Python handler that serves it
//! (https://github.com/pytorch/serve, model-archiver).

mod rules;

#[cfg(test)]
mod tests;

use std::collections::HashSet;

use serde_json::Value;

use crate::codec::json;
use crate::codec::python::Trust;
use crate::codec::zip::{self, Listing, Member};
use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Recognise, Scope};
use crate::formats::python;

/// Where the manifest lies.
const MANIFEST: &str = "MAR-INF/MANIFEST.json";
/// Largest manifest parsed, bytes.
const MANIFEST_BYTES_MAX: usize = 1 << 20;

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "torchserve-mar",
    name: "TorchServe model archive",
    extensions: &["mar", "zip"],
    runs_code: true,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Zip(recognise),
    inspect,
    rules: rules::ALL,
};

fn recognise(listing: &Listing) -> Confidence {
    if listing.members.iter().any(|m| m.name == MANIFEST) { Confidence::Certain } else { Confidence::No }
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let listing = Listing::read(input)?;
    zip::report_anomalies(ctx, input, &listing)?;
    if let Some(member) = listing.get(MANIFEST) {
        inspect_manifest(ctx, input, &listing, member);
    }
    let mut done = HashSet::new();
    for member in listing.members.iter().filter(|m| m.name.ends_with(".py")) {
        done.insert(member.central_header);
        python::inspect_member(ctx, input, &listing, member, Trust::Loaded)?;
    }
    zip::inspect_members(ctx, input, &listing, |m| !done.contains(&m.central_header) && m.name != MANIFEST)
}

/// Facts of the manifest, and whether what it names lies in the archive.
fn inspect_manifest(ctx: &mut Inspection<'_>, input: &Input, listing: &Listing, member: &Member) {
    let Ok((content, _)) = listing.open(ctx, input, member) else { return };
    let document = match json::parse(&content, MANIFEST_BYTES_MAX) {
        Ok(document) => document,
        Err(error) => return ctx.stopped(&error),
    };
    let manifest = &document.value;
    let model = manifest.get("model").unwrap_or(&Value::Null);
    for (key, value) in [
        ("name", model.get("modelName")),
        ("model_version", model.get("modelVersion")),
        ("handler", model.get("handler")),
        ("producer", manifest.get("archiverVersion")),
        ("runtime", manifest.get("runtime")),
    ] {
        if let Some(text) = value.and_then(Value::as_str) {
            ctx.fact(key, text);
        }
    }
    for key in ["handler", "serializedFile", "modelFile", "requirementsFile", "configFile", "sourceVocab"] {
        if let Some(path) = model.get(key).and_then(Value::as_str)
            && leaves_archive(path)
        {
            ctx.find(&rules::OUTSIDE_FILE, None, format!("`{key}` names `{path}`"));
        }
    }
}

/// Whether `path` is absolute or climbs out.
fn leaves_archive(path: &str) -> bool {
    path.starts_with(['/', '\\', '~'])
        || path.get(1..2) == Some(":") && path.get(2..3).is_some_and(|c| c == "\\" || c == "/")
        || path.split(['/', '\\']).any(|part| part == "..")
}
