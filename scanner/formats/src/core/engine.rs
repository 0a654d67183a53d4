use std::cell::{Cell, RefCell};

use crate::core::inspection::{Child, Shared};
use crate::core::{
    ContentScanner, FileName, FormatSpec, Input, Inspection, Options, Outcome, Scope, generic, identify,
};
use crate::formats::FORMATS;

/// Identifies and inspects one file and everything nested in it.
///
/// `name` is its file name. Never fails: what could not be done is a finding.
/// Patterns are looked for in unpacked content only; the caller looks at the
/// file itself in the pass that digests it, outside [`Outcome::opaque`].
#[must_use]
pub fn inspect(input: &Input, name: &str, options: &Options, content: &dyn ContentScanner) -> Outcome {
    inspect_with(name, options, content, |ctx| inspect_content(ctx, input))
}

/// Runs `f` in a fresh context and gathers what it reported.
pub(crate) fn inspect_with(
    name: &str,
    options: &Options,
    content: &dyn ContentScanner,
    f: impl FnOnce(&mut Inspection<'_>) -> Child,
) -> Outcome {
    let shared = Shared {
        options: *options,
        content,
        outcome: RefCell::default(),
        expanded_bytes: Cell::new(0),
        members_seen: Cell::new(0),
        work: Cell::new(0),
        findings_dropped: Cell::new(0),
    };
    let child = f(&mut Inspection::root(&shared, FileName::new(name)));
    let dropped = shared.findings_dropped.get();
    let mut outcome = shared.outcome.into_inner();
    outcome.format = child.format;
    outcome.is_model = child.is_model;
    outcome.opaque = merged(outcome.opaque);
    if dropped > 0 {
        outcome.findings.push(weighbridge_types::Finding::new(
            &generic::FINDINGS_DROPPED,
            format!("{dropped} findings were dropped"),
        ));
    }
    outcome.findings.sort_by(|a, b| (b.verdict, b.severity).cmp(&(a.verdict, a.severity)));
    outcome
}

/// What a parser that was run by itself found out about the whole: nothing.
pub(crate) fn nothing() -> Child {
    Child { format: None, is_model: false }
}

/// Identifies `input` and inspects it as what it is.
pub(crate) fn inspect_content(ctx: &mut Inspection<'_>, input: &Input) -> Child {
    let spec = match identify(input, &ctx.name) {
        Ok(spec) => spec,
        Err(source) => {
            ctx.stopped(&crate::FormatError::Io { offset: 0, source });
            return Child { format: None, is_model: false };
        }
    };
    let Some(spec) = spec else {
        let is_model = not_a_model(ctx, input);
        return Child { format: None, is_model };
    };
    if let Err(error) = (spec.inspect)(ctx, input) {
        ctx.stopped(&error);
    }
    if let Some(inner) = ctx.only_child.filter(|_| is_stream(spec)) {
        ctx.refine_format(inner);
    }
    let is_model = spec.is_model || ctx.holds_model;
    if is_model {
        check_extension(ctx, spec);
    } else if claims_model(&ctx.name) && spec.scope == Scope::Anywhere {
        ctx.find(&generic::UNRECOGNISED, 0, format!("a {} without a model in it", spec.name));
    }
    Child { format: ctx.refined.take().or(Some(spec.id)), is_model: is_model || claims_model(&ctx.name) }
}

/// Whether the format is one compressed stream: people name what is in it,
/// not the compression (`model.joblib`, `model.rds`).
fn is_stream(spec: &FormatSpec) -> bool {
    matches!(spec.id, "gzip" | "bzip2" | "xz" | "lzma" | "zstd" | "lz4" | "zlib")
}

/// Content that nothing recognised: says so if its name claims a model.
/// Returns whether it does.
fn not_a_model(ctx: &mut Inspection<'_>, input: &Input) -> bool {
    if !claims_model(&ctx.name) {
        return false;
    }
    let head = input.head(512).unwrap_or_default();
    let text = head.trim_ascii_start().to_ascii_lowercase();
    if head.iter().all(|b| *b == 0) {
        ctx.find(&generic::EMPTY_FILE, 0, format!("{} bytes, none of them set at the start", input.len()));
    } else if head.starts_with(b"version https://git-lfs.github.com/spec/") {
        ctx.find(&generic::LFS_POINTER, 0, String::from_utf8_lossy(&head));
    } else if text.starts_with(b"<!doctype html") || text.starts_with(b"<html") {
        ctx.find(&generic::HTML_PAGE, 0, "starts like an HTML document");
    } else {
        let shown: String = head.iter().take(16).map(|b| format!("{b:02x} ")).collect();
        ctx.find(&generic::UNRECOGNISED, 0, format!("starts with {}", shown.trim_end()));
    }
    true
}

/// Whether a file of this name, unrecognised, must be reported as a model
/// that could not be read. Extensions shared with ordinary programs are not
/// in the list.
#[must_use]
pub fn claims_model(name: &FileName) -> bool {
    const CLAIMS: &[&str] = &[
        "safetensors",
        "gguf",
        "ggml",
        "pt",
        "pth",
        "ckpt",
        "pkl",
        "pickle",
        "joblib",
        "dill",
        "onnx",
        "ort",
        "h5",
        "hdf5",
        "keras",
        "tflite",
        "pte",
        "ptl",
        "pt2",
        "mar",
        "nemo",
        "skops",
        "npy",
        "npz",
        "mlmodel",
        "cbm",
        "pdmodel",
        "pdparams",
        "pdiparams",
        "caffemodel",
        "engine",
        "rknn",
        "mnn",
        "msgpack",
        "t7",
        "llamafile",
        "litertlm",
    ];
    name.has_extension(CLAIMS)
        || (name.has_extension(&["bin"])
            && ["pytorch_model", "adapter_model", "training_args", "diffusion_pytorch_model", "tf_model", "flax_model"]
                .iter()
                .any(|stem| name.as_str().starts_with(stem)))
}

/// Raises the findings about a name that lies.
fn check_extension(ctx: &mut Inspection<'_>, spec: &FormatSpec) {
    let Some(extension) = ctx.name.extension().map(str::to_owned) else { return };
    // What a stream or a refinement turned out to be may own the name.
    let inner = ctx.refined.and_then(crate::formats::by_id);
    if spec.extensions.contains(&extension.as_str())
        || inner.is_some_and(|i| i.extensions.contains(&extension.as_str()))
    {
        return;
    }
    let owners: Vec<_> = FORMATS.iter().filter(|f| f.extensions.contains(&extension.as_str())).collect();
    if owners.is_empty() {
        return;
    }
    let detail =
        format!("`.{extension}` is usual for {}, the content is {}", owners.first().map_or("", |o| o.name), spec.name);
    if spec.runs_code && owners.iter().all(|o| !o.runs_code) {
        ctx.find(&generic::CODE_UNDER_SAFE_NAME, 0, detail);
    } else {
        ctx.find(&generic::EXTENSION_MISMATCH, 0, detail);
    }
}

fn merged(mut ranges: Vec<std::ops::Range<u64>>) -> Vec<std::ops::Range<u64>> {
    ranges.sort_by_key(|r| r.start);
    let mut out: Vec<std::ops::Range<u64>> = Vec::new();
    for range in ranges {
        match out.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => out.push(range),
        }
    }
    out
}
