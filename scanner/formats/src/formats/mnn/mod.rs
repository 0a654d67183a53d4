//! MNN models (`schema/default/MNN.fbs`): a FlatBuffer without an identifier,
//! told by its name and the shape of its root table.

mod rules;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use weighbridge_types::LinkKind;

use crate::codec::flatbuffers::{FlatBuffer, Table, inspect_trailing};
use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Recognise, Scope, Sniff};

/// Longest name read.
const NAME_BYTES_MAX: usize = 64 * 1024;
/// `OpType` of operators that a plugin or an engine of its own runs.
const PLUGIN: i32 = 256;
const EXTRA: i32 = 512;
/// Findings of one kind.
const FINDINGS_MAX: u32 = 32;
/// Number of the field that holds the operators.
const OPERATORS: u16 = 3;

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "mnn",
    name: "MNN model",
    extensions: &["mnn"],
    runs_code: false,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Bytes(recognise),
    inspect,
    rules: rules::ALL,
};

fn recognise(sniff: &Sniff<'_>) -> Confidence {
    let named = sniff.name.has_extension(FORMAT.extensions);
    let root_inside = sniff.u32_le(0).is_some_and(|root| root >= 4 && u64::from(root) + 4 <= sniff.len);
    if named && root_inside { Confidence::Plausible } else { Confidence::No }
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let buffer = FlatBuffer::new(input);
    let net = buffer.root()?;
    let mut operators = BTreeMap::new();
    let mut reported = 0;
    for op in net.vector(OPERATORS, 4, "oplists")?.into_iter().flat_map(|v| v.tables("operator")) {
        operator(ctx, &op?, &mut operators, &mut reported)?;
    }
    for subgraph in net.vector(10, 4, "subgraphs")?.into_iter().flat_map(|v| v.tables("subgraph")) {
        for op in subgraph?.vector(4, 4, "subgraph nodes")?.into_iter().flat_map(|v| v.tables("operator")) {
            operator(ctx, &op?, &mut operators, &mut reported)?;
        }
    }
    if operators.is_empty() {
        return Err(FormatError::malformed("oplists", net.position(), "a network without operators"));
    }
    ctx.fact("operators", operators.values().sum::<u64>());
    for (id, key) in [(0, "biz_code"), (11, "uuid")] {
        if let Some(text) = net.string(id, NAME_BYTES_MAX, "net text")?.filter(|t| !t.is_empty()) {
            ctx.fact(key, text);
        }
    }
    if let Some(names) = net.vector(7, 4, "tensorName")? {
        ctx.fact("tensor_count", names.len());
    }
    // Language models keep their weights in a second file of this name.
    if ctx.name().as_str() == "llm.mnn" {
        ctx.link(LinkKind::ExternalData, "llm.mnn.weight");
    }
    // Large parameters are not followed, so what stands behind the last known
    // object is looked at only for archives and programs.
    inspect_trailing(ctx, input, buffer.end())
}

fn operator(
    ctx: &mut Inspection<'_>,
    op: &Table<'_>,
    operators: &mut BTreeMap<i32, u64>,
    reported: &mut u32,
) -> Result<(), FormatError> {
    ctx.work(1)?;
    // Fields: inputIndexes 0, main 1 and 2, name 3, outputIndexes 4, type 5.
    let kind = op.i32(5, 0, "operator type")?;
    *operators.entry(kind).or_default() += 1;
    let name = op.string(3, NAME_BYTES_MAX, "operator name")?.unwrap_or_default();
    op.vector(0, 4, "operator inputs")?;
    op.vector(4, 4, "operator outputs")?;
    let main = op.table(2, "operator parameters")?;
    if (kind == PLUGIN || kind == EXTRA) && *reported < FINDINGS_MAX {
        *reported += 1;
        let told = main.map(|m| m.string(0, NAME_BYTES_MAX, "plugin type")).transpose()?.flatten().unwrap_or_default();
        ctx.find(&rules::PLUGIN, op.position(), format!("operator `{name}` of type `{told}`"));
    }
    Ok(())
}
