//! Virtual datasets: a mapping from other datasets, of this or other files,
//! in a global heap (section VII, "virtual dataset layout").

use super::cursor::Cursor;
use super::file::File;
use super::heap;
use crate::core::FormatError;

/// Most sources read of one virtual dataset.
const SOURCES_MAX: u64 = 4096;
/// Most dimensions of a selection.
const RANK_MAX: u64 = 32;

/// A dataset that a virtual one takes elements from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualSource {
    /// Path of the file, as stored; `.` is this file.
    pub file: String,
    /// Path of the dataset in it.
    pub dataset: String,
}

/// The sources kept in object `index` of the collection at `address`. Reading
/// stops at a selection of a form that is not known; what precedes it is
/// returned.
pub(super) fn read(file: &File, address: u64, index: u32) -> Result<Vec<VirtualSource>, FormatError> {
    let body = heap::global(file, address, index)?;
    let mut c = Cursor::new(&body, file.offset(address), file.sizes());
    let version = c.version(1, "virtual mapping version")?;
    let entries = c.length("virtual mapping entries")?;
    let mut out: Vec<VirtualSource> = Vec::new();
    for n in 0..entries.min(SOURCES_MAX) {
        let Ok(source) = source(&mut c, version, &out) else {
            if n == 0 {
                return Err(FormatError::truncated("virtual mapping", c.position()));
            }
            break;
        };
        if out.last() != Some(&source) {
            out.push(source);
        }
        if selection(&mut c).and_then(|()| selection(&mut c)).is_err() {
            break;
        }
    }
    Ok(out)
}

/// File and dataset name of one entry. Version 1 may refer back to the names
/// of an earlier entry.
fn source(c: &mut Cursor<'_>, version: u8, before: &[VirtualSource]) -> Result<VirtualSource, FormatError> {
    let flags = if version >= 1 { c.u8("virtual mapping flags")? } else { 0 };
    let mut name = |shared: bool, of_this_file: bool, earlier: fn(&VirtualSource) -> &String| {
        if of_this_file {
            return Ok(".".to_owned());
        }
        if shared {
            let n = usize::try_from(c.length("virtual mapping origin")?).unwrap_or(usize::MAX);
            return Ok(before.get(n).or(before.last()).map(earlier).cloned().unwrap_or_default());
        }
        Ok::<_, FormatError>(String::from_utf8_lossy(c.until_nul("virtual source name")?).into_owned())
    };
    let file = name(flags & 1 != 0, flags & 4 != 0, |s| &s.file)?;
    let dataset = name(flags & 2 != 0, false, |s| &s.dataset)?;
    Ok(VirtualSource { file, dataset })
}

/// Steps over a serialised selection (section VII, "dataspace selection").
fn selection(c: &mut Cursor<'_>) -> Result<(), FormatError> {
    let kind = c.u32("selection type")?;
    let version = c.u32("selection version")?;
    match (kind, version) {
        (0 | 3, _) => c.skip(8, "selection"),
        (1 | 2, 1) => {
            c.skip(4, "reserved")?;
            let len = c.u32("selection length")?;
            c.skip(usize::try_from(len).unwrap_or(usize::MAX), "selection")
        }
        (2, 2) => {
            c.skip(1, "selection flags")?;
            let len = c.u32("selection length")?;
            c.skip(usize::try_from(len).unwrap_or(usize::MAX), "selection")
        }
        (2, 3) => {
            let regular = c.u8("selection flags")? & 1 != 0;
            let width = c.u8("selection width")?;
            let rank = u64::from(c.u32("selection rank")?).min(RANK_MAX);
            let numbers = if regular { 4 * rank } else { 2 * rank * c.uint(width, "selection blocks")? };
            skip_numbers(c, numbers, width)
        }
        (1, 2) => {
            let width = c.u8("selection width")?;
            let rank = u64::from(c.u32("selection rank")?).min(RANK_MAX);
            let points = c.uint(width, "selection points")?;
            skip_numbers(c, rank.saturating_mul(points), width)
        }
        _ => Err(FormatError::malformed("selection", c.position(), "a form that is not known")),
    }
}

fn skip_numbers(c: &mut Cursor<'_>, n: u64, width: u8) -> Result<(), FormatError> {
    let bytes = n.saturating_mul(width.into());
    c.skip(usize::try_from(bytes).unwrap_or(usize::MAX), "selection numbers")
}
