use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use super::TEXT_BYTES_MAX;
use crate::codec::flatbuffers::Table;
use crate::codec::tensors::{Element, Survey};
use crate::core::{FormatError, Input, Inspection};
use crate::formats::onnx::operators::{Kind, kind};
use crate::formats::onnx::rules;

/// Most graphs in one model: the main one, branches and loop bodies.
const GRAPHS_MAX: usize = 100_000;
/// Most tensors kept for a look at their bytes.
const RANGES_MAX: usize = 1 << 20;

/// What all graphs of a model tell.
pub struct Walk {
    opsets: BTreeMap<String, u64>,
    operators: BTreeMap<(String, String), (u64, u64)>,
    tensors: u64,
    parameters: u64,
    ranges: Vec<Range<u64>>,
}

impl Walk {
    /// Nothing seen yet, but the operator sets that `model` declares.
    pub fn new(model: &Table<'_>) -> Result<Self, FormatError> {
        let mut opsets = BTreeMap::new();
        for set in model.vector(1, 4, "opset_import")?.into_iter().flat_map(|v| v.tables("operator set")).take(1024) {
            let set = set?;
            let domain = set.string(0, TEXT_BYTES_MAX, "opset domain")?.unwrap_or_default();
            opsets.insert(domain, u64::try_from(set.i64(1, 0, "opset version")?).unwrap_or(0));
        }
        Ok(Self { opsets, operators: BTreeMap::new(), tensors: 0, parameters: 0, ranges: Vec::new() })
    }

    /// Walks the main graph and those in attributes, each once.
    pub fn graphs(&mut self, ctx: &mut Inspection<'_>, model: &Table<'_>) -> Result<(), FormatError> {
        let mut open: Vec<Table<'_>> = model.table(7, "graph")?.into_iter().collect();
        let mut seen = HashSet::new();
        while let Some(graph) = open.pop() {
            if !seen.insert(graph.position()) {
                continue;
            }
            if seen.len() > GRAPHS_MAX {
                return Err(FormatError::limit("ort_graphs_max", GRAPHS_MAX as u64));
            }
            for tensor in graph.vector(0, 4, "initializers")?.into_iter().flat_map(|v| v.tables("initializer")) {
                self.tensor(ctx, &tensor?)?;
            }
            for node in graph.vector(2, 4, "nodes")?.into_iter().flat_map(|v| v.tables("node")) {
                self.node(ctx, &node?, &mut open)?;
            }
        }
        self.judge(ctx);
        Ok(())
    }

    fn node<'b>(
        &mut self,
        ctx: &mut Inspection<'_>,
        node: &Table<'b>,
        open: &mut Vec<Table<'b>>,
    ) -> Result<(), FormatError> {
        ctx.work(1)?;
        let domain = node.string(2, TEXT_BYTES_MAX, "node domain")?.unwrap_or_default();
        let name = node.string(5, TEXT_BYTES_MAX, "node op_type")?.unwrap_or_default();
        self.operators.entry((domain, name)).or_insert((node.position(), 0)).1 += 1;
        for attribute in node.vector(10, 4, "attributes")?.into_iter().flat_map(|v| v.tables("attribute")) {
            ctx.work(1)?;
            let attribute = attribute?;
            open.extend(attribute.table(7, "attribute graph")?);
            for graph in attribute.vector(12, 4, "attribute graphs")?.into_iter().flat_map(|v| v.tables("graph")) {
                ctx.work(1)?;
                open.push(graph?);
            }
            if let Some(tensor) = attribute.table(6, "attribute tensor")? {
                self.tensor(ctx, &tensor)?;
            }
        }
        Ok(())
    }

    fn tensor(&mut self, ctx: &mut Inspection<'_>, tensor: &Table<'_>) -> Result<(), FormatError> {
        ctx.work(1)?;
        self.tensors += 1;
        let mut elements = 1u64;
        for extent in tensor.vector(2, 8, "tensor dims")?.into_iter().flat_map(|v| v.i64s("tensor dims")) {
            ctx.work(1)?;
            elements = elements.saturating_mul(u64::try_from(extent?).unwrap_or(0));
        }
        self.parameters = self.parameters.saturating_add(elements);
        if let Some(data) = tensor.vector(4, 1, "raw_data")?
            && self.ranges.len() < RANGES_MAX
        {
            self.ranges.push(data.range());
        }
        Ok(())
    }

    fn judge(&self, ctx: &mut Inspection<'_>) {
        for ((domain, name), (at, uses)) in &self.operators {
            let rule = match kind(domain, name, self.opsets.get(domain).copied()) {
                Kind::Known => continue,
                Kind::Python => &rules::PYTHON_OPERATOR,
                Kind::Custom => &rules::CUSTOM_OPERATOR,
                Kind::Unknown => &rules::UNKNOWN_OPERATOR,
            };
            ctx.find(rule, *at, format!("`{domain}.{name}`, {uses} uses"));
        }
    }

    /// Counts over all graphs.
    pub fn facts(&self, ctx: &mut Inspection<'_>) {
        ctx.fact("tensor_count", self.tensors);
        ctx.fact("parameters", self.parameters);
        ctx.fact("operators", self.operators.values().map(|(_, uses)| uses).sum::<u64>());
    }

    /// Looks at the bytes of tensors.
    pub fn survey(&self, ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
        let mut survey = Survey::new(false);
        for range in &self.ranges {
            survey.tensor(ctx, input, range.clone(), Element::Other, &|| format!("at {}", range.start))?;
            ctx.opaque(input, range.clone());
        }
        Ok(())
    }
}
