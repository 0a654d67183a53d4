//! Configuration blobs: what a registry says of a model's content.

use serde_json::Value;

use crate::codec::config::leaves_folder;
use crate::codec::indicators;
use crate::core::{FormatError, Inspection};
use crate::formats::oci::rules;

/// Whose configuration it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `application/vnd.docker.container.image.v1+json` as Ollama fills it.
    Ollama,
    /// `application/vnd.docker.ai.model.config…` and
    /// `application/vnd.cncf.model.config…`.
    ModelPack,
    /// `application/vnd.kitops.modelkit.config…`: a Kitfile as JSON.
    KitOps,
}

/// The kind of `value`, if it is the configuration of a model.
pub(super) fn kind(value: &Value) -> Option<Kind> {
    let text = |pointer: &str| value.pointer(pointer).is_some_and(Value::is_string);
    let has = |pointer: &str| value.pointer(pointer).is_some();
    if text("/model_format") && text("/model_family") || text("/remote_host") && text("/remote_model") {
        Some(Kind::Ollama)
    } else if has("/descriptor") && text("/config/format") && (has("/modelfs") || has("/rootfs") || has("/files")) {
        Some(Kind::ModelPack)
    } else if text("/manifestVersion") && has("/model/path") {
        Some(Kind::KitOps)
    } else {
        None
    }
}

/// Reads its facts; paths in a Kitfile are checked.
pub(super) fn inspect(ctx: &mut Inspection<'_>, kind: Kind, value: &Value) -> Result<(), FormatError> {
    let facts: &[(&str, &str)] = match kind {
        Kind::Ollama => &[
            ("/model_family", "architecture"),
            ("/model_type", "parameters"),
            ("/file_type", "quantization"),
            ("/model_format", "producer"),
            ("/remote_host", "remote_host"),
            ("/remote_model", "base_model"),
        ],
        Kind::ModelPack => &[
            ("/config/architecture", "architecture"),
            ("/config/parameters", "parameters"),
            ("/config/paramSize", "parameters"),
            ("/config/quantization", "quantization"),
            ("/config/format", "producer"),
            ("/descriptor/name", "name"),
            ("/descriptor/licenses", "license"),
        ],
        Kind::KitOps => &[
            ("/package/name", "name"),
            ("/package/license", "license"),
            ("/model/license", "license"),
            ("/model/framework", "producer"),
        ],
    };
    for (pointer, fact) in facts {
        if let Some(found) = value.pointer(pointer).filter(|v| v.is_string() || v.is_number() || v.is_array()) {
            ctx.fact(fact, found.clone());
        }
    }
    // A model of a cloud service: there are no weights to look at.
    if value.get("remote_host").is_some() {
        ctx.fact("remote", true);
    }
    if kind == Kind::KitOps {
        kit_paths(ctx, value)?;
    }
    indicators::inspect_value(ctx, value)
}

/// Every `path` of a Kitfile becomes a file when the kit is unpacked.
fn kit_paths(ctx: &mut Inspection<'_>, value: &Value) -> Result<(), FormatError> {
    let mut paths = vec![("model", value.get("model"))];
    for field in ["parts", "code", "datasets", "docs", "prompts"] {
        let list = value.get(field).or_else(|| value.get("model").and_then(|m| m.get(field)));
        paths.extend(list.and_then(Value::as_array).into_iter().flatten().map(|entry| (field, Some(entry))));
    }
    for (field, entry) in paths {
        ctx.work(1)?;
        if let Some(path) = entry.and_then(|e| e.get("path")).and_then(Value::as_str)
            && let Some(why) = leaves_folder(path)
        {
            ctx.find(&rules::PATH_OUTSIDE, None, format!("{field}: path `{path}` {why}"));
        }
    }
    Ok(())
}
