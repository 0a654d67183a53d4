//! GGUF, versions 1 to 3, both byte orders (ggml `docs/gguf.md`, checks of
//! `src/gguf.cpp`).

pub mod catalogue;
#[cfg(test)]
mod catalogue_tests;
mod facts;
mod layout;
mod metadata;
pub(crate) mod quant;
pub(crate) mod rules;
mod source;
mod split;
mod tensors;
#[cfg(test)]
pub(crate) mod tests;

use crate::codec::jinja;
use crate::codec::norms::Norms;
use crate::codec::tensors::{Element, Survey};
use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Recognise, Scope, Sniff};
use metadata::{Metadata, Type, Value};
use source::Source;
use tensors::Tensor;

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "gguf",
    name: "GGUF",
    extensions: &["gguf"],
    runs_code: false,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Bytes(recognise),
    inspect,
    rules: rules::ALL,
};

/// Most pairs accepted: a hundred times what converters write.
const KV_COUNT_MAX: u64 = 65_536;
/// Most tensors accepted: fifty times the largest mixture of experts. The
/// table it sizes stays below 16 MiB.
const TENSOR_COUNT_MAX: u64 = 200_000;
/// Counts above this are no broken download: nothing ever had as many.
const COUNT_PLAUSIBLE_MAX: u64 = 1 << 24;
/// `GGUF_DEFAULT_ALIGNMENT`.
const ALIGNMENT_DEFAULT: u64 = 32;
/// Largest alignment with a use: the largest memory pages.
const ALIGNMENT_PLAUSIBLE_MAX: u64 = 1 << 21;

fn recognise(sniff: &Sniff<'_>) -> Confidence {
    if !sniff.starts_with(b"GGUF") {
        return Confidence::No;
    }
    // Text about GGUF starts like it too; no version ever had four digits.
    match sniff.u32_le(4) {
        Some(version) if (1..=3).contains(&version) || (1..=3).contains(&version.swap_bytes()) => Confidence::Certain,
        Some(version) if version < 0x1000 || version.swap_bytes() < 0x1000 => Confidence::Likely,
        Some(_) if sniff.name.has_extension(&["gguf"]) => Confidence::Likely,
        Some(_) => Confidence::No,
        None => Confidence::Likely,
    }
}

/// Inspects a GGUF file, alone or inside a container that knows it is one.
///
/// # Errors
/// Whatever stops the parse; what was learnt up to there is reported.
pub fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let mut s = Source::open(input)?;
    let mut metadata = Metadata::default();
    let mut tensors = Vec::new();
    let parsed = tables(ctx, &mut s, &mut metadata, &mut tensors);
    facts::report(ctx, &s, &metadata, &tensors, parsed.is_ok());
    architecture(ctx, &metadata, &tensors);
    split::report(ctx, &metadata, tensors.len() as u64);
    for (key, template) in &metadata.templates {
        jinja::inspect(ctx, template, key);
    }
    parsed?;
    data(ctx, input, &s, &metadata, &tensors)
}

/// Reads header, metadata and tensor descriptions.
fn tables(
    ctx: &mut Inspection<'_>,
    s: &mut Source<'_>,
    metadata: &mut Metadata,
    tensors: &mut Vec<Tensor>,
) -> Result<(), FormatError> {
    let tensor_count = s.count("tensor count")?;
    let kv_count = s.count("metadata count")?;
    let width = s.width();
    let kv_count = count(ctx, s, kv_count, KV_COUNT_MAX, width + 5, "metadata count")?;
    count(ctx, s, tensor_count, u64::MAX, 16 + width, "tensor count")?;
    metadata.read(ctx, s, kv_count)?;
    let tensor_count = count(ctx, s, tensor_count, TENSOR_COUNT_MAX, 16 + width, "tensor count")?;
    tensors::read(ctx, s, tensor_count, metadata.text("general.architecture"), tensors)
}

fn count(
    ctx: &mut Inspection<'_>,
    s: &Source<'_>,
    n: u64,
    max: u64,
    entry_bytes_min: u64,
    field: &'static str,
) -> Result<u64, FormatError> {
    let fits = s.r.check_count(n, max, entry_bytes_min, field);
    if n > COUNT_PLAUSIBLE_MAX && fits.is_err() {
        ctx.find(&rules::ABSURD_LENGTH, s.r.position(), format!("`{field}` is {n}; {} bytes follow", s.r.remaining()));
    }
    fits
}

/// Checks the data section.
fn data(
    ctx: &mut Inspection<'_>,
    input: &Input,
    s: &Source<'_>,
    metadata: &Metadata,
    tensors: &[Tensor],
) -> Result<(), FormatError> {
    let alignment = alignment(ctx, metadata);
    let described = s.r.position();
    if tensors.is_empty() {
        return layout::tail(ctx, input, described, alignment);
    }
    let start = described
        .checked_next_multiple_of(alignment)
        .filter(|start| *start <= input.len())
        .ok_or_else(|| FormatError::truncated("tensor data", described))?;
    let end = layout::check(ctx, input, start, alignment, tensors)?;
    ctx.opaque(input, start..end.unwrap_or(input.len()));
    survey(ctx, input, start, s.big_endian, tensors)?;
    match end {
        Some(end) => layout::tail(ctx, input, end, alignment),
        None => Ok(()),
    }
}

/// Whether the file says what it is, where it must.
fn architecture(ctx: &mut Inspection<'_>, metadata: &Metadata, tensors: &[Tensor]) {
    let exempt = metadata.is_empty()
        || tensors.is_empty()
        || metadata.unsigned("split.no").is_some_and(|n| n > 0)
        || metadata.text("general.type") == Some("imatrix");
    if !exempt && metadata.text("general.architecture").is_none_or(str::is_empty) {
        ctx.find(&rules::ARCHITECTURE, None, "`general.architecture` is absent, empty or no text");
    }
}

/// `general.alignment`, or the default where it is absent or unusable.
fn alignment(ctx: &mut Inspection<'_>, metadata: &Metadata) -> u64 {
    let Some((kind, value)) = metadata.typed("general.alignment") else { return ALIGNMENT_DEFAULT };
    match *value {
        Value::Unsigned(n) if kind == Type::Unsigned(4) && n.is_power_of_two() && n <= ALIGNMENT_PLAUSIBLE_MAX => n,
        ref other => {
            ctx.find(&rules::ALIGNMENT, None, format!("`general.alignment` is {other:?}"));
            ALIGNMENT_DEFAULT
        }
    }
}

fn survey(
    ctx: &mut Inspection<'_>,
    input: &Input,
    start: u64,
    big_endian: bool,
    tensors: &[Tensor],
) -> Result<(), FormatError> {
    let mut survey = Survey::new(big_endian);
    let mut norms = Norms::new(big_endian);
    for tensor in tensors {
        let Some(range) = tensor.size.and_then(|size| {
            let begin = start.checked_add(tensor.offset)?;
            Some(begin..begin.checked_add(size)?)
        }) else {
            continue;
        };
        let element = match tensor.kind {
            0 => Element::F32,
            1 => Element::F16,
            28 => Element::F64,
            30 => Element::Bf16,
            _ => Element::Other,
        };
        survey.tensor(ctx, input, range.clone(), element, &|| tensor.name())?;
        if tensor.is_vector {
            norms.tensor(ctx, input, range, element, &tensor.name())?;
        }
    }
    norms.report(ctx);
    Ok(())
}
