//! Findings and facts that need the whole model.

use serde_json::{Map, Value};

use crate::core::Inspection;

use super::model::Scan;
use super::operators::{self, Kind};
use super::rules;

/// Custom operators reported one by one.
const REPORTED_MAX: usize = 50;
/// Facts in one list or map.
const FACTS_MAX: usize = 100;

/// Reports what `scan` gathered.
pub fn report(ctx: &mut Inspection<'_>, scan: &Scan<'_>) {
    operators(ctx, scan);
    overrides(ctx, scan);
    overlaps(ctx, scan);
    foreign(ctx, scan);
    facts(ctx, scan);
}

fn operators(ctx: &mut Inspection<'_>, scan: &Scan<'_>) {
    let mut reported = 0;
    for ((domain, name), used) in &scan.operators {
        let opset = scan.opsets.get(domain).or_else(|| domain.is_empty().then(|| scan.opsets.get("ai.onnx"))?);
        let (rule, what) = match operators::kind(domain, name, opset.copied()) {
            Kind::Known => continue,
            Kind::Python => (&rules::PYTHON_OPERATOR, "runs Python"),
            _ if scan.functions.contains_key(&(domain.clone(), name.clone())) => continue,
            Kind::Unknown => (&rules::UNKNOWN_OPERATOR, "is in no ONNX operator set"),
            Kind::Custom => (&rules::CUSTOM_OPERATOR, "needs a native library"),
        };
        reported += 1;
        if reported > REPORTED_MAX && !std::ptr::eq(rule, &raw const rules::PYTHON_OPERATOR) {
            continue;
        }
        let domain = if domain.is_empty() { "ai.onnx" } else { domain };
        let detail = format!("node `{}` uses `{domain}::{name}`, which {what} ({} uses)", used.node, used.count);
        ctx.find(rule, used.at, detail);
    }
}

/// A model's function takes the place of an operator of the same name (ONNX
/// IR, "Model-local functions").
fn overrides(ctx: &mut Inspection<'_>, scan: &Scan<'_>) {
    for ((domain, name), at) in &scan.functions {
        let standard = if domain.is_empty() { "ai.onnx" } else { domain };
        if operators::is_standard(standard, name) {
            ctx.find(&rules::FUNCTION_OVERRIDE, *at, format!("a function stands in for `{standard}::{name}`"));
        }
    }
}

/// Ranges of a file that partly cover each other; equal ones are shared.
fn overlaps(ctx: &mut Inspection<'_>, scan: &Scan<'_>) {
    let mut ranges: Vec<_> = scan.external.iter().filter(|e| e.length > 0).collect();
    ranges.sort();
    for (a, b) in ranges.iter().zip(ranges.iter().skip(1)) {
        let same = (a.offset, a.length) == (b.offset, b.length);
        if a.location == b.location && !same && b.offset < a.offset.saturating_add(a.length) {
            let detail = format!("ranges {}+{} and {}+{} of `{}`", a.offset, a.length, b.offset, b.length, a.location);
            ctx.find(&rules::EXTERNAL_OVERLAP, None, detail);
            return;
        }
    }
}

fn foreign(ctx: &mut Inspection<'_>, scan: &Scan<'_>) {
    let Some((at, number)) = scan.unknown_field else { return };
    if number > 0 {
        ctx.find(&rules::FOREIGN_DATA, at, format!("field {number} at the top; ONNX has none above 26"));
    }
    ctx.child("trailing data", &scan.input.tail_from(at));
}

fn facts(ctx: &mut Inspection<'_>, scan: &Scan<'_>) {
    if let Some(version) = scan.ir_version {
        ctx.fact("format_version", version);
    }
    for (key, text) in &scan.texts {
        let key = if *key == "producer_name" { "producer" } else { key };
        if !text.is_empty() {
            ctx.fact(key, text.as_str());
        }
    }
    if !scan.graph_name.is_empty() {
        ctx.fact("name", scan.graph_name.as_str());
    }
    let opsets = scan.opsets.iter().take(FACTS_MAX);
    ctx.fact(
        "opset",
        opsets
            .map(|(d, v)| (if d.is_empty() { "ai.onnx" } else { d }.to_owned(), Value::from(*v)))
            .collect::<Map<_, _>>(),
    );
    ctx.fact("inputs", scan.inputs.clone());
    ctx.fact("outputs", scan.outputs.clone());
    ctx.fact("tensor_count", scan.tensors);
    ctx.fact("parameters", scan.parameters);
    ctx.fact("dtypes", scan.dtypes.iter().map(|(k, v)| ((*k).to_owned(), Value::from(*v))).collect::<Map<_, _>>());
    let mut uses: Vec<_> = scan.operators.iter().collect();
    uses.sort_by_key(|(_, used)| std::cmp::Reverse(used.count));
    ctx.fact(
        "operators",
        uses.into_iter()
            .take(FACTS_MAX)
            .map(|((domain, name), used)| {
                let key = if domain.is_empty() { name.clone() } else { format!("{domain}::{name}") };
                (key, Value::from(used.count))
            })
            .collect::<Map<_, _>>(),
    );
    props(ctx, scan);
}

/// `metadata_props`: licence and author under their usual names, the rest
/// together.
fn props(ctx: &mut Inspection<'_>, scan: &Scan<'_>) {
    let mut rest = Map::new();
    for (key, value) in &scan.props {
        match key.to_ascii_lowercase().as_str() {
            "license" | "licence" | "license_name" => ctx.fact("license", value.as_str()),
            "author" | "authors" => ctx.fact("author", value.as_str()),
            "base_model" => ctx.fact("base_model", value.as_str()),
            _ => {
                rest.insert(key.clone(), Value::from(value.as_str()));
            }
        }
    }
    if !rest.is_empty() {
        ctx.fact("properties", rest);
    }
}
