use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};
use weighbridge_types::LinkKind;

use crate::codec::protobuf::{Message, Value};
use crate::core::{FormatError, Input, Inspection, Reader};

use super::{rules, table};

/// Most data files of one bundle.
const SHARDS_MAX: u64 = 10_000;
/// Names kept as facts.
const NAMES_MAX: usize = 100;
/// Findings about entries.
const FINDINGS_MAX: u64 = 20;
/// Bytes no data file has.
const FILE_BYTES_MAX: u64 = 1 << 50;

/// `BundleEntryProto`
#[derive(Default)]
struct Entry {
    dtype: u64,
    elements: u64,
    shard: u64,
    offset: u64,
    size: u64,
}

/// Reads the index of a bundle: names, types and places of its tensors.
pub fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let mut shards = None;
    let (mut tensors, mut parameters, mut bad) = (0u64, 0u64, 0u64);
    let mut dtypes: BTreeMap<&str, u64> = BTreeMap::new();
    let mut names = Vec::new();
    let walked = table::entries(ctx, input, |ctx, key, at, value| {
        let value = Input::bytes(value.to_vec());
        if key.is_empty() {
            shards = Some(header(ctx, &value)?);
            return Ok(());
        }
        let entry = entry(ctx, &value)?;
        tensors += 1;
        if entry.dtype != 7 {
            parameters = parameters.saturating_add(entry.elements);
        }
        *dtypes.entry(type_name(entry.dtype)).or_default() += 1;
        let name = String::from_utf8_lossy(key).into_owned();
        let beyond = entry.offset.checked_add(entry.size).is_none_or(|end| end > FILE_BYTES_MAX);
        if (beyond || shards.is_some_and(|n| entry.shard >= n)) && bad < FINDINGS_MAX {
            bad += 1;
            let detail = format!("`{name}` lies at {}+{} of shard {}", entry.offset, entry.size, entry.shard);
            ctx.find(&rules::BAD_RANGE, at, detail);
        }
        if names.len() < NAMES_MAX {
            names.push(name);
        }
        Ok(())
    });
    let shards = shards.unwrap_or_default();
    let stem = ctx.name().as_str().strip_suffix(".index").map(str::to_owned);
    if let Some(stem) = stem
        && shards <= SHARDS_MAX
    {
        for shard in 0..shards {
            ctx.link(LinkKind::Shard, &format!("{stem}.data-{shard:05}-of-{shards:05}"));
        }
    }
    ctx.fact("tensor_count", tensors);
    ctx.fact("parameters", parameters);
    ctx.fact("tensors", names);
    ctx.fact("dtypes", dtypes.into_iter().map(|(k, v)| (k.to_owned(), Json::from(v))).collect::<Map<_, _>>());
    walked
}

/// `BundleHeaderProto`: the number of data files.
fn header(ctx: &mut Inspection<'_>, value: &Input) -> Result<u64, FormatError> {
    let mut r = Reader::new(value);
    let mut shards = 0;
    let mut fields = Message::whole(value).fields();
    while let Some(field) = fields.next(ctx, &mut r)? {
        if let (1, Value::Varint(n)) = (field.number, field.value) {
            shards = n;
        }
    }
    Ok(shards)
}

fn entry(ctx: &mut Inspection<'_>, value: &Input) -> Result<Entry, FormatError> {
    let mut r = Reader::new(value);
    let mut entry = Entry { elements: 1, ..Entry::default() };
    let mut fields = Message::whole(value).fields();
    while let Some(field) = fields.next(ctx, &mut r)? {
        match (field.number, field.value) {
            (1, Value::Varint(n)) => entry.dtype = n,
            (2, Value::Bytes(shape)) => {
                let mut dims = shape.fields();
                while let Some(dim) = dims.next(ctx, &mut r)? {
                    let (2, Value::Bytes(dim)) = (dim.number, dim.value) else { continue };
                    let mut sizes = dim.fields();
                    while let Some(size) = sizes.next(ctx, &mut r)? {
                        if let (1, Value::Varint(n)) = (size.number, size.value) {
                            entry.elements = entry.elements.saturating_mul(n);
                        }
                    }
                }
            }
            (3, Value::Varint(n)) => entry.shard = n,
            (4, Value::Varint(n)) => entry.offset = n,
            (5, Value::Varint(n)) => entry.size = n,
            _ => {}
        }
    }
    Ok(entry)
}

/// Names of `DataType` (types.proto).
fn type_name(dtype: u64) -> &'static str {
    const NAMES: [&str; 24] = [
        "invalid",
        "float32",
        "float64",
        "int32",
        "uint8",
        "int16",
        "int8",
        "string",
        "complex64",
        "int64",
        "bool",
        "qint8",
        "quint8",
        "qint32",
        "bfloat16",
        "qint16",
        "quint16",
        "uint16",
        "complex128",
        "float16",
        "resource",
        "variant",
        "uint32",
        "uint64",
    ];
    usize::try_from(dtype).ok().and_then(|n| NAMES.get(n)).copied().unwrap_or("other")
}
