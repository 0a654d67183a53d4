//! Package URLs (ECMA-427) of models.

use std::fmt::Write;

/// `pkg:huggingface/Org/Name@commit`. Names are case sensitive, revisions of
/// commits are lower case (purl type definition `huggingface`).
#[must_use]
pub fn huggingface(repository: &str, revision: Option<&str>) -> String {
    let path: Vec<String> = repository.split('/').map(encoded).collect();
    let mut out = format!("pkg:huggingface/{}", path.join("/"));
    if let Some(revision) = revision {
        let commit = revision.len() == 40 && revision.bytes().all(|b| b.is_ascii_hexdigit());
        let revision = if commit { revision.to_ascii_lowercase() } else { revision.to_owned() };
        out.push('@');
        out.push_str(&encoded(&revision));
    }
    out
}

/// A package URL of another type: `pkg:kind/name@version`.
#[must_use]
pub fn generic(kind: &str, name: &str, version: Option<&str>) -> String {
    let path: Vec<String> = name.split('/').map(encoded).collect();
    let version = version.map(|v| format!("@{}", encoded(v))).unwrap_or_default();
    format!("pkg:{kind}/{}{version}", path.join("/"))
}

/// `pkg:oci/name@sha256:hex?repository_url=host/path/name&tag=tag` (purl type
/// definition `oci`). `repository` is `host/path/name`.
#[must_use]
pub fn oci(repository: &str, digest: Option<&str>, tag: Option<&str>) -> String {
    let name = repository.rsplit('/').next().unwrap_or(repository).to_ascii_lowercase();
    let path: Vec<String> = repository.split('/').map(encoded).collect();
    let version = digest.map(|d| format!("@sha256:{}", encoded(d))).unwrap_or_default();
    let tag = tag.map(|t| format!("&tag={}", encoded(t))).unwrap_or_default();
    format!("pkg:oci/{}{version}?repository_url={}{tag}", encoded(&name), path.join("/"))
}

/// Percent-encodes everything but unreserved characters and the colon.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b':') {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_are_lower_case_and_odd_characters_encoded() {
        let commit = "A".repeat(40);
        assert_eq!(huggingface("Org/Na me", Some(&commit)), format!("pkg:huggingface/Org/Na%20me@{}", "a".repeat(40)));
        assert_eq!(huggingface("gpt2", None), "pkg:huggingface/gpt2");
        assert_eq!(
            oci("docker.io/ai/SmolLM2", Some("ab"), Some("360M")),
            "pkg:oci/smollm2@sha256:ab?repository_url=docker.io/ai/SmolLM2&tag=360M"
        );
        assert_eq!(generic("oci", "ai/smollm2", Some("sha256:ab")), "pkg:oci/ai/smollm2@sha256:ab");
    }
}
