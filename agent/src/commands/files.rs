//! Small files that the user names.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::exit::Failure;

/// Reads a file of at most `max` bytes.
pub fn read(path: &Path, max: u64) -> Result<Vec<u8>, Failure> {
    try_read(path, max).map_err(|source| Failure::File { action: "read", path: path.display().to_string(), source })
}

/// As [`read`], as text.
pub fn read_text(path: &Path, max: u64) -> Result<String, Failure> {
    let utf8 = |source| Failure::File { action: "read", path: path.display().to_string(), source };
    String::from_utf8(read(path, max)?).map_err(|e| utf8(io::Error::new(io::ErrorKind::InvalidData, e.utf8_error())))
}

/// Reads a file of at most `max` bytes.
pub fn try_read(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("longer than {max} bytes")));
    }
    Ok(bytes)
}
