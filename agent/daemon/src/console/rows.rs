//! A file of the inventory as the console is told of it.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use sha2::{Digest, Sha256 as Hasher};
use weighbridge_console_wire::{ModelFile, PATH_BYTES_MAX};
use weighbridge_state::StoredArtifact;
use weighbridge_types::Sha256;

/// Most rules and policies named with a row, and longest name, bytes.
const NAMES_MAX: usize = 64;
const NAME_BYTES_MAX: usize = 256;

/// What is told of `stored`.
pub fn row(stored: &StoredArtifact) -> ModelFile {
    let artifact = &stored.artifact;
    // Each once, the worst first.
    let mut findings: Vec<_> = artifact.findings.iter().collect();
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let mut seen = BTreeSet::new();
    let rules = findings.iter().map(|finding| finding.rule.as_ref()).filter(|rule| seen.insert(*rule));
    let decision = stored.decision.as_ref();
    ModelFile {
        path: path(&stored.path),
        sha256: artifact.sha256,
        size_bytes: artifact.size_bytes,
        format: cut(&artifact.format, NAME_BYTES_MAX),
        verdict: artifact.verdict,
        severity: findings.first().map(|finding| finding.severity),
        rules: rules.map(|rule| cut(rule, NAME_BYTES_MAX)).take(NAMES_MAX).collect(),
        effect: decision.map(|decision| decision.effect),
        policies: decision.map_or_else(Vec::new, |decision| {
            decision.policies.iter().map(|policy| cut(policy, NAME_BYTES_MAX)).take(NAMES_MAX).collect()
        }),
        first_seen: stored.first_seen,
    }
}

/// A path as rows have it: two paths are never the same there, or an endpoint
/// whose files have odd names could not be told about. Ours are absolute, so none
/// begins like those that had to be written differently.
pub fn path(path: &Path) -> String {
    let bytes = path.as_os_str().as_bytes();
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.utf8_chunks().fold("bytes:".to_owned(), |text, chunk| {
            let odd = chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}"));
            text + &chunk.valid().replace('\\', "\\\\") + &odd.collect::<String>()
        }),
    };
    if text.len() <= PATH_BYTES_MAX {
        return text;
    }
    let start = format!("digest:{}:", Sha256::new(Hasher::digest(bytes).into()));
    let room = PATH_BYTES_MAX.saturating_sub(start.len());
    start + &cut(&text, room)
}

/// At most `most` bytes, whole characters.
fn cut(text: &str, most: usize) -> String {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut("añb", 2), "a");
        assert_eq!((cut("añb", 3), cut("añb", 99), cut("", 5)), ("añ".to_owned(), "añb".to_owned(), String::new()));
    }

    #[test]
    fn no_two_paths_are_told_as_one() {
        use std::ffi::OsStr;
        let of = |bytes: &[u8]| path(Path::new(OsStr::from_bytes(bytes)));
        assert_eq!(of(b"/m/\n\\xff.gguf"), "/m/\n\\xff.gguf");
        assert_eq!(of(b"/m/\xff\\.gguf"), "bytes:/m/\\xff\\\\.gguf");
        assert_ne!(of(b"/m/\xff"), of(b"/m/\xfe"));
        assert_ne!(of(b"/m/\xff\\xfe"), of(b"/m/\xff\xfe"));
        let long = |last: u8| of(&[vec![b'/'; PATH_BYTES_MAX], vec![last]].concat());
        assert_eq!(long(b'a').len(), PATH_BYTES_MAX);
        assert!(long(b'a').starts_with("digest:") && long(b'a') != long(b'b'));
    }
}
