use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use weighbridge_formats::formats::safetensors::catalogue;

use crate::ImportError;
use crate::error::Name;
use crate::source::Source;
use crate::weights::{Described, Tensors};

const INDEX: &str = "model.safetensors.index.json";
const SINGLE: &str = "model.safetensors";
/// Largest index read, bytes.
const INDEX_BYTES_MAX: usize = 32 << 20;
/// Most shards.
const SHARDS_MAX: usize = 1024;

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// The tensors of the folder and the files they are in.
pub(crate) fn read(source: &Source) -> Result<(Tensors, Vec<String>), ImportError> {
    let mut tensors = Tensors::default();
    let index = source.bytes(INDEX, INDEX_BYTES_MAX)?;
    let Some(index) = index else {
        shard(source, SINGLE, &mut tensors, None)?;
        return Ok((tensors, vec![SINGLE.to_owned()]));
    };
    let index: Index = serde_json::from_slice(&index).map_err(|e| ImportError::malformed(INDEX, e.to_string()))?;
    let shards: BTreeSet<&String> = index.weight_map.values().collect();
    if shards.len() > SHARDS_MAX {
        return Err(ImportError::malformed(INDEX, format!("names {} shards", shards.len())));
    }
    let mut parts = vec![INDEX.to_owned()];
    for name in shards {
        shard(source, name, &mut tensors, Some(&index))?;
        parts.push(name.clone());
    }
    match index.weight_map.keys().find(|name| !tensors.has(name)) {
        Some(missing) => Err(ImportError::tensor(missing, "is not in the shard that the index names")),
        None => Ok((tensors, parts)),
    }
}

fn shard(source: &Source, name: &str, tensors: &mut Tensors, index: Option<&Index>) -> Result<(), ImportError> {
    let part = source.get(name).ok_or_else(|| ImportError::Missing {
        part: Name::new(name),
        hint: "download the model again, all of its files",
    })?;
    let entries =
        catalogue::read(&part.input).map_err(|source| ImportError::Format { part: Name::new(name), source })?;
    let number = tensors.part(name, &part.input);
    for e in &entries {
        if index.is_some_and(|i| i.weight_map.get(&e.name).is_none_or(|shard| shard != name)) {
            return Err(ImportError::tensor(
                &e.name,
                format!("is in `{}`, but the index says otherwise", Name::new(name)),
            ));
        }
        // Frequencies are computed, positions counted, whatever an old
        // checkpoint kept of them.
        if [".rotary_emb.inv_freq", "embeddings.position_ids", "embeddings.token_type_ids"]
            .iter()
            .any(|n| e.name.ends_with(n))
        {
            continue;
        }
        if e.rank > 2 {
            return Err(ImportError::tensor(&e.name, format!("has {} dimensions; expected one or two", e.rank)));
        }
        let described =
            Described { name: &e.name, kind: e.dtype, row: e.row, elements: e.elements, start: e.start, size: e.size };
        tensors.add(number, &described)?;
    }
    Ok(())
}
