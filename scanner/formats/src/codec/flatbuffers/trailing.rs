use super::rules;
use crate::core::{FormatError, Input, Inspection, Interest};

/// Bytes after the end in which an archive may start: alignment, and objects
/// of newer schemas.
const SEARCH_BYTES: usize = 64 * 1024;
/// Start of a ZIP member (APPNOTE 4.3.7).
const ZIP_MEMBER: &[u8] = b"PK\x03\x04";
/// Alignment that writers put at the end.
const PADDING_BYTES_MAX: u64 = 64;

/// Inspects what follows the last object of a buffer, at `end`: archives
/// (associated files) by what is in them, anything else that is a format by
/// itself as well, with a finding.
///
/// # Errors
/// If the content cannot be read.
pub fn inspect_trailing(ctx: &mut Inspection<'_>, input: &Input, end: u64) -> Result<(), FormatError> {
    let tail = input.tail_from(end);
    let head = tail.head(SEARCH_BYTES).map_err(|source| FormatError::Io { offset: end, source })?;
    let Some(first) = head.iter().position(|b| *b != 0) else { return Ok(()) };
    if let Some(at) = memchr::memmem::find(&head, ZIP_MEMBER) {
        ctx.child("appended.zip", &tail.tail_from(at as u64));
        return Ok(());
    }
    let at = first as u64;
    for start in [0, at] {
        let rest = tail.tail_from(start);
        if ctx.interest("appended", &rest) == Interest::Content {
            ctx.find(&rules::TRAILING_CONTENT, end + start, format!("{} bytes follow the last object", rest.len()));
            ctx.child("appended", &rest);
            return Ok(());
        }
    }
    if tail.len() > PADDING_BYTES_MAX {
        ctx.find(&rules::TRAILING_BYTES, end, format!("{} bytes follow the last object known", tail.len()));
    }
    Ok(())
}
