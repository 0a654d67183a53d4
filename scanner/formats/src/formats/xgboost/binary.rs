//! The binary of releases before 3.1 (`LearnerModelParamLegacy`): 136 bytes of
//! parameters, then the names of objective and booster.

use super::{rules, schema};
use crate::core::{FormatError, Input, Inspection, Reader};

const MAGIC: &[u8] = b"binf";
/// Zero bytes that end the parameters.
const RESERVED_AT: usize = 40;
const PARAMETER_BYTES: usize = 136;
/// Some builds have one reserved word more.
const PADDING_BYTES: usize = 4;
/// Longest name of an objective or booster.
const NAME_BYTES_MAX: usize = 256;

/// Whether the magic stands in front.
pub fn is_marked(head: &[u8]) -> bool {
    head.starts_with(MAGIC)
}

/// Whether `head` is a model without magic: every field of the parameters
/// plausible, and a name after them.
pub fn is_plain(head: &[u8]) -> bool {
    let u32_at = |at: usize| Some(u32::from_le_bytes(*head.get(at..)?.first_chunk()?));
    let score = u32_at(0).map(f32::from_bits);
    let features = u32_at(4).is_some_and(|n| (1..1 << 24).contains(&n));
    let flags = [12, 16].iter().all(|at| u32_at(*at).is_some_and(|n| n <= 1));
    let reserved = head.get(RESERVED_AT..PARAMETER_BYTES).is_some_and(|rest| rest.iter().all(|b| *b == 0));
    let name = [PARAMETER_BYTES, PARAMETER_BYTES + PADDING_BYTES]
        .iter()
        .any(|at| head.get(*at..).is_some_and(starts_with_name));
    score.is_some_and(|s| s.is_finite() && s.abs() < 1e6) && features && flags && reserved && name
}

/// A length of eight bytes, then a name in the letters of objectives.
fn starts_with_name(rest: &[u8]) -> bool {
    let len = rest.first().map_or(0, |n| usize::from(*n));
    rest.get(1..8) == Some(&[0; 7])
        && (4..64).contains(&len)
        && rest.get(8..8 + len).is_some_and(|name| name.iter().all(|b| b.is_ascii_lowercase() || b":_".contains(b)))
}

/// Reads the parameters and the names after them.
pub fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let mut r = Reader::new(input);
    if r.peek(MAGIC.len())? == MAGIC {
        r.skip(MAGIC.len() as u64, "magic")?;
    }
    let start = r.position();
    r.skip(4, "base_score")?;
    let features = r.u32_le("num_feature")?;
    let classes = r.i32_le("num_class")?;
    if features > schema::COUNT_MAX || classes < 0 {
        ctx.find(&rules::BAD_COUNT, start + 4, format!("num_feature={features}, num_class={classes}"));
    }
    ctx.fact("features", features);
    ctx.fact("classes", classes);
    r.skip(8, "flags")?;
    let [major, minor] = [r.u32_le("major version")?, r.u32_le("minor version")?];
    ctx.fact("format_version", format!("{major}.{minor}"));
    r.seek(start + PARAMETER_BYTES as u64, "reserved")?;
    if !starts_with_name(r.peek(72)?) && r.peek(72)?.get(PADDING_BYTES..).is_some_and(starts_with_name) {
        r.skip(PADDING_BYTES as u64, "reserved")?;
    }
    for key in ["objective", "booster"] {
        let at = r.position();
        let len = r.u64_le("name length")?;
        let name = r.utf8(len, NAME_BYTES_MAX, "name")?;
        if !schema::is_name(&name) {
            return Err(FormatError::malformed("name", at, "no name of an objective or booster"));
        }
        ctx.fact(key, name);
    }
    Ok(())
}
