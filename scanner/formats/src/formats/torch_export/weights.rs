use std::collections::{BTreeMap, HashSet};

use serde_json::{Map, Value};

use crate::codec::json;
use crate::codec::zip::{Listing, Member};
use crate::core::{FormatError, Input, Inspection};
use crate::formats::pytorch_zip::root_of;

/// Largest table of weights parsed, bytes.
const CONFIG_BYTES_MAX: usize = 16 << 20;

/// Reads a table of weights or constants (`…_config.json` beside them) and
/// marks those stored raw as tensor data. The others are `torch.save` payloads
/// that the loader unpickles, and stay to be inspected.
pub(super) fn mark_raw(
    ctx: &mut Inspection<'_>,
    input: &Input,
    listing: &Listing,
    config: &Member,
    done: &mut HashSet<u64>,
) -> Result<(), FormatError> {
    let Ok((content, _)) = listing.open(ctx, input, config) else { return Ok(()) };
    let Ok(document) = json::parse(&content, CONFIG_BYTES_MAX) else { return Ok(()) };
    let folder = root_of(config);
    let members: BTreeMap<&str, &Member> = listing.members.iter().map(|m| (m.name.as_str(), m)).collect();
    let mut totals = Totals::default();
    for entry in document.value.get("config").and_then(Value::as_object).into_iter().flat_map(Map::values) {
        ctx.work(1)?;
        let Some(path) = entry.get("path_name").and_then(Value::as_str) else { continue };
        let Some(member) = members.get(format!("{folder}{path}").as_str()) else { continue };
        let raw = entry.get("use_pickle") == Some(&Value::Bool(false));
        let Some(meta) = entry.get("tensor_meta").filter(|_| raw) else { continue };
        let Some((dtype, bytes_each)) = meta.get("dtype").and_then(Value::as_u64).and_then(scalar_type) else {
            continue;
        };
        let Some(elements) = elements(meta) else { continue };
        // Views of one storage are larger together than alone: not smaller.
        if elements.checked_mul(bytes_each).is_some_and(|bytes| bytes <= member.size) {
            totals.add(dtype, elements);
            if elements * bytes_each == member.size {
                mark(ctx, input, listing, member);
                done.insert(member.central_header);
            }
        }
    }
    totals.facts(ctx, config.name.ends_with("_weights_config.json"));
    Ok(())
}

fn mark(ctx: &mut Inspection<'_>, input: &Input, listing: &Listing, member: &Member) {
    if member.method != 0 && !ctx.options().deep {
        return;
    }
    if let Ok((content, _)) = listing.open(ctx, input, member) {
        ctx.within(&member.name, &content, |ctx, content| ctx.opaque(content, 0..content.len()));
    }
}

fn elements(meta: &Value) -> Option<u64> {
    let sizes = meta.get("sizes")?.as_array()?;
    sizes.iter().try_fold(1u64, |product, size| product.checked_mul(size.get("as_int")?.as_u64()?))
}

/// `ScalarType` of torch/_export/serde/schema.py: name, bytes per element.
fn scalar_type(number: u64) -> Option<(&'static str, u64)> {
    Some(match number {
        1 => ("uint8", 1),
        2 => ("int8", 1),
        3 => ("int16", 2),
        4 => ("int32", 4),
        5 => ("int64", 8),
        6 => ("float16", 2),
        7 => ("float32", 4),
        8 => ("float64", 8),
        9 => ("complex32", 4),
        10 => ("complex64", 8),
        11 => ("complex128", 16),
        12 => ("bool", 1),
        13 => ("bfloat16", 2),
        28 => ("uint16", 2),
        _ => return None,
    })
}

#[derive(Default)]
struct Totals {
    parameters: u64,
    dtypes: BTreeMap<&'static str, u64>,
}

impl Totals {
    fn add(&mut self, dtype: &'static str, elements: u64) {
        self.parameters = self.parameters.saturating_add(elements);
        *self.dtypes.entry(dtype).or_default() += 1;
    }

    fn facts(&self, ctx: &mut Inspection<'_>, weights: bool) {
        if weights && !self.dtypes.is_empty() {
            ctx.fact("parameters", self.parameters);
            ctx.fact("tensor_count", self.dtypes.values().sum::<u64>());
            let dtypes: Map<String, Value> =
                self.dtypes.iter().map(|(k, v)| ((*k).to_owned(), Value::from(*v))).collect();
            ctx.fact("dtypes", Value::Object(dtypes));
        }
    }
}
