//! Operators and classes that TorchScript can name.

use std::collections::BTreeSet;

use weighbridge_types::Rule;

use super::rules;
use crate::codec::zip::{Listing, Member};
use crate::core::{FormatError, Input, Inspection};
use crate::formats::pickle::Facts;

/// Most different operators or classes reported for one member.
pub(super) const OPERATORS_MAX: usize = 64;
/// Bytes of mobile bytecode looked through at a time.
const WINDOW_BYTES: usize = 1 << 20;
/// Bytes of a window repeated in the next.
const OVERLAP_BYTES: usize = 256;
/// Longest operator name.
const NAME_BYTES_MAX: usize = 128;

/// Namespaces that PyTorch itself registers (`torch._C._jit_get_all_schemas`).
const BUILT_IN: &[&str] = &[
    "_c10d_functional",
    "_c10d_functional_autograd",
    "_dtensor",
    "_native",
    "_quantized",
    "aten",
    "cuda",
    "export",
    "inductor",
    "inductor_prims",
    "metal",
    "metal_prepack",
    "mkl",
    "mkldnn",
    "mkldnn_prepacked",
    "mps",
    "onednn",
    "onnx",
    "prepacked",
    "prim",
    "prims",
    "profiler",
    "quantization",
    "quantized",
    "quantized_decomposed",
    "rngprims",
    "sparse",
    "static_runtime",
    "symm_mem",
    "vulkan",
    "vulkan_prepack",
    "xnnpack",
];

/// Namespaces of well-known extension libraries.
const LIBRARIES: &[&str] = &[
    "deform_conv2d",
    "detectron2",
    "fairseq2n",
    "fbgemm",
    "ipex",
    "mmcv",
    "mmdeploy",
    "neuron",
    "sentencepiece",
    "tensorrt",
    "torch_cluster",
    "torch_ipex",
    "torch_scatter",
    "torch_sparse",
    "torch_spline_conv",
    "torchao",
    "torchaudio",
    "torchtext",
    "torchvision",
    "torch_geometric",
    "pyg",
    "executorch",
    "torchrec",
    "torchcodec",
    "onnxruntime",
    "_caffe2",
    "coreml",
];

/// The operator that a call in a TorchScript source names, as
/// `namespace::name`.
pub(super) fn of_call(name: &str) -> Option<String> {
    if let Some(rest) = name.strip_prefix("ops.").or_else(|| name.strip_prefix("torch.ops.")) {
        let mut parts = rest.split('.');
        return Some(format!("{}::{}", parts.next()?, parts.next()?));
    }
    let function = name.strip_prefix("torch.").filter(|f| !f.contains('.'))?;
    Some(format!("aten::{function}"))
}

/// The rule that using `operator` breaks, if any.
pub(super) fn judged(operator: &str) -> Option<&'static Rule> {
    const FILES: &[&str] = &[
        "aten::save",
        "aten::from_file",
        "aten::load",
        "debugprims::load_tensor",
        "aten::_save",
        "image::read_file",
        "image::write_file",
    ];
    const PYTHON: &[&str] = &["prim::PythonOp", "prim::IgnoredPythonOp"];
    let (namespace, name) = operator.split_once("::")?;
    if FILES.contains(&operator) {
        return Some(&rules::FILE_ACCESS);
    }
    if PYTHON.contains(&operator) {
        return Some(&rules::CUSTOM_OPERATOR);
    }
    if matches!(namespace, "c10d" | "rpc") || name.starts_with("rpc_") {
        return Some(&rules::NETWORK);
    }
    if BUILT_IN.contains(&namespace) {
        None
    } else if LIBRARIES.contains(&namespace) {
        Some(&rules::LIBRARY_OPERATOR)
    } else {
        Some(&rules::CUSTOM_OPERATOR)
    }
}

/// Custom C++ classes (`__torch__.torch.classes.…`) named in `text`.
pub(super) fn custom_classes(text: &[u8]) -> BTreeSet<String> {
    const PREFIX: &[u8] = b"__torch__.torch.classes.";
    let mut found = BTreeSet::new();
    for at in memchr::memmem::find_iter(text, PREFIX) {
        let rest = text.get(at + PREFIX.len()..).unwrap_or_default();
        let len = rest
            .iter()
            .take(NAME_BYTES_MAX)
            .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.'))
            .count();
        if found.len() >= OPERATORS_MAX {
            break;
        }
        found.insert(String::from_utf8_lossy(rest.get(..len).unwrap_or_default()).into_owned());
    }
    found
}

/// Reports a custom class unless PyTorch registers it itself.
pub(super) fn report_class(ctx: &mut Inspection<'_>, class: &str) {
    const BUILT_IN_CLASSES: &[&str] = &[
        "quantized",
        "sparse",
        "xnnpack",
        "rnn",
        "mkldnn",
        "vulkan",
        "vulkan_prepack",
        "metal",
        "_nnapi",
        "profiling",
        "_test",
    ];
    let namespace = class.split('.').next().unwrap_or_default();
    if BUILT_IN_CLASSES.contains(&namespace) {
        return;
    }
    let rule = if LIBRARIES.contains(&namespace) { &rules::LIBRARY_OPERATOR } else { &rules::CUSTOM_OPERATOR };
    ctx.find(rule, None, format!("class `torch.classes.{class}`"));
}

/// Reports the custom classes that a pickle names.
pub(super) fn inspect_classes(ctx: &mut Inspection<'_>, facts: &Facts, member: &str) {
    let mut classes = BTreeSet::new();
    for global in &facts.globals {
        classes.extend(custom_classes(global.as_bytes()));
    }
    if !classes.is_empty() {
        ctx.within(member, &Input::bytes(Vec::new()), |ctx, _| {
            classes.iter().for_each(|class| report_class(ctx, class));
        });
    }
}

/// Mobile bytecode lists its operators as strings, `aten::linear`.
pub(super) fn inspect_bytecode(
    ctx: &mut Inspection<'_>,
    input: &Input,
    listing: &Listing,
    member: &Member,
) -> Result<(), FormatError> {
    let Ok((content, _)) = listing.open(ctx, input, member) else { return Ok(()) };
    let mut operators = BTreeSet::new();
    let mut at = 0;
    while at < content.len() {
        let window = content.read_vec(at, WINDOW_BYTES).map_err(|source| FormatError::Io { offset: at, source })?;
        if window.is_empty() {
            break;
        }
        ctx.work(window.len() as u64)?;
        collect_operators(&window, &mut operators);
        at += if window.len() > OVERLAP_BYTES * 2 { window.len() - OVERLAP_BYTES } else { window.len() } as u64;
    }
    ctx.within(&member.name, &Input::bytes(Vec::new()), |ctx, _| {
        for operator in &operators {
            if let Some(rule) = judged(operator) {
                ctx.find(rule, None, format!("operator `{operator}` in the bytecode"));
            }
        }
    });
    Ok(())
}

/// Adds every `namespace::name` in `window` that would be reported. The names
/// are pickled strings, whose length tells where they end.
fn collect_operators(window: &[u8], operators: &mut BTreeSet<String>) {
    let is_name = |b: &&u8| b.is_ascii_alphanumeric() || **b == b'_';
    for at in memchr::memmem::find_iter(window, b"::") {
        let before = window.get(..at).unwrap_or_default();
        let start = at - before.iter().rev().take(NAME_BYTES_MAX).take_while(is_name).count();
        let name = window.get(at + 2..).unwrap_or_default();
        let end = at + 2 + name.iter().take(NAME_BYTES_MAX).take_while(is_name).count();
        let end = pickled_len(before, start).map_or(end, |len| end.min(start + len));
        if start == at || end <= at + 2 || operators.len() >= OPERATORS_MAX {
            continue;
        }
        let text = String::from_utf8_lossy(window.get(start..end).unwrap_or_default());
        if judged(&text).is_some() {
            operators.insert(text.into_owned());
        }
    }
}

/// Length of the string that starts at `start`, if BINUNICODE stands before it.
fn pickled_len(before: &[u8], start: usize) -> Option<usize> {
    let header = before.get(start.checked_sub(5)?..start)?;
    let (opcode, len) = header.split_first()?;
    (*opcode == b'X').then_some(usize::try_from(u32::from_le_bytes(*len.first_chunk()?)).ok()?)
}
