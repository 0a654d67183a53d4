//! ExecuTorch programs (`schema/program.fbs`): a FlatBuffer, then segments of
//! weights and delegate blobs that an extended header locates.

mod rules;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use crate::codec::flatbuffers::{FlatBuffer, Table, inspect_trailing};
use crate::codec::tensors::{Element, Survey};
use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Reader, Recognise, Scope, Sniff};

/// Longest name read.
const NAME_BYTES_MAX: usize = 64 * 1024;
/// Findings and names kept of one kind.
const NAMED_MAX: usize = 64;
/// Largest extended header in use; newer writers may add fields.
const HEADER_BYTES_MAX: u32 = 4096;
/// Namespaces of operators that ExecuTorch and PyTorch ship.
const NAMESPACES: &[&str] = &[
    "aten",
    "prim",
    "prims",
    "executorch_prim",
    "dim_order_ops",
    "quantized_decomposed",
    "et",
    "torchao",
    "llama",
    "torchvision",
    "torchaudio",
    "quantized",
    "cadence",
    "cortex_m",
    "bolt",
    "sorted",
    "higher_order",
];
/// Backends that ship with ExecuTorch.
const BACKENDS: &[&str] = &[
    "XnnpackBackend",
    "CoreMLBackend",
    "MPSBackend",
    "QnnBackend",
    "VulkanBackend",
    "EthosUBackend",
    "EthosUBackendVkml",
    "VgfBackend",
    "MediatekBackend",
    "NeuropilotBackend",
    "OpenvinoBackend",
    "EnnBackend",
    "NeutronBackend",
    "CudaBackend",
    "MetalBackend",
    "AotiBackend",
    "WebGPUBackend",
    "MLXBackend",
    "TOSABackend",
];

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "executorch",
    name: "ExecuTorch program",
    extensions: &["pte"],
    runs_code: false,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Bytes(recognise),
    inspect,
    rules: rules::ALL,
};

/// `ET` and two digits after the offset of the root table.
fn recognise(sniff: &Sniff<'_>) -> Confidence {
    let identified =
        matches!(sniff.head.get(4..8), Some([b'E', b'T', a, b]) if a.is_ascii_digit() && b.is_ascii_digit());
    let root_inside = sniff.u32_le(0).is_some_and(|root| root >= 8 && u64::from(root) < sniff.len);
    match (identified, root_inside) {
        (true, true) => Confidence::Certain,
        (true, false) if sniff.name.has_extension(FORMAT.extensions) => Confidence::Likely,
        _ => Confidence::No,
    }
}

/// The extended header (`schema/extended_header.h`), if there is one.
struct Header {
    program_bytes: u64,
    segments_at: u64,
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let header = extended_header(input)?;
    let program = match &header {
        Some(header) => input
            .slice(0, header.program_bytes)
            .ok_or_else(|| FormatError::truncated("program", header.program_bytes))?,
        None => input.clone(),
    };
    let buffer = FlatBuffer::new(&program);
    let root = buffer.root()?;
    ctx.fact("format_version", root.u32(0, 0, "version")?);
    let mut names = Names::default();
    for plan in root.vector(1, 4, "execution_plan")?.into_iter().flat_map(|v| v.tables("execution plan")) {
        ctx.work(1)?;
        names.plan(ctx, &plan?)?;
    }
    names.judge(ctx);
    let mut ends = inline_data(ctx, &root, input)?.max(buffer.end());
    if let Some(header) = header {
        ends = ends.max(header.segments_at).max(segments(ctx, &root, input, header.segments_at)?);
    }
    inspect_trailing(ctx, input, ends)
}

fn extended_header(input: &Input) -> Result<Option<Header>, FormatError> {
    let mut r = Reader::at(input, 8);
    let magic = r.peek(4)?;
    if !matches!(magic, [b'e', b'h', a, b] if a.is_ascii_digit() && b.is_ascii_digit()) {
        return Ok(None);
    }
    r.skip(4, "extended header magic")?;
    let len = r.u32_le("extended header length")?;
    if !(24..=HEADER_BYTES_MAX).contains(&len) {
        return Err(FormatError::malformed("extended header length", 12, format!("{len} bytes")));
    }
    let header = Header { program_bytes: r.u64_le("program size")?, segments_at: r.u64_le("segment base offset")? };
    Ok(Some(header))
}

/// Names that a program asks its runtime for.
#[derive(Default)]
struct Names {
    methods: BTreeSet<String>,
    operators: BTreeSet<String>,
    backends: BTreeSet<String>,
    values: u64,
}

impl Names {
    fn plan(&mut self, ctx: &mut Inspection<'_>, plan: &Table<'_>) -> Result<(), FormatError> {
        if self.methods.len() < NAMED_MAX {
            self.methods.extend(plan.string(0, NAME_BYTES_MAX, "method name")?);
        }
        self.values += u64::from(plan.vector(2, 4, "values")?.map_or(0, |v| v.len()));
        for operator in plan.vector(6, 4, "operators")?.into_iter().flat_map(|v| v.tables("operator")) {
            ctx.work(1)?;
            let name = operator?.string(0, NAME_BYTES_MAX, "operator name")?.unwrap_or_default();
            if self.operators.len() < 4096 {
                self.operators.insert(name);
            }
        }
        for delegate in plan.vector(7, 4, "delegates")?.into_iter().flat_map(|v| v.tables("delegate")) {
            ctx.work(1)?;
            let name = delegate?.string(0, NAME_BYTES_MAX, "delegate id")?.unwrap_or_default();
            if self.backends.len() < NAMED_MAX {
                self.backends.insert(name);
            }
        }
        Ok(())
    }

    fn judge(self, ctx: &mut Inspection<'_>) {
        let foreign = self.operators.iter().filter(|name| {
            let namespace = name.split_once("::").map_or("", |(namespace, _)| namespace);
            !NAMESPACES.contains(&namespace)
        });
        for name in foreign.take(NAMED_MAX) {
            ctx.find(&rules::CUSTOM_OPERATOR, None, format!("`{name}`"));
        }
        for name in &self.backends {
            let rule = if BACKENDS.contains(&name.as_str()) { &rules::DELEGATE } else { &rules::FOREIGN_DELEGATE };
            ctx.find(rule, None, format!("`{name}`"));
        }
        ctx.fact("methods", self.methods.into_iter().collect::<Vec<_>>());
        ctx.fact("operators", self.operators.len());
        ctx.fact("values", self.values);
        if !self.backends.is_empty() {
            ctx.fact("delegates", self.backends.into_iter().collect::<Vec<_>>());
        }
    }
}

/// Constants and delegate blobs inside the FlatBuffer.
fn inline_data(ctx: &mut Inspection<'_>, root: &Table<'_>, input: &Input) -> Result<u64, FormatError> {
    let mut survey = Survey::new(false);
    let mut end = 0;
    for (id, what) in [(2, "constant buffer"), (3, "delegate data")] {
        for item in root.vector(id, 4, what)?.into_iter().flat_map(|v| v.tables(what)) {
            ctx.work(1)?;
            let Some(data) = item?.vector(0, 1, what)? else { continue };
            let range = data.range();
            end = end.max(range.end);
            if id == 2 {
                survey.tensor(ctx, input, range.clone(), Element::Other, &|| format!("at {}", range.start))?;
                ctx.opaque(input, range);
            }
        }
    }
    Ok(end)
}

/// Holds the segments against the file; returns where the last one ends.
fn segments(ctx: &mut Inspection<'_>, root: &Table<'_>, input: &Input, base: u64) -> Result<u64, FormatError> {
    let mut survey = Survey::new(false);
    let mut last = 0;
    let mut outside = 0;
    for segment in root.vector(4, 4, "segments")?.into_iter().flat_map(|v| v.tables("segment")) {
        ctx.work(1)?;
        let segment = segment?;
        let (offset, size) = (segment.u64(0, 0, "segment offset")?, segment.u64(1, 0, "segment size")?);
        let range = base.checked_add(offset).and_then(|start| Some(start..start.checked_add(size)?));
        match range.filter(|range| range.end <= input.len()) {
            Some(range) => {
                last = last.max(range.end);
                survey.tensor(ctx, input, range.clone(), Element::Other, &|| format!("segment at {}", range.start))?;
            }
            None if outside < NAMED_MAX => {
                outside += 1;
                let detail = format!("{size} bytes at {base} + {offset} of {}", input.len());
                ctx.find(&rules::SEGMENT_OUTSIDE, segment.position(), detail);
            }
            None => {}
        }
    }
    Ok(last)
}
