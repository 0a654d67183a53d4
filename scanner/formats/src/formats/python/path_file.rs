//! Path files (`.pth`) of Python's `site` module that only list folders. Those
//! with lines that Python executes are start-up hooks.

/// Longest path file, bytes. PyTorch files of the same extension are larger
/// and binary.
const PATH_FILE_BYTES_MAX: u64 = 256 * 1024;

/// Whether text under `.pth` can be a path file: short, and neither a web page
/// nor what Git leaves in place of a large file.
pub(super) fn is_plausible(head: &[u8], len: u64) -> bool {
    let text = head.trim_ascii_start();
    !text.is_empty()
        && len <= PATH_FILE_BYTES_MAX
        && !text.starts_with(b"version https://git-lfs")
        && !text.starts_with(b"<")
        && !text.starts_with(b"{")
        && text.split(|b| *b == b'\n').all(is_path)
}

fn is_path(line: &[u8]) -> bool {
    let line = line.trim_ascii_end();
    line.is_empty()
        || line.starts_with(b"#")
        || line.len() <= 4096 && !line.iter().any(|b| matches!(b, b'<' | b'>' | b'"' | b'|' | b'?' | b'*'))
}
