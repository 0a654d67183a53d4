//! Ollama: `manifests/<registry>/<namespace>/<model>/<tag>` names
//! `blobs/sha256-<hex>`.

use super::is_hex;

/// Longest part of a name.
const PART_BYTES_MAX: usize = 128;

/// The four parts of a manifest's path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Host of the registry.
    pub host: String,
    /// Its namespace, `library` for Ollama's own.
    pub namespace: String,
    /// The model.
    pub model: String,
    /// Its tag.
    pub tag: String,
}

impl Reference {
    /// `model:tag`, with what is not the default before it.
    pub fn name(&self) -> String {
        let Self { host, namespace, model, tag } = self;
        match (host.as_str(), namespace.as_str()) {
            ("registry.ollama.ai", "library") => format!("{model}:{tag}"),
            ("registry.ollama.ai", _) => format!("{namespace}/{model}:{tag}"),
            _ => format!("{host}/{namespace}/{model}:{tag}"),
        }
    }

    /// `host/namespace/model`
    pub fn repository(&self) -> String {
        format!("{}/{}/{}", self.host, self.namespace, self.model)
    }
}

/// Reads `<registry>/<namespace>/<model>/<tag>`.
pub fn reference(path: &str) -> Option<Reference> {
    let mut parts = path.split('/').map(|part| is_part(part).then(|| part.to_owned()));
    let mut next = || parts.next().flatten();
    let reference = Reference { host: next()?, namespace: next()?, model: next()?, tag: next()? };
    parts.next().is_none().then_some(reference)
}

/// The folder of the store and the manifest below it, of a manifest's path.
pub fn manifest_place(path: &str) -> Option<(&str, &str)> {
    path.rsplit_once("/manifests/")
}

/// The folder of the store and the digest in a blob's name.
pub fn blob_place(path: &str) -> Option<(&str, &str)> {
    let (store, name) = path.rsplit_once("/blobs/")?;
    Some((store, name.strip_prefix("sha256-").filter(|digest| is_hex(digest, 64))?))
}

fn is_part(part: &str) -> bool {
    !part.is_empty()
        && part.len() <= PART_BYTES_MAX
        && !part.starts_with(['.', '-'])
        && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_have_four_parts() {
        let found = reference("registry.ollama.ai/library/llama3/8b").unwrap();
        assert_eq!(
            (found.name(), found.repository().as_str()),
            ("llama3:8b".to_owned(), "registry.ollama.ai/library/llama3")
        );
        assert_eq!(reference("hf.co/u/r/Q4_K_M").unwrap().name(), "hf.co/u/r:Q4_K_M");
        for bad in ["", "a/b/c", "a/b/c/d/e", "a/../c/d", "a/b//d", "a/b/c\u{202e}/d"] {
            assert_eq!(reference(bad), None, "{bad}");
        }
        let digest = "0".repeat(64);
        assert_eq!(blob_place(&format!("/s/blobs/sha256-{digest}")), Some(("/s", digest.as_str())));
        assert_eq!(blob_place(&format!("/s/blobs/sha256-{digest}-partial")), None);
    }
}
