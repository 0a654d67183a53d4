//! Recorded digests against the digest of the bytes inspected.

use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use sha2::{Digest, Sha256 as Hasher};
use weighbridge_types::{Artifact, Finding};

use super::{Surroundings, is_hex, rules};

/// Largest file hashed again as a git object, bytes: hubs keep larger ones in
/// LFS, under their SHA-256.
pub const GIT_BYTES_MAX: u64 = 16 << 20;

/// What comparing came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Check {
    /// The recorded digest is the file's.
    Same(&'static str),
    /// It is not.
    Differs,
    /// It could not be compared, and why.
    Open(&'static str),
}

/// Compares 64 hexadecimal digits with the artifact's digest.
pub fn sha256(recorded: &str, artifact: &Artifact) -> Check {
    match artifact.sha256 {
        None => Check::Open("the file could not be read whole"),
        Some(digest) if digest.to_string() == recorded => Check::Same("its SHA-256 is the recorded one"),
        Some(_) => Check::Differs,
    }
}

/// Compares an entity tag of the Hugging Face hub: a SHA-256 for large files,
/// a git object id for small ones, which are read again at `relative` below
/// `base`.
pub fn etag(etag: &str, artifact: &Artifact, disk: &dyn Surroundings, base: &str, relative: &str) -> Check {
    if is_hex(etag, 64) {
        return sha256(etag, artifact);
    }
    if !is_hex(etag, 40) {
        return Check::Open("the recorded entity tag is no digest");
    }
    let Some(digest) = artifact.sha256.filter(|_| artifact.size_bytes <= GIT_BYTES_MAX) else {
        return Check::Open("too large to be hashed again as a git object");
    };
    let max = usize::try_from(GIT_BYTES_MAX).unwrap_or(usize::MAX);
    let Some(content) = disk.file(base, relative, max) else {
        return Check::Open("it could not be read again to compute its git object id");
    };
    // The comparison is about the bytes that were inspected, or about nothing.
    let again: [u8; 32] = Hasher::digest(content.as_slice()).into();
    if again != *digest.as_bytes() {
        return Check::Open("it changed after it was inspected");
    }
    if git_blob(&content) == etag {
        Check::Same("its git object id (SHA-1) is the recorded one")
    } else {
        Check::Differs
    }
}

/// The object id that git gives a file of this content.
pub fn git_blob(content: &[u8]) -> String {
    let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    context.update(format!("blob {}\0", content.len()).as_bytes());
    context.update(content);
    context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The finding for a record that the content contradicts.
pub fn contradiction(record: &str, recorded: &str, artifact: &Artifact) -> Finding {
    let actual = artifact.sha256.map_or_else(|| "unknown".to_owned(), |d| d.to_string());
    Finding::new(&rules::CONTRADICTED, format!("{record} says `{recorded}`; the SHA-256 of the content is {actual}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn git_objects_have_git_s_names() {
        // `git hash-object` of nothing and of "hello\n".
        assert_eq!(git_blob(b""), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
        assert_eq!(git_blob(b"hello\n"), "ce013625030ba8dba906f756967f9e9ca394464a");
    }
}
