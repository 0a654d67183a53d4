//! Identifiers that follow from content, so that two bills can be compared.

use std::io::{self, Write};

use serde::Serialize;
use sha2::{Digest, Sha256};
use weighbridge_types::{Artifact, Report};

/// A UUID over everything a report found (RFC 9562, version 8), without what
/// differs between two runs: times and cache hits.
pub fn serial(report: &Report) -> io::Result<String> {
    let mut hash = Hash(Sha256::new());
    // The order of errors follows the walk's threads.
    let mut errors: Vec<_> = report.errors.iter().map(|e| (&e.path, &e.message)).collect();
    errors.sort();
    hash.json(&report.tool)?;
    hash.json(&report.roots)?;
    hash.json(&report.artifacts)?;
    hash.json(&report.models)?;
    hash.json(&errors)?;
    let hex = hex(&hash.0.finalize());
    let mut out = String::new();
    for (i, c) in hex.chars().take(32).enumerate() {
        if matches!(i, 8 | 12 | 16 | 20) {
            out.push('-');
        }
        out.push(match (i, c) {
            (12, _) => '8',
            // The variant `10` leaves two bits of this digit.
            (16, c) => ['8', '9', 'a', 'b'].get(c.to_digit(16).map_or(0, |d| d as usize & 3)).copied().unwrap_or('8'),
            (_, c) => c,
        });
    }
    Ok(out)
}

/// `kind-` and 32 hexadecimal digits over `parts`.
pub fn id(kind: &str, parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    let hex = hex(&hash.finalize());
    format!("{kind}-{}", hex.get(..32).unwrap_or(&hex))
}

/// A digest over path below `folder`, length and digest of each file, in
/// order of paths.
pub fn tree(folder: &str, files: &[(&Artifact, weighbridge_types::Sha256)]) -> String {
    let mut entries: Vec<_> = files.iter().map(|(a, sha256)| (below(folder, &a.path), a.size_bytes, sha256)).collect();
    entries.sort();
    let mut hash = Sha256::new();
    for (path, size, sha256) in entries {
        hash.update((path.len() as u64).to_le_bytes());
        hash.update(path.as_bytes());
        hash.update(size.to_le_bytes());
        hash.update(sha256.as_bytes());
    }
    hex(&hash.finalize())
}

fn below<'a>(folder: &str, path: &'a str) -> &'a str {
    path.strip_prefix(folder).map_or(path, |rest| rest.trim_start_matches('/'))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

struct Hash(Sha256);

impl Hash {
    fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut *self, value).map_err(io::Error::from)
    }
}

impl Write for Hash {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
