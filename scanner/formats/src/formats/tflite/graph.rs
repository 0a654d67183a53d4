use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::operators::Code;
use super::weights::Weights;
use super::{TEXT_BYTES_MAX, rules};
use crate::codec::flatbuffers::{Table, Vector};
use crate::core::{FormatError, Inspection};

/// Most subgraphs in one model.
const SUBGRAPHS_MAX: u32 = 65_536;
/// Findings about indices.
const FINDINGS_MAX: u32 = 16;
/// `BuiltinOperator` numbers whose options name subgraphs in fields 0 and 1.
const IF: i32 = 118;
const WHILE: i32 = 119;
const CALL_ONCE: i32 = 129;

/// Walks subgraphs, tensors and operators.
pub fn inspect(
    ctx: &mut Inspection<'_>,
    model: &Table<'_>,
    codes: &[Code],
    weights: &Weights,
) -> Result<(), FormatError> {
    let Some(subgraphs) = model.vector(2, 4, "subgraphs")? else { return Ok(()) };
    if subgraphs.len() > SUBGRAPHS_MAX {
        return Err(FormatError::limit("tflite_subgraphs_max", SUBGRAPHS_MAX.into()));
    }
    let mut walk = Walk::new(codes, weights, subgraphs.len());
    for (i, subgraph) in subgraphs.tables("subgraph").enumerate() {
        walk.subgraph(ctx, &subgraph?, i)?;
    }
    for signature in model.vector(7, 4, "signature_defs")?.into_iter().flat_map(|v| v.tables("signature")) {
        ctx.work(1)?;
        let signature = signature?;
        for id in [0, 1] {
            for map in signature.vector(id, 4, "signature tensors")?.into_iter().flat_map(|v| v.tables("tensor map")) {
                ctx.work(1)?;
                map?.string(0, TEXT_BYTES_MAX, "tensor map name")?;
            }
        }
        signature.string(2, TEXT_BYTES_MAX, "signature_key")?;
    }
    if let Some(cycle) = walk.cycle() {
        ctx.find(&rules::SUBGRAPH_CYCLE, None, format!("subgraph {cycle} runs itself"));
    }
    walk.facts(ctx);
    Ok(())
}

struct Walk<'a> {
    codes: &'a [Code],
    weights: &'a Weights,
    subgraphs: u32,
    tensors: u64,
    parameters: u64,
    operators: BTreeMap<i32, u64>,
    types: BTreeMap<&'static str, u64>,
    /// Subgraphs that each subgraph runs.
    runs: BTreeMap<usize, Vec<usize>>,
    reported: u32,
}

impl<'a> Walk<'a> {
    fn new(codes: &'a [Code], weights: &'a Weights, subgraphs: u32) -> Self {
        Self {
            codes,
            weights,
            subgraphs,
            tensors: 0,
            parameters: 0,
            operators: BTreeMap::new(),
            types: BTreeMap::new(),
            runs: BTreeMap::new(),
            reported: 0,
        }
    }

    fn subgraph(&mut self, ctx: &mut Inspection<'_>, graph: &Table<'_>, number: usize) -> Result<(), FormatError> {
        let tensors = graph.vector(0, 4, "tensors")?;
        let count = tensors.as_ref().map_or(0, Vector::len);
        for tensor in tensors.into_iter().flat_map(|v| v.tables("tensor")) {
            self.tensor(ctx, &tensor?)?;
        }
        for (id, what) in [(1, "subgraph inputs"), (2, "subgraph outputs")] {
            self.indices(ctx, graph, id, count, what)?;
        }
        for operator in graph.vector(3, 4, "operators")?.into_iter().flat_map(|v| v.tables("operator")) {
            self.operator(ctx, &operator?, count, number)?;
        }
        graph.string(4, TEXT_BYTES_MAX, "subgraph name")?;
        Ok(())
    }

    fn tensor(&mut self, ctx: &mut Inspection<'_>, tensor: &Table<'_>) -> Result<(), FormatError> {
        ctx.work(1)?;
        self.tensors += 1;
        let buffer = tensor.u32(2, 0, "tensor buffer")?;
        if usize::try_from(buffer).is_ok_and(|i| i >= self.weights.count()) {
            let detail = format!("a tensor uses buffer {buffer} of {}", self.weights.count());
            self.index(ctx, tensor.position(), &detail);
        }
        let mut elements = 1u64;
        for extent in tensor.vector(0, 4, "tensor shape")?.into_iter().flat_map(|v| v.i32s("tensor shape")) {
            ctx.work(1)?;
            elements = elements.saturating_mul(u64::try_from(extent?).unwrap_or(0));
        }
        if buffer != 0 && self.weights.holds(buffer) {
            self.parameters = self.parameters.saturating_add(elements);
            *self.types.entry(type_name(tensor.i8(1, 0, "tensor type")?)).or_default() += 1;
        }
        tensor.string(3, TEXT_BYTES_MAX, "tensor name")?;
        tensor.vector(7, 4, "shape_signature")?;
        if let Some(quantization) = tensor.table(4, "quantization")? {
            for id in [0, 1, 2] {
                quantization.vector(id, 4, "quantization range")?;
            }
            quantization.vector(3, 8, "zero_point")?;
        }
        Ok(())
    }

    fn operator(
        &mut self,
        ctx: &mut Inspection<'_>,
        operator: &Table<'_>,
        tensors: u32,
        number: usize,
    ) -> Result<(), FormatError> {
        ctx.work(1)?;
        let opcode = operator.u32(0, 0, "opcode_index")?;
        let Some(code) = usize::try_from(opcode).ok().and_then(|i| self.codes.get(i)) else {
            let detail = format!("an operator uses operator code {opcode} of {}", self.codes.len());
            self.index(ctx, operator.position(), &detail);
            return Ok(());
        };
        *self.operators.entry(code.builtin).or_default() += 1;
        for (id, what) in [(1, "operator inputs"), (2, "operator outputs"), (8, "operator intermediates")] {
            self.indices(ctx, operator, id, tensors, what)?;
        }
        operator.vector(5, 1, "custom_options")?;
        operator.vector(7, 1, "mutating_variable_inputs")?;
        let options = operator.table(4, "builtin_options")?;
        operator.table(12, "builtin_options_2")?;
        if let (Some(options), IF | WHILE | CALL_ONCE) = (options, code.builtin) {
            let fields: &[u16] = if code.builtin == CALL_ONCE { &[0] } else { &[0, 1] };
            for id in fields {
                let target = options.i32(*id, 0, "subgraph index")?;
                match u32::try_from(target).ok().filter(|t| *t < self.subgraphs).and_then(|t| usize::try_from(t).ok()) {
                    Some(target) => self.runs.entry(number).or_default().push(target),
                    None => {
                        let detail = format!("an operator runs subgraph {target} of {}", self.subgraphs);
                        self.index(ctx, options.position(), &detail);
                    }
                }
            }
        }
        Ok(())
    }

    /// Holds the tensor indices of field `id` against the tensors there are.
    fn indices(
        &mut self,
        ctx: &mut Inspection<'_>,
        table: &Table<'_>,
        id: u16,
        tensors: u32,
        what: &'static str,
    ) -> Result<(), FormatError> {
        for index in table.vector(id, 4, what)?.into_iter().flat_map(|v| v.i32s(what)) {
            ctx.work(1)?;
            let index = index?;
            // -1 stands for an input that is left out.
            if index < -1 || i64::from(index) >= i64::from(tensors) {
                self.index(ctx, table.position(), &format!("{what}: tensor {index} of {tensors}"));
            }
        }
        Ok(())
    }

    fn index(&mut self, ctx: &mut Inspection<'_>, at: u64, detail: &str) {
        self.reported += 1;
        if self.reported <= FINDINGS_MAX {
            ctx.find(&rules::INDEX_OUTSIDE, at, detail);
        }
    }

    /// A subgraph that runs itself, directly or through others.
    fn cycle(&self) -> Option<usize> {
        // Peel off subgraphs that nobody left runs; what remains is in a cycle
        // or reached from one.
        let mut run_by: BTreeMap<usize, usize> = self.runs.keys().map(|k| (*k, 0)).collect();
        for target in self.runs.values().flatten() {
            *run_by.entry(*target).or_default() += 1;
        }
        let mut free: Vec<usize> = run_by.iter().filter(|(_, n)| **n == 0).map(|(k, _)| *k).collect();
        while let Some(graph) = free.pop() {
            run_by.remove(&graph);
            for target in self.runs.get(&graph).into_iter().flatten() {
                if let Some(left) = run_by.get_mut(target) {
                    *left -= 1;
                    if *left == 0 {
                        free.push(*target);
                    }
                }
            }
        }
        run_by.keys().next().copied()
    }

    fn facts(self, ctx: &mut Inspection<'_>) {
        ctx.fact("tensor_count", self.tensors);
        ctx.fact("parameters", self.parameters);
        let count = self.operators.values().sum::<u64>();
        ctx.fact("operators", count);
        let types: Map<_, _> = self.types.into_iter().map(|(k, n)| (k.to_owned(), Value::from(n))).collect();
        if !types.is_empty() {
            ctx.fact("dtypes", types);
        }
    }
}

/// `TensorType` of the schema.
fn type_name(number: i8) -> &'static str {
    const NAMES: &[&str] = &[
        "float32",
        "float16",
        "int32",
        "uint8",
        "int64",
        "string",
        "bool",
        "int16",
        "complex64",
        "int8",
        "float64",
        "complex128",
        "uint64",
        "resource",
        "variant",
        "uint32",
        "uint16",
        "int4",
        "bfloat16",
    ];
    usize::try_from(number).ok().and_then(|i| NAMES.get(i)).copied().unwrap_or("other")
}
