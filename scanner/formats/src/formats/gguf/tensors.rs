//! Tensor descriptions (GGUF specification, `gguf_tensor_info_t`).

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use crate::core::{FormatError, Inspection};
use crate::formats::gguf::quant::{self, Kind};
use crate::formats::gguf::rules;
use crate::formats::gguf::source::Source;

/// Longest name that is read, bytes.
const NAME_BYTES_MAX: usize = 4096;
/// Longest name llama.cpp takes: `GGML_MAX_NAME` without the final NUL.
const NAME_BYTES_LANGUAGE_MAX: usize = 63;
/// Longest name stable-diffusion.cpp takes, which is built with 128.
const NAME_BYTES_PICTURE_MAX: usize = 127;
/// Names kept for evidence; further tensors are called by their number.
const NAMES_KEPT_MAX: usize = 65_536;
/// `GGML_MAX_DIMS`.
const DIMS_MAX: u32 = 4;
/// Most dimensions that are read.
const DIMS_READ_MAX: u32 = 64;
/// Picture and video models: their converters keep long names and
/// convolutions of five dimensions, and their loaders read both.
const PICTURES: &[&str] = &[
    "wan",
    "hyvid",
    "hunyuan_video",
    "ltxv",
    "cosmos",
    "qwen_image",
    "flux",
    "sd1",
    "sd3",
    "sdxl",
    "lumina2",
    "hidream",
    "mochi",
    "aura",
    "pig",
    "clip",
];

/// One tensor.
#[derive(Debug)]
pub struct Tensor {
    name: Box<str>,
    number: u32,
    /// Where its description starts in the file.
    pub described_at: u64,
    /// Start of its bytes in the data section.
    pub offset: u64,
    /// Elements; `None` if the extents overflow.
    pub elements: Option<u64>,
    /// Bytes; `None` if they cannot be told.
    pub size: Option<u64>,
    /// Type id.
    pub kind: u32,
    /// Whether it has one dimension.
    pub is_vector: bool,
    /// Elements of the innermost dimension.
    pub row: u64,
}

impl Tensor {
    /// Its name, if that was kept.
    #[must_use]
    pub fn full_name(&self) -> Option<&str> {
        Some(&*self.name).filter(|n| !n.is_empty())
    }

    /// What to call it.
    #[must_use]
    pub fn name(&self) -> String {
        if self.name.is_empty() { format!("#{}", self.number) } else { self.name.to_string() }
    }
}

/// Reads `count` descriptions into `out`; what was read before an error stays.
///
/// # Errors
/// Whatever stops the parse.
pub fn read(
    ctx: &mut Inspection<'_>,
    s: &mut Source<'_>,
    count: u64,
    architecture: Option<&str>,
    out: &mut Vec<Tensor>,
) -> Result<(), FormatError> {
    // Files of stable-diffusion.cpp say nothing of themselves.
    let pictures = architecture.is_none_or(|a| PICTURES.contains(&a));
    let hasher = RandomState::new();
    let mut seen = HashSet::new();
    for number in 0..count {
        ctx.work(1)?;
        let described_at = s.r.position();
        let name = name(ctx, s, described_at, pictures)?;
        if !seen.insert(hasher.hash_one(&name)) {
            ctx.find(&rules::DUPLICATE_NAME, described_at, format!("the tensor `{name}` occurs again"));
        }
        let shape = shape(ctx, s, &name, pictures)?;
        let kind = s.u32("tensor type")?;
        let offset = s.u64("tensor offset")?;
        let size = size(ctx, described_at, &name, &shape, kind);
        let name = if out.len() < NAMES_KEPT_MAX { name.into() } else { Box::default() };
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        let Shape { row, elements } = shape;
        let is_vector = elements == Some(row);
        out.push(Tensor { name, number, described_at, offset, elements, size, kind, is_vector, row });
    }
    Ok(())
}

fn name(ctx: &mut Inspection<'_>, s: &mut Source<'_>, at: u64, pictures: bool) -> Result<String, FormatError> {
    let longest = if pictures { NAME_BYTES_PICTURE_MAX } else { NAME_BYTES_LANGUAGE_MAX };
    let (name, utf8) = s.string(ctx, NAME_BYTES_MAX, "tensor name")?;
    if !utf8 {
        ctx.find(&rules::NOT_UTF8, at, format!("the tensor name `{name}`"));
    }
    if name.is_empty() {
        ctx.find(&rules::BAD_NAME, at, "a tensor without a name");
    } else if name.chars().any(rules::is_deceptive) || is_path(&name) {
        ctx.find(&rules::BAD_NAME, at, format!("the tensor name `{name}`"));
    } else if name.len() > longest {
        ctx.find(&rules::BAD_NAME, at, format!("a tensor name of {} bytes: `{name}`", name.len()));
    }
    Ok(name)
}

/// Whether `name` climbs out of a folder, for tools that write one file per
/// tensor.
fn is_path(name: &str) -> bool {
    name.starts_with(['/', '\\']) || name.split(['/', '\\']).any(|part| part == "..")
}

struct Shape {
    row: u64,
    elements: Option<u64>,
}

fn shape(ctx: &mut Inspection<'_>, s: &mut Source<'_>, name: &str, pictures: bool) -> Result<Shape, FormatError> {
    let at = s.r.position();
    let dims = s.u32("number of dimensions")?;
    let honest_five = dims == 5 && pictures;
    if dims > DIMS_MAX && !honest_five {
        ctx.find(&rules::TENSOR_SHAPE, at, format!("`{name}` has {dims} dimensions; ggml has room for {DIMS_MAX}"));
    }
    if dims > DIMS_READ_MAX {
        return Err(FormatError::malformed("number of dimensions", at, format!("{dims}")));
    }
    let mut shape = Shape { row: 1, elements: Some(1) };
    for dim in 0..dims {
        let extent = s.count("extent")?;
        if extent == 0 || i64::try_from(extent).is_err() {
            let shown = extent.cast_signed();
            ctx.find(&rules::TENSOR_SHAPE, at, format!("extent {dim} of `{name}` is {shown}"));
        }
        if dim == 0 {
            shape.row = extent;
        }
        shape.elements = shape.elements.and_then(|e| e.checked_mul(extent));
    }
    shape.elements = shape.elements.filter(|e| i64::try_from(*e).is_ok());
    if shape.elements.is_none() {
        ctx.find(&rules::TENSOR_SHAPE, at, format!("the extents of `{name}` multiply to more than 63 bits"));
    }
    Ok(shape)
}

/// Bytes of the tensor, if its type tells.
fn size(ctx: &mut Inspection<'_>, at: u64, name: &str, shape: &Shape, kind: u32) -> Option<u64> {
    match quant::kind(kind) {
        // Removed before there was a GGUF.
        Kind::Known(_) if matches!(kind, 4 | 5) => {
            ctx.find(&rules::TENSOR_TYPE, at, format!("`{name}` has the removed type {kind}"));
            None
        }
        Kind::Known(quant) => {
            let elements = shape.elements?;
            let size = quant.size(shape.row, elements);
            if size.is_none() {
                ctx.find(
                    &rules::TENSOR_SHAPE,
                    at,
                    format!("rows of `{name}` ({} elements) are not whole blocks of {}", shape.row, quant.name),
                );
            }
            size
        }
        Kind::Fork => None,
        Kind::Newer => {
            ctx.find(&rules::TENSOR_TYPE_NEWER, at, format!("`{name}` has type {kind}"));
            None
        }
        Kind::Unheard => {
            ctx.find(&rules::TENSOR_TYPE, at, format!("`{name}` has type {}", kind.cast_signed()));
            None
        }
    }
}
