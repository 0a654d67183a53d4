//! Path files (`.pth`) of Python's `site` module: lines that start with
//! `import` are executed whenever Python starts.

use super::rules;
use crate::codec::python::{self, Trust};
use crate::core::{FormatError, Input, Inspection};

/// Longest path file, bytes. PyTorch files of the same extension are larger
/// and binary.
const PATH_FILE_BYTES_MAX: usize = 256 * 1024;

/// Whether text under `.pth` can be a path file: short, and neither a web page
/// nor what Git leaves in place of a large file.
pub(super) fn is_plausible(head: &[u8], len: u64) -> bool {
    let text = head.trim_ascii_start();
    !text.is_empty()
        && len <= PATH_FILE_BYTES_MAX as u64
        && !text.starts_with(b"version https://git-lfs")
        && !text.starts_with(b"<")
        && !text.starts_with(b"{")
        && text.split(|b| *b == b'\n').all(is_path_or_import)
}

fn is_path_or_import(line: &[u8]) -> bool {
    let line = line.trim_ascii_end();
    is_import(line)
        || line.is_empty()
        || line.starts_with(b"#")
        || line.len() <= 4096 && !line.iter().any(|b| matches!(b, b'<' | b'>' | b'"' | b'|' | b'?' | b'*'))
}

/// `site.addpackage` tests just this.
fn is_import(line: &[u8]) -> bool {
    line.starts_with(b"import ") || line.starts_with(b"import\t")
}

pub(super) fn inspect(ctx: &mut Inspection<'_>, input: &Input) -> Result<(), FormatError> {
    let bytes = input.head(PATH_FILE_BYTES_MAX).map_err(|source| FormatError::Io { offset: 0, source })?;
    let code: Vec<&[u8]> = bytes.split(|b| *b == b'\n').filter(|line| is_import(line)).collect();
    let Some(first) = code.first() else { return Ok(()) };
    let rule = if ctx.member().is_some() { &rules::PATH_FILE_IN_MODEL } else { &rules::PATH_FILE };
    ctx.find(rule, 0, format!("{} such lines: {}", code.len(), String::from_utf8_lossy(first)));
    python::inspect(ctx, &String::from_utf8_lossy(&code.join(&b'\n')), "", Trust::Loaded);
    Ok(())
}
