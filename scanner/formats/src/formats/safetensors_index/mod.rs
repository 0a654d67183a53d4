//! Shard indexes: `model.safetensors.index.json` and its older sibling for
//! `pytorch_model.bin`, which map tensor names to files.

pub(crate) mod rules;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde_json::Value;
use weighbridge_types::LinkKind;

use crate::codec::json;
use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Recognise, Scope, Sniff};

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "safetensors-index",
    name: "safetensors shard index",
    extensions: &["json"],
    runs_code: false,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Json(recognise),
    inspect,
    rules: rules::ALL,
};

/// Largest index read, bytes; 200 000 tensors take about that.
const INDEX_BYTES_MAX: usize = 16 << 20;
/// Most shards linked to; the largest published models have some hundred.
const SHARDS_MAX: usize = 4096;
/// Findings of one kind that are kept.
const REPEATS_MAX: usize = 8;

fn recognise(document: &Value, sniff: &Sniff<'_>) -> Confidence {
    match document.get("weight_map") {
        Some(Value::Object(_)) => Confidence::Certain,
        Some(_) if sniff.name.as_str().ends_with(".index.json") => Confidence::Likely,
        _ => Confidence::No,
    }
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let document = json::parse(input, INDEX_BYTES_MAX)?;
    for (path, replaced) in document.duplicates.iter().take(REPEATS_MAX) {
        ctx.find(&rules::DUPLICATE_KEY, None, format!("`{path}` occurs again; before, it was {replaced}"));
    }
    if let Some(Value::Object(metadata)) = document.value.get("metadata") {
        for (key, fact) in [("total_size", "total_size"), ("total_parameters", "parameters")] {
            if let Some(n) = metadata.get(key).filter(|n| n.is_number()) {
                ctx.fact(fact, n.clone());
            }
        }
    }
    let Some(Value::Object(map)) = document.value.get("weight_map") else {
        return Err(FormatError::malformed("weight_map", 0, "not an object"));
    };
    ctx.work(map.len() as u64)?;
    ctx.fact("tensor_count", map.len() as u64);
    let mut shards = BTreeSet::new();
    let mut others = 0;
    for (tensor, shard) in map {
        match shard {
            Value::String(shard) => {
                shards.insert(shard.as_str());
            }
            _ if others < REPEATS_MAX => {
                others += 1;
                ctx.find(&rules::NOT_A_NAME, None, format!("`{tensor}` is in {shard}, which is no file name"));
            }
            _ => {}
        }
    }
    ctx.fact("shard_count", shards.len() as u64);
    let mut climbing = 0;
    for shard in &shards {
        match escape(shard) {
            Some(how) if climbing < REPEATS_MAX => {
                climbing += 1;
                ctx.find(&rules::PATH_ESCAPE, None, format!("the shard `{shard}` {how}"));
            }
            Some(_) => {}
            None if shards.len() <= SHARDS_MAX => ctx.link(LinkKind::Shard, shard),
            None => {}
        }
    }
    if shards.len() > SHARDS_MAX {
        return Err(FormatError::limit("index_shards_max", SHARDS_MAX as u64));
    }
    Ok(())
}

/// How `shard` leaves the folder of the index, if it does.
fn escape(shard: &str) -> Option<&'static str> {
    let mut chars = shard.chars();
    let drive = chars.next().is_some_and(|c| c.is_ascii_alphabetic()) && chars.next() == Some(':');
    if shard.contains("://") || shard.starts_with("file:") || shard.starts_with("data:") {
        Some("is a web address")
    } else if shard.starts_with(['/', '\\', '~']) || drive {
        Some("is an absolute path")
    } else if shard.split(['/', '\\']).any(|part| part == "..") || shard.contains("%2e%2e") || shard.contains("%2E%2E")
    {
        Some("climbs out of the folder")
    } else if shard.chars().any(char::is_control) {
        Some("holds control characters")
    } else {
        None
    }
}
