//! Models in OCI registries: Docker Model Runner, CNCF ModelPack, KitOps and
//! Ollama manifests, indexes and configuration blobs.

mod config;
mod manifest;
mod rules;

use serde_json::Value;

use crate::codec::{json, yaml};
use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Recognise, Scope, Sniff};

/// Largest manifest read, bytes: registries refuse more than 4 MiB (OCI
/// distribution specification 1.1, "Pushing Manifests").
const MANIFEST_BYTES_MAX: usize = 4 << 20;

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "oci-model",
    name: "OCI model manifest",
    extensions: &["json"],
    runs_code: false,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Json(recognise),
    inspect,
    rules: &[
        &rules::DIGEST_PATH,
        &rules::DIGEST_MALFORMED,
        &rules::PATH_OUTSIDE,
        &rules::FOREIGN_LAYER,
        &rules::CODE_LAYER,
    ],
};

/// Registry entry of KitOps' Kitfile.
pub static KITFILE: FormatSpec = FormatSpec {
    id: "kitfile",
    name: "Kitfile",
    extensions: &[],
    runs_code: false,
    is_model: false,
    scope: Scope::Anywhere,
    recognise: Recognise::Bytes(recognise_kitfile),
    inspect: inspect_kitfile,
    rules: &[],
};

fn recognise_kitfile(sniff: &Sniff<'_>) -> Confidence {
    let named = ["kitfile", "kitfile.yaml", "kitfile.yml"].contains(&sniff.name.as_str());
    if named && sniff.contains(b"manifestVersion") { Confidence::Likely } else { Confidence::No }
}

fn inspect_kitfile(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let document = yaml::parse(input)?;
    yaml::inspect(ctx, &document)?;
    config::inspect(ctx, config::Kind::KitOps, document.first())?;
    document.stopped.map_or(Ok(()), Err)
}

fn recognise(value: &Value, _: &Sniff<'_>) -> Confidence {
    if manifest::is_manifest(value) || config::kind(value).is_some() { Confidence::Certain } else { Confidence::No }
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let document = json::parse(input, MANIFEST_BYTES_MAX)?;
    match config::kind(&document.value) {
        Some(kind) => config::inspect(ctx, kind, &document.value),
        None => manifest::inspect(ctx, &document.value),
    }
}

#[cfg(test)]
mod tests;
