//! OCI image layouts with models: ModelPack, KitOps, and Docker Model Runner,
//! which keeps its tags in `models.json` (OCI image specification 1.1).

use serde_json::Value;

use super::{address, is_hex};
use crate::json;

/// Largest document read, bytes: registries refuse larger manifests.
pub const DOCUMENT_BYTES_MAX: usize = 4 << 20;
/// Most descriptors looked at in one document.
const DESCRIPTORS_MAX: usize = 4096;
/// Most tags of one model.
const TAGS_MAX: usize = 64;
/// Annotations that hold a layer's path, the newest first.
const PATHS: &[&str] = &[
    "org.cncf.model.filepath",
    "org.cnai.model.filepath",
    "ml.kitops.modelkit.path",
    "org.opencontainers.image.title",
];
/// Annotations that hold where the content came from.
const SOURCES: &[&str] = &["org.opencontainers.image.source", "org.cnai.model.source", "org.opencontainers.image.url"];
/// Annotations that hold its revision there.
const REVISIONS: &[&str] = &["org.opencontainers.image.revision", "org.cnai.model.revision"];

/// A blob that a manifest names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// 64 hexadecimal digits.
    pub digest: String,
    /// What it is called when it is unpacked.
    pub path: Option<String>,
}

/// What a manifest says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Configuration and layers.
    pub blobs: Vec<Blob>,
    /// Digest of the configuration.
    pub config: Option<String>,
    /// Where the content came from, sanitised.
    pub source: Option<String>,
    /// Which revision of it.
    pub revision: Option<String>,
}

/// An entry of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Digest of the manifest, 64 hexadecimal digits.
    pub digest: String,
    /// Tags or references.
    pub names: Vec<String>,
    /// Digests of its blobs, where the index itself names them.
    pub files: Vec<String>,
}

/// Reads an image manifest, Ollama's included.
pub fn manifest(bytes: &[u8]) -> Option<Manifest> {
    let document = json::strict(bytes, DOCUMENT_BYTES_MAX).ok()?;
    let layers = document.get("layers")?.as_array()?;
    let descriptors = document.get("config").into_iter().chain(layers).take(DESCRIPTORS_MAX);
    let (source, revision) = annotated(&document);
    Some(Manifest {
        blobs: descriptors
            .filter_map(|d| {
                Some(Blob { digest: digest(d.get("digest")?)?, path: annotation(d, PATHS).map(address::text) })
            })
            .collect(),
        config: document.pointer("/config/digest").and_then(digest),
        source,
        revision,
    })
}

/// Reads `index.json`.
pub fn index(bytes: &[u8]) -> Vec<Entry> {
    let Ok(document) = json::strict(bytes, DOCUMENT_BYTES_MAX) else { return Vec::new() };
    let manifests = document.get("manifests").and_then(Value::as_array).into_iter().flatten();
    let entry = |d: &Value| {
        let name = annotation(d, &["io.containerd.image.name", "org.opencontainers.image.ref.name"]);
        Some(Entry {
            digest: digest(d.get("digest")?)?,
            names: name.filter(|n| is_reference(n)).map(str::to_owned).into_iter().collect(),
            files: Vec::new(),
        })
    };
    manifests.take(DESCRIPTORS_MAX).filter_map(entry).collect()
}

/// Reads Docker Model Runner's `models.json`.
pub fn docker_models(bytes: &[u8]) -> Vec<Entry> {
    let Ok(document) = json::strict(bytes, DOCUMENT_BYTES_MAX) else { return Vec::new() };
    let texts = |value: Option<&Value>, max: usize| -> Vec<String> {
        let items = value.and_then(Value::as_array).into_iter().flatten().take(max);
        items.filter_map(|i| i.as_str().map(str::to_owned)).collect()
    };
    let models = document.get("models").and_then(Value::as_array).into_iter().flatten();
    let entry = |m: &Value| {
        let files = texts(m.get("files"), DESCRIPTORS_MAX);
        Some(Entry {
            digest: digest(m.get("id")?)?,
            names: texts(m.get("tags"), TAGS_MAX).into_iter().filter(|t| is_reference(t)).collect(),
            files: files.into_iter().filter_map(|f| digest(&Value::String(f))).collect(),
        })
    };
    models.take(DESCRIPTORS_MAX).filter_map(entry).collect()
}

/// Where the content came from, by ModelPack's configuration.
pub fn config(bytes: &[u8]) -> (Option<String>, Option<String>) {
    let Ok(document) = json::strict(bytes, DOCUMENT_BYTES_MAX) else { return (None, None) };
    let text = |pointer| document.pointer(pointer).and_then(Value::as_str);
    (text("/descriptor/sourceURL").and_then(address::url), text("/descriptor/revision").and_then(revision))
}

fn annotated(document: &Value) -> (Option<String>, Option<String>) {
    (annotation(document, SOURCES).and_then(address::url), annotation(document, REVISIONS).and_then(revision))
}

fn annotation<'a>(value: &'a Value, keys: &[&str]) -> Option<&'a str> {
    let annotations = value.get("annotations")?;
    keys.iter().find_map(|key| annotations.get(*key)?.as_str())
}

fn revision(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| address::text(text))
}

/// The digits of `sha256:<hex>`; Ollama also writes `sha256-<hex>`.
fn digest(value: &Value) -> Option<String> {
    let digits = value.as_str()?.strip_prefix("sha256")?.strip_prefix([':', '-'])?;
    is_hex(digits, 64).then(|| digits.to_owned())
}

fn is_reference(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 255
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/' | b':' | b'@'))
}

/// `host/path` and the tag of a reference; Docker's host where none is named.
/// `None` for a bare tag.
pub fn reference(text: &str, docker: bool) -> Option<(String, String)> {
    let text = text.split('@').next().unwrap_or(text);
    let (name, tag) = match text.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (text, "latest"),
    };
    let named = name.split_once('/').is_some_and(|(host, _)| host.contains(['.', ':']) || host == "localhost");
    match (named, docker, name.contains('/')) {
        (true, _, _) => Some((name.to_owned(), tag.to_owned())),
        (false, true, _) | (false, false, true) => Some((format!("docker.io/{name}"), tag.to_owned())),
        (false, false, false) => None,
    }
}

/// The folder of a layout and the digest in a blob's path
/// `blobs/sha256/<hex>`.
pub fn blob_place(path: &str) -> Option<(&str, &str)> {
    let (layout, digest) = path.rsplit_once("/blobs/sha256/").or_else(|| path.rsplit_once("/manifests/sha256/"))?;
    is_hex(digest, 64).then_some((layout, digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_name_blobs_paths_and_sources() {
        let digest = "1".repeat(64);
        let found = manifest(
            format!(
                r#"{{"schemaVersion":2,"config":{{"digest":"sha256:{digest}"}},"layers":[
                {{"digest":"sha256:{digest}","annotations":{{"org.cncf.model.filepath":"a/m.gguf"}}}},
                {{"digest":"sha512:00"}},{{"digest":"sha256:../../x"}}],
                "annotations":{{"org.opencontainers.image.source":"https://u:p@github.com/o/n","org.opencontainers.image.revision":"v1"}}}}"#
            )
            .as_bytes(),
        )
        .unwrap();
        assert_eq!(found.blobs.len(), 2);
        assert_eq!(found.blobs[1].path.as_deref(), Some("a/m.gguf"));
        assert_eq!(found.source.as_deref(), Some("https://github.com/o/n"));
        assert_eq!(found.revision.as_deref(), Some("v1"));
        assert_eq!(manifest(br#"{"layers":1}"#), None);
        assert_eq!(manifest(br#"{"layers":[],"layers":[]}"#), None, "readers disagree on it");
    }

    #[test]
    fn references_get_their_host() {
        let both = |host: &str, tag: &str| Some((host.to_owned(), tag.to_owned()));
        assert_eq!(reference("ai/smollm2:360M", true), both("docker.io/ai/smollm2", "360M"));
        assert_eq!(reference("hf.co/u/r", true), both("hf.co/u/r", "latest"));
        assert_eq!(reference("localhost:5000/a/b:1", false), both("localhost:5000/a/b", "1"));
        assert_eq!(reference("latest", false), None);
    }

    #[test]
    fn docker_s_index_names_tags_and_files() {
        let digest = "2".repeat(64);
        let found = docker_models(
            format!(r#"{{"models":[{{"id":"sha256:{digest}","tags":["ai/m:1","a\u001bb"],"files":["sha256:{digest}","x"]}}]}}"#)
                .as_bytes(),
        );
        assert_eq!(found, [Entry { digest: digest.clone(), names: vec!["ai/m:1".to_owned()], files: vec![digest] }]);
    }
}
