//! Image manifests and indexes (OCI image specification 1.1) whose media types
//! say that they hold a model.

use serde_json::Value;
use weighbridge_types::LinkKind;

use crate::codec::config::{excerpt, leaves_folder};
use crate::core::{FormatError, Inspection};
use crate::formats::oci::rules;

/// Prefixes of the media types of models.
const MODEL_TYPES: &[&str] = &[
    "application/vnd.docker.ai.",
    "application/vnd.cncf.model.",
    "application/vnd.ollama.image.",
    "application/vnd.kitops.modelkit.",
];
/// Annotations that become file names when a model is unpacked.
const PATH_ANNOTATIONS: &[&str] = &[
    "org.opencontainers.image.title",
    "org.cncf.model.filepath",
    "org.cnai.model.filepath",
    "ml.kitops.modelkit.path",
];
/// Most descriptors looked at.
const DESCRIPTORS_MAX: usize = 10_000;

/// Whether `value` is a manifest or index of a model.
pub(super) fn is_manifest(value: &Value) -> bool {
    let version = value.get("schemaVersion").and_then(Value::as_u64) == Some(2);
    let own = ["artifactType", "mediaType"].iter().any(|k| value.get(*k).is_some_and(is_model_type));
    version
        && (own
            || descriptors(value)
                .any(|(_, d)| ["mediaType", "artifactType"].iter().any(|k| d.get(*k).is_some_and(is_model_type))))
}

fn is_model_type(value: &Value) -> bool {
    value.as_str().is_some_and(|text| MODEL_TYPES.iter().any(|t| text.starts_with(t)))
}

/// Every descriptor of `value`, with the field it stands in.
fn descriptors(value: &Value) -> impl Iterator<Item = (&'static str, &Value)> {
    let one = |key: &'static str| value.get(key).into_iter().map(move |d| (key, d));
    let many =
        |key: &'static str| value.get(key).and_then(Value::as_array).into_iter().flatten().map(move |d| (key, d));
    one("config")
        .chain(one("subject"))
        .chain(many("layers"))
        .chain(many("manifests"))
        .chain(many("blobs"))
        .take(DESCRIPTORS_MAX)
}

/// Inspects every descriptor; the blobs themselves are files of their own.
pub(super) fn inspect(ctx: &mut Inspection<'_>, value: &Value) -> Result<(), FormatError> {
    let mut types = Vec::new();
    for (field, descriptor) in descriptors(value) {
        ctx.work(1)?;
        let media_type = descriptor.get("mediaType").and_then(Value::as_str).unwrap_or_default();
        if field == "layers" && !types.contains(&media_type) {
            types.push(media_type);
        }
        digest(ctx, field, descriptor);
        annotations(ctx, field, descriptor);
        if media_type.contains(".code.") || media_type.ends_with(".code") {
            ctx.find(&rules::CODE_LAYER, None, format!("{field}: `{media_type}`"));
        }
        if let Some(urls) = descriptor.get("urls").and_then(Value::as_array).filter(|u| !u.is_empty()) {
            ctx.find(&rules::FOREIGN_LAYER, None, format!("{field}: {}", excerpt(&urls.clone().into(), 300)));
        }
    }
    annotations(ctx, "manifest", value);
    ctx.fact("layers", types);
    if let Some(kind) = value.get("artifactType").or_else(|| value.pointer("/config/mediaType")) {
        ctx.fact("producer", kind.clone());
    }
    for (annotation, fact) in [
        ("org.opencontainers.image.licenses", "license"),
        ("org.opencontainers.image.title", "name"),
        ("org.opencontainers.image.version", "version"),
    ] {
        if let Some(text) = value.get("annotations").and_then(|a| a.get(annotation)).filter(|v| v.is_string()) {
            ctx.fact(fact, text.clone());
        }
    }
    Ok(())
}

fn digest(ctx: &mut Inspection<'_>, field: &str, descriptor: &Value) {
    let Some(digest) = descriptor.get("digest").and_then(Value::as_str) else { return };
    if is_digest(digest) {
        ctx.link(LinkKind::Blob, digest);
    } else if digest.contains(['/', '\\']) || digest.contains("..") {
        ctx.find(&rules::DIGEST_PATH, None, format!("{field}: digest `{digest}`"));
    } else {
        ctx.find(&rules::DIGEST_MALFORMED, None, format!("{field}: digest `{digest}`"));
    }
}

/// `sha256:` and 64, or `sha512:` and 128, lower-case hexadecimal digits.
/// Ollama also writes `sha256-`.
fn is_digest(text: &str) -> bool {
    let hex = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    match text.split_once([':', '-']) {
        Some(("sha256", digits)) => digits.len() == 64 && hex(digits),
        Some(("sha512", digits)) => digits.len() == 128 && hex(digits),
        _ => false,
    }
}

fn annotations(ctx: &mut Inspection<'_>, field: &str, value: &Value) {
    for key in PATH_ANNOTATIONS {
        if let Some(path) = value.get("annotations").and_then(|a| a.get(*key)).and_then(Value::as_str)
            && let Some(why) = leaves_folder(path)
        {
            // A manifest's own title is shown to people and names no file.
            if field != "manifest" {
                ctx.find(&rules::PATH_OUTSIDE, None, format!("{field}: {key} `{path}` {why}"));
            }
        }
    }
}
