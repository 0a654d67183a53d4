//! Where models came from: the real binary over stores, records, attributes
//! and a catalogue.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use weighbridge_tests::{artifacts, rules, run, scan, text};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const WIDTH: usize = 32;

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

fn put(path: &Path, content: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// The norms of layer `n`, in values that bfloat16 holds exactly.
fn norm(n: usize) -> Vec<f32> {
    (0..WIDTH).map(|i| f32::from(u8::try_from((i * 7 + n * 13) % 61).unwrap()) / 32.0 - 0.5).collect()
}

/// Two norms a layer, as Hugging Face or llama.cpp call them.
fn norms(names: [&str; 2]) -> Vec<(String, Vec<f32>)> {
    let layer =
        |n: usize| names.iter().enumerate().map(move |(k, name)| (name.replace('N', &n.to_string()), norm(2 * n + k)));
    (0..3).flat_map(layer).collect()
}

/// A safetensors file of norms in bfloat16 and a matrix of `filler`.
fn safetensors(tensors: &[(String, Vec<f32>)], filler: u8) -> Vec<u8> {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    let mut entry = |name: &str, shape: Value, bytes: &[u8]| {
        let offsets = json!([data.len(), data.len() + bytes.len()]);
        header.insert(name.to_owned(), json!({"dtype": "BF16", "shape": shape, "data_offsets": offsets}));
        data.extend(bytes);
    };
    entry("model.embed_tokens.weight", json!([1, WIDTH]), &[filler; 2 * WIDTH]);
    for (name, values) in tensors {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()[2..].to_vec()).collect();
        entry(name, json!([WIDTH]), &bytes);
    }
    let header = serde_json::to_vec(&header).unwrap();
    [(header.len() as u64).to_le_bytes().as_slice(), &header, &data].concat()
}

/// A GGUF file of norms in F32 and a matrix in Q8_0 (8) or Q4_0 (2).
fn gguf(tensors: &[(String, Vec<f32>)], kind: u32) -> Vec<u8> {
    let string = |text: &str| [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat();
    let mut out = b"GGUF\x03\0\0\0".to_vec();
    out.extend((tensors.len() as u64 + 1).to_le_bytes());
    out.extend(2u64.to_le_bytes());
    for (key, value) in
        [("general.architecture", "llama"), ("general.repo_url", "https://u:SECRET@huggingface.co/Org/Q")]
    {
        out.extend(string(key));
        out.extend(8u32.to_le_bytes());
        out.extend(string(value));
    }
    let mut data: Vec<u8> = Vec::new();
    // 32 rows of one block each, so that most elements are quantised.
    let matrix = vec![1; WIDTH * if kind == 8 { 34 } else { 18 }];
    let all = std::iter::once(("token_embd.weight".to_owned(), vec![WIDTH as u64, WIDTH as u64], kind, matrix)).chain(
        tensors.iter().map(|(name, values)| {
            (name.clone(), vec![WIDTH as u64], 0, values.iter().flat_map(|v| v.to_le_bytes()).collect())
        }),
    );
    for (name, dims, kind, bytes) in all {
        data.resize(data.len().next_multiple_of(32), 0);
        out.extend(string(&name));
        out.extend(u32::try_from(dims.len()).unwrap().to_le_bytes());
        out.extend(dims.iter().flat_map(|d| d.to_le_bytes()));
        out.extend(kind.to_le_bytes());
        out.extend((data.len() as u64).to_le_bytes());
        data.extend(bytes);
    }
    out.resize(out.len().next_multiple_of(32), 0);
    out.extend(data);
    out
}

fn weights() -> Vec<u8> {
    safetensors(&norms(["model.layers.N.input_layernorm.weight", "model.layers.N.post_attention_layernorm.weight"]), 1)
}

fn quantised(kind: u32) -> Vec<u8> {
    gguf(&norms(["blk.N.attn_norm.weight", "blk.N.ffn_norm.weight"]), kind)
}

/// Strength, source and package URL of the strongest claim.
fn strongest(value: &Value) -> (&str, &str, &str) {
    (text(value, "/origin/0/strength"), text(value, "/origin/0/source"), text(value, "/origin/0/purl"))
}

fn model<'a>(report: &'a Value, path: &str) -> &'a Value {
    let mut all = report.get("models").and_then(Value::as_array).into_iter().flatten();
    let found = all.find(|m| text(m, "/path").ends_with(path));
    assert!(found.is_some(), "no model at {path}: {report}");
    found.unwrap()
}

/// A cache with one snapshot, whose file leads to a blob named `etag`.
fn hf_cache(root: &Path, etag: &str, content: &[u8]) -> std::path::PathBuf {
    let base = root.join("models--Org--Name");
    let snapshot = base.join("snapshots").join(COMMIT);
    put(&base.join("blobs").join(etag), content);
    put(&base.join("refs/main"), COMMIT);
    fs::create_dir_all(&snapshot).unwrap();
    symlink(format!("../../blobs/{etag}"), snapshot.join("model.safetensors")).unwrap();
    snapshot.join("model.safetensors")
}

#[test]
fn a_hugging_face_snapshot_is_known_by_commit_and_checked_by_digest() {
    let dir = tempfile::tempdir().unwrap();
    let path = hf_cache(dir.path(), &hex(&weights()), &weights());
    let purl = format!("pkg:huggingface/Org/Name@{COMMIT}");
    for root in [dir.path(), path.as_path()] {
        let (code, report) = scan(&[root.to_str().unwrap()]);
        let found = artifacts(&report).next().unwrap();
        assert_eq!((code, strongest(found)), (Some(0), ("content", "hf-cache", purl.as_str())));
        assert!(text(found, "/origin/0/detail").contains("(main)"));
        assert_eq!(strongest(&report["models"][0]), ("content", "hf-cache", purl.as_str()));
    }
    let table = String::from_utf8(run(&["scan", dir.path().to_str().unwrap()]).stdout).unwrap();
    assert!(table.contains("huggingface/Org/Name@01234567 (content)"), "{table}");
}

#[test]
fn a_swapped_blob_is_suspicious_and_claims_nothing() {
    let dir = tempfile::tempdir().unwrap();
    hf_cache(dir.path(), &hex(b"what was downloaded"), &weights());
    let (code, report) = scan(&[dir.path().to_str().unwrap()]);
    let found = artifacts(&report).next().unwrap();
    assert_eq!((code, text(found, "/verdict")), (Some(1), "suspicious"));
    assert_eq!(rules(found), ["origin-contradicted"]);
    assert!(found.get("origin").is_none());
    assert_eq!(text(&report, "/models/0/verdict"), "suspicious");
}

#[test]
fn a_download_into_a_folder_is_known_by_its_record() {
    let dir = tempfile::tempdir().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    put(&dir.path().join("sub/model.safetensors"), weights());
    let record = |etag: &str, time: f64| {
        let path = dir.path().join(".cache/huggingface/download/sub/model.safetensors.metadata");
        put(&path, format!("{COMMIT}\n{etag}\n{time}\n"));
        let (_, report) = scan(&[dir.path().join("sub").to_str().unwrap()]);
        let found = artifacts(&report).next().unwrap();
        (text(found, "/origin/0/strength").to_owned(), text(found, "/verdict").to_owned())
    };
    let both = |strength: &str, verdict: &str| (strength.to_owned(), verdict.to_owned());
    assert_eq!(record(&hex(&weights()), now), both("content", "clean"));
    assert_eq!(record(&hex(&weights()), now - 3600.0), both("hint", "clean"));
    assert_eq!(record(&hex(b"other"), now), both("", "suspicious"));
}

#[test]
fn blobs_of_ollama_and_oci_stores_are_known_by_their_tags() {
    let dir = tempfile::tempdir().unwrap();
    let (blob, config) = (quantised(8), br#"{"model_format":"gguf","model_family":"llama"}"#);
    let manifest = |kind: &str| {
        json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "digest": format!("sha256:{}", hex(config)), "size": config.len()},
            "layers": [{"mediaType": kind, "digest": format!("sha256:{}", hex(&blob)), "size": blob.len(),
                "annotations": {"org.cncf.model.filepath": "m.gguf"}}]})
        .to_string()
    };
    let ollama = dir.path().join("ollama");
    put(&ollama.join("blobs").join(format!("sha256-{}", hex(&blob))), &blob);
    put(&ollama.join("blobs").join(format!("sha256-{}", hex(config))), config);
    put(&ollama.join("manifests/registry.ollama.ai/library/tiny/1b"), manifest("application/vnd.ollama.image.model"));
    let oci = dir.path().join("layout");
    let packed = manifest("application/vnd.cncf.model.weight.v1.raw");
    for content in [blob.as_slice(), config, packed.as_bytes()] {
        put(&oci.join("blobs/sha256").join(hex(content)), content);
    }
    put(&oci.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#);
    let index = json!({"schemaVersion": 2, "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": format!("sha256:{}", hex(packed.as_bytes())), "size": packed.len(),
        "annotations": {"org.opencontainers.image.ref.name": "ghcr.io/org/tiny:1b"}}]});
    put(&oci.join("index.json"), index.to_string());

    let (_, report) = scan(&[dir.path().to_str().unwrap()]);
    let of = |part: &str| {
        artifacts(&report).find(|a| text(a, "/path").contains(part) && text(a, "/format") == "gguf").unwrap()
    };
    let (strength, source, purl) = strongest(of("ollama/blobs"));
    assert_eq!((strength, source), ("content", "ollama"));
    assert!(
        purl.starts_with("pkg:oci/tiny@sha256:") && purl.contains("registry.ollama.ai/library/tiny&tag=1b"),
        "{purl}"
    );
    let (strength, source, purl) = strongest(of("layout/blobs"));
    assert_eq!((strength, source), ("content", "oci"));
    assert!(purl.ends_with("?repository_url=ghcr.io/org/tiny&tag=1b"), "{purl}");
    assert!(text(of("layout/blobs"), "/origin/0/detail").contains("as `m.gguf`"));
    assert_eq!(text(model(&report, "tiny/1b"), "/origin/0/strength"), "content");
}

#[test]
fn folders_of_lm_studio_and_words_of_the_file_are_hints() {
    let dir = tempfile::tempdir().unwrap();
    put(&dir.path().join(".lmstudio/models/Org/Name-GGUF/m.gguf"), quantised(8));
    let (_, report) = scan(&[dir.path().to_str().unwrap()]);
    let claims = report.pointer("/artifacts/0/origin").and_then(Value::as_array).unwrap();
    let found: Vec<_> = claims.iter().map(|c| (text(c, "/source"), text(c, "/strength"), text(c, "/purl"))).collect();
    let (own, folder) = ("pkg:huggingface/Org/Q", "pkg:huggingface/Org/Name-GGUF");
    assert_eq!(found.len(), 2);
    assert!(found.contains(&("gguf", "hint", own)) && found.contains(&("lm-studio", "hint", folder)), "{found:?}");
    assert!(!claims.iter().any(|c| c.to_string().contains("SECRET")), "{claims:?}");
}

#[test]
fn attributes_of_a_download_are_hints_and_survive_the_cache() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("models/m.safetensors");
    put(&path, weights());
    let set = "import os, sys; os.setxattr(sys.argv[1], 'user.xdg.origin.url', \
               b'https://u:SECRET@huggingface.co/Org/Name/resolve/main/m?sig=SECRET')";
    let done = Command::new("python3").args(["-c", set, path.to_str().unwrap()]).output();
    if !done.is_ok_and(|o| o.status.success()) {
        println!("skipped: this file system has no extended attributes, or there is no Python");
        return;
    }
    // Files written this very moment are not remembered.
    std::thread::sleep(std::time::Duration::from_millis(2100));
    let cache = dir.path().join("cache");
    for cached in [0, 1] {
        let (_, report) = scan(&["--cache", cache.to_str().unwrap(), dir.path().join("models").to_str().unwrap()]);
        assert_eq!(report.pointer("/summary/files_cached"), Some(&cached.into()));
        let found = artifacts(&report).next().unwrap();
        assert_eq!(strongest(found), ("hint", "xattr", "pkg:huggingface/Org/Name"));
        assert!(!found.to_string().contains("SECRET"));
    }
}

#[test]
fn the_catalogue_is_proof_for_the_model_whose_every_file_it_knows() {
    let dir = tempfile::tempdir().unwrap();
    let models = dir.path().join("models");
    put(&models.join("a/model-00001-of-00002.safetensors"), weights());
    put(&models.join("a/model-00002-of-00002.safetensors"), safetensors(&[], 9));
    let catalogue = dir.path().join("catalogue.json");
    let scanned = |files: Value| {
        let release = json!({"repository": "Org/Name", "revision": COMMIT, "files": files});
        put(&catalogue, json!({"schema": "weighbridge.catalogue/1", "releases": [release]}).to_string());
        let (_, report) = scan(&["--catalogue", catalogue.to_str().unwrap(), models.to_str().unwrap()]);
        text(&report, "/models/0/origin/0/strength").to_owned()
    };
    assert_eq!(scanned(json!({"1": hex(&weights()), "2": hex(&safetensors(&[], 9))})), "proof");
    assert_eq!(scanned(json!({"1": hex(&weights())})), "record", "half a model is not proven");
    fs::write(&catalogue, "{}").unwrap();
    let output = run(&["scan", "--catalogue", catalogue.to_str().unwrap(), models.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("`schema`"), "{output:?}");
}

#[test]
fn a_requantised_model_likely_derives_from_the_full_one() {
    let dir = tempfile::tempdir().unwrap();
    put(&dir.path().join("full/model.safetensors"), weights());
    put(&dir.path().join("q8.gguf"), quantised(8));
    put(&dir.path().join("q4.gguf"), quantised(2));
    let mut other = norms(["blk.N.attn_norm.weight", "blk.N.ffn_norm.weight"]);
    other[3].1[5] += 0.25;
    put(&dir.path().join("other.gguf"), gguf(&other, 8));
    let (_, report) = scan(&[dir.path().to_str().unwrap()]);
    let sources = |path: &str| -> Vec<String> {
        let list = model(&report, path).pointer("/lineage/likely_derived_from").and_then(Value::as_array);
        list.into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect()
    };
    let full = dir.path().join("full/model.safetensors").display().to_string();
    assert_eq!(sources("q8.gguf"), [full.as_str()]);
    assert_eq!(sources("q4.gguf"), [full.as_str()]);
    assert!(sources("model.safetensors").is_empty() && sources("other.gguf").is_empty());
    let print = |path: &str| text(model(&report, path), "/lineage/fingerprint").to_owned();
    assert_eq!(print("q4.gguf"), print("full/model.safetensors"));
    assert_ne!(print("q4.gguf"), print("other.gguf"));
}

#[test]
fn conversions_by_llama_cpp_s_own_library_derive_from_their_source() {
    let python = weighbridge_tests::target_profile().parent().unwrap().join("venvs/lineage/bin/python");
    if !python.exists() {
        println!("skipped: the packages gguf and safetensors are missing; `cargo xtask test` installs them");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let script = weighbridge_tests::root().join("tests/e2e/lineage.py");
    let made = Command::new(python).arg(script).arg(dir.path()).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let (_, report) = scan(&[dir.path().to_str().unwrap()]);
    for architecture in String::from_utf8(made.stdout).unwrap().lines() {
        let full = dir.path().join(format!("{architecture}.safetensors")).display().to_string();
        for kind in ["Q8_0", "Q4_0"] {
            let converted = model(&report, &format!("/{architecture}-{kind}.gguf"));
            assert_eq!(
                converted.pointer("/lineage/likely_derived_from"),
                Some(&json!([full])),
                "{architecture} {kind}"
            );
        }
    }
}
