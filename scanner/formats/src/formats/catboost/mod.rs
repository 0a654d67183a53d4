//! CatBoost `.cbm`: signature, length of a flatbuffer, the flatbuffer.

use crate::core::{Confidence, FormatError, FormatSpec, Input, Inspection, Reader, Recognise, Scope, Sniff};

mod rules;
#[cfg(test)]
mod tests;

/// Bytes at the start in which parameters are looked for.
const NAMES_BYTES_MAX: usize = 4 << 20;

/// Registry entry.
pub static FORMAT: FormatSpec = FormatSpec {
    id: "catboost",
    name: "CatBoost",
    extensions: &["cbm"],
    runs_code: false,
    is_model: true,
    scope: Scope::Anywhere,
    recognise: Recognise::Bytes(recognise),
    inspect,
    rules: rules::ALL,
};

fn recognise(sniff: &Sniff<'_>) -> Confidence {
    if sniff.starts_with(b"CBM1") && sniff.len > 12 { Confidence::Certain } else { Confidence::No }
}

fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let mut r = Reader::new(input);
    r.magic(b"CBM1")?;
    let length = u64::from(r.u32_le("core length")?);
    let start = r.position();
    let core = input.slice(start, length).ok_or_else(|| FormatError::truncated("core", start))?;
    // Flatbuffers: the root offset must lie inside.
    let root = Reader::new(&core).u32_le("root offset")?;
    if u64::from(root).saturating_add(4) > length {
        ctx.find(&rules::ROOT_OUTSIDE, start, format!("root offset {root} of {length} bytes"));
    }
    // Custom metrics and objectives are Python code pickled into the parameters.
    let body = core.head(NAMES_BYTES_MAX).map_err(|source| FormatError::Io { offset: start, source })?;
    if let Some(at) = memchr::memmem::find(&body, b"PythonUserDefined") {
        ctx.find(&rules::PYTHON_OBJECTIVE, start + at as u64, "names a Python objective or metric");
    }
    Ok(())
}
