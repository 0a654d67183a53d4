//! Digests of files and of ranges of them (OpenSSF Model Signing algorithm
//! registry).

use std::io::{self, Read};

use blake2::Blake2b512;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::manifest::Part;

/// Bytes read at once.
const BLOCK_BYTES: usize = 512 << 10;

/// A hash that manifests use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// FIPS 180-4.
    Sha256,
    /// RFC 7693, 512 bits.
    Blake2b,
    /// 256 bits.
    Blake3,
}

impl Algorithm {
    /// By its name in manifests. The reference says `blake2b` when signing
    /// and `blake2` when verifying.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "sha256" => Some(Self::Sha256),
            "blake2b" | "blake2" => Some(Self::Blake2b),
            "blake3" => Some(Self::Blake3),
            _ => None,
        }
    }

    /// Its name in the registry.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Blake2b => "blake2b",
            Self::Blake3 => "blake3",
        }
    }

    /// Length of a digest, bytes.
    #[must_use]
    pub fn digest_bytes(self) -> usize {
        match self {
            Self::Sha256 | Self::Blake3 => 32,
            Self::Blake2b => 64,
        }
    }
}

enum Hasher {
    Sha256(Sha256),
    Blake2b(Box<Blake2b512>),
    Blake3(Box<blake3::Hasher>),
}

impl Hasher {
    fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha256 => Self::Sha256(Sha256::new()),
            Algorithm::Blake2b => Self::Blake2b(Box::default()),
            Algorithm::Blake3 => Self::Blake3(Box::default()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(h) => h.update(bytes),
            Self::Blake2b(h) => h.update(bytes),
            Self::Blake3(h) => {
                h.update(bytes);
            }
        }
    }

    fn finish(self) -> String {
        match self {
            Self::Sha256(h) => hex(&h.finalize()),
            Self::Blake2b(h) => hex(&h.finalize()),
            Self::Blake3(h) => h.finalize().to_hex().to_string(),
        }
    }
}

/// Digests over one file, made in one pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digested {
    /// In the manifest's algorithm, range by range; one for the whole file
    /// where nothing is sharded, none for an empty file that is.
    pub parts: Vec<Part>,
    /// Bytes read.
    pub len: u64,
}

/// Passes on what it reads, and takes its SHA-256.
pub struct Sha256Reader<R> {
    inner: R,
    hasher: Sha256,
}

impl<R> Sha256Reader<R> {
    /// Starts at the reader's position.
    pub fn new(inner: R) -> Self {
        Self { inner, hasher: Sha256::new() }
    }

    /// The digest of all that was read.
    pub fn finish(self) -> String {
        hex(&self.hasher.finalize())
    }
}

impl<R: Read> Read for Sha256Reader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.hasher.update(buf.get(..n).unwrap_or_default());
        Ok(n)
    }
}

/// Reads `file` to its end.
///
/// # Errors
/// Whatever reading reports.
pub fn digest(file: &mut impl Read, algorithm: Algorithm, shard_bytes: Option<u64>) -> io::Result<Digested> {
    let mut block = vec![0; BLOCK_BYTES];
    let mut parts = Vec::new();
    let mut len = 0u64;
    loop {
        let mut hasher = Hasher::new(algorithm);
        let start = len;
        let end = shard_bytes.map_or(u64::MAX, |s| start.saturating_add(s));
        while len < end {
            let room = usize::try_from(end - len).unwrap_or(usize::MAX).min(BLOCK_BYTES);
            let n = match file.read(block.get_mut(..room).unwrap_or_default()) {
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            if n == 0 {
                break;
            }
            hasher.update(block.get(..n).unwrap_or_default());
            len += n as u64;
        }
        if shard_bytes.is_none() {
            parts.push(Part { start: 0, end: None, digest: hasher.finish() });
            break;
        }
        if len > start {
            parts.push(Part { start, end: Some(len), digest: hasher.finish() });
        }
        if len < end {
            break;
        }
    }
    Ok(Digested { parts, len })
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|b| [b >> 4, b & 15])
        .filter_map(|n| DIGITS.get(usize::from(n)).copied().map(char::from))
        .collect()
}

pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    let bytes = text.as_bytes();
    if !bytes.len().is_multiple_of(2) || !bytes.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    bytes.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_the_standards() {
        let of = |algorithm| digest(&mut &b"abc"[..], algorithm, None).unwrap().parts[0].digest.clone();
        assert_eq!(of(Algorithm::Sha256), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert!(of(Algorithm::Blake2b).starts_with("ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b7"));
        assert_eq!(of(Algorithm::Blake3), "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85");
    }

    #[test]
    fn shards_cover_the_file_and_empty_files_have_none() {
        let whole = |bytes: &[u8]| digest(&mut &bytes[..], Algorithm::Sha256, None).unwrap().parts[0].digest.clone();
        let sharded = digest(&mut &b"0123456789"[..], Algorithm::Sha256, Some(4)).unwrap();
        let ranges: Vec<_> = sharded.parts.iter().map(|p| (p.start, p.end)).collect();
        assert_eq!(ranges, [(0, Some(4)), (4, Some(8)), (8, Some(10))]);
        assert_eq!(sharded.parts[2].digest, whole(b"89"));
        assert_eq!(digest(&mut &b"01234567"[..], Algorithm::Sha256, Some(4)).unwrap().parts.len(), 2);
        assert!(digest(&mut &b""[..], Algorithm::Sha256, Some(4)).unwrap().parts.is_empty());
        assert_eq!(digest(&mut &b""[..], Algorithm::Sha256, None).unwrap().parts.len(), 1);
    }

    #[test]
    fn hexadecimal_digits_read_back() {
        assert_eq!(unhex(&hex(&[0, 0x7f, 0xff])), Some(vec![0, 0x7f, 0xff]));
        assert_eq!(unhex("abc"), None);
        assert_eq!(unhex("zz"), None);
        assert_eq!(unhex("é1"), None);
    }
}
