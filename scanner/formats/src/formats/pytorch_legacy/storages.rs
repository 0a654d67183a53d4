use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::core::{FormatError, Input, Inspection, Reader};
use crate::formats::pickle::{Facts, Storage};
use crate::formats::pytorch_zip::{STORAGE_LENGTH, element};

/// Steps over the storages that follow the five streams, in the order of
/// their sorted keys, and marks them as tensor data. Where they end.
pub(super) fn walk(ctx: &mut Inspection<'_>, input: &Input, start: u64, facts: &Facts) -> Result<u64, FormatError> {
    let mut by_key: BTreeMap<&str, &Storage> = BTreeMap::new();
    for storage in &facts.storages {
        by_key.entry(&storage.key).or_insert(storage);
    }
    report_facts(ctx, by_key.values().copied());
    let mut r = Reader::at(input, start);
    for (key, storage) in by_key {
        ctx.work(1)?;
        let count = u64::try_from(r.i64_le("storage length")?)
            .map_err(|_| FormatError::malformed("storage length", r.position(), "negative"))?;
        let Some((name, bytes_each)) = element(&storage.dtype) else {
            return Err(FormatError::malformed(
                "storage class",
                r.position(),
                format!("`{}` is not known", storage.dtype),
            ));
        };
        if count != storage.numel {
            let detail = format!("storage {key} declares {} elements of {name} and stores {count}", storage.numel);
            ctx.find(&STORAGE_LENGTH, r.position(), detail);
        }
        let bytes = count
            .checked_mul(bytes_each)
            .ok_or_else(|| FormatError::malformed("storage length", r.position(), "overflows"))?;
        let data = r.position();
        r.skip(bytes, "storage data")?;
        ctx.opaque(input, data..r.position());
    }
    Ok(r.position())
}

fn report_facts<'s>(ctx: &mut Inspection<'_>, storages: impl Iterator<Item = &'s Storage>) {
    let (mut count, mut parameters) = (0u64, 0u64);
    let mut dtypes: BTreeMap<&str, u64> = BTreeMap::new();
    for storage in storages {
        count += 1;
        parameters = parameters.saturating_add(storage.numel);
        if let Some((name, _)) = element(&storage.dtype) {
            *dtypes.entry(name).or_default() += 1;
        }
    }
    if count > 0 {
        ctx.fact("tensor_count", count);
        ctx.fact("parameters", parameters);
        let dtypes: Map<String, Value> = dtypes.into_iter().map(|(k, v)| (k.to_owned(), Value::from(v))).collect();
        ctx.fact("dtypes", Value::Object(dtypes));
    }
}
