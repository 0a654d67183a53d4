//! Multi-file models in the stores of real stacks.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use weighbridge_tests::{root, scan, text, weighbridge};

fn models(report: &Value) -> Vec<(String, String, usize)> {
    let all = report.get("models").and_then(Value::as_array).into_iter().flatten();
    all.map(|m| {
        let files = m.get("files").and_then(Value::as_array).map_or(0, Vec::len);
        (text(m, "/name").to_owned(), text(m, "/kind").to_owned(), files)
    })
    .collect()
}

fn in_corpus(folder: &str) -> Vec<(String, String, usize)> {
    let path = root().join("tests/corpus/benign").join(folder);
    assert!(path.exists(), "{}", path.display());
    models(&scan(&[path.to_str().unwrap()]).1)
}

#[test]
fn a_hugging_face_cache_is_named_by_repository() {
    let found = in_corpus("hf-cache");
    assert!(
        found.iter().any(|(name, kind, files)| name.contains('/') && kind == "hf-snapshot" && *files > 1),
        "{found:?}"
    );
}

#[test]
fn an_ollama_store_is_named_by_tag() {
    let found = in_corpus("ollama");
    assert!(found.iter().any(|(name, kind, files)| name.contains(':') && kind == "ollama" && *files > 1), "{found:?}");
}

#[test]
fn stores_are_found_by_home_and_by_override() {
    let dir = tempfile::tempdir().unwrap();
    let sample = root().join("examples/models/poisoned.pkl");
    let put = |to: &Path| {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(&sample, to).unwrap();
    };
    put(&dir.path().join("home/.lmstudio/models/p/r/m.pkl"));
    put(&dir.path().join("elsewhere/m.pkl"));
    put(&dir.path().join("home/not-a-store/m.pkl"));
    let output = Command::new(weighbridge())
        .args(["scan", "--stores", "--format", "json"])
        .env("HOME", dir.path().join("home"))
        .env("OLLAMA_MODELS", dir.path().join("elsewhere"))
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let here: Vec<_> = weighbridge_tests::artifacts(&report)
        .map(|a| text(a, "/path").to_owned())
        .filter(|p| Path::new(p).starts_with(dir.path()))
        .collect();
    assert_eq!(here.len(), 2, "{here:?}");
}
