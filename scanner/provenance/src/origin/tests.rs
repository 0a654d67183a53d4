use std::collections::BTreeMap;

use sha2::{Digest, Sha256 as Hasher};
use weighbridge_types::{Metadata, Sha256, Verdict};

use super::*;

/// A disk in memory: files by path, all with one modification time.
#[derive(Default)]
struct Fake {
    files: BTreeMap<String, Rc<Vec<u8>>>,
    mtime_ns: i128,
}

impl Fake {
    fn put(&mut self, path: &str, content: impl AsRef<[u8]>) -> &mut Self {
        self.files.insert(path.to_owned(), Rc::new(content.as_ref().to_vec()));
        self
    }
}

impl Surroundings for Fake {
    fn file(&self, base: &str, relative: &str, max: usize) -> Option<Rc<Vec<u8>>> {
        self.files.get(&format!("{base}/{relative}")).filter(|c| c.len() <= max).cloned()
    }
    fn stamp(&self, base: &str, relative: &str) -> Option<Stamp> {
        let file = self.files.get(&format!("{base}/{relative}"))?;
        Some(Stamp { len: file.len() as u64, mtime_ns: self.mtime_ns })
    }
    fn names(&self, base: &str, relative: &str) -> Vec<String> {
        let folder = format!("{base}/{relative}/");
        let mut names: Vec<String> =
            self.files.keys().filter_map(|p| Some(p.strip_prefix(&folder)?.split('/').next()?.to_owned())).collect();
        names.dedup();
        names
    }
}

fn artifact(path: &str, format: &str, content: &[u8]) -> Artifact {
    Artifact {
        path: path.to_owned(),
        size_bytes: content.len() as u64,
        sha256: Some(Sha256::new(Hasher::digest(content).into())),
        format: format.to_owned(),
        metadata: Metadata::new(),
        verdict: Verdict::Clean,
        findings: Vec::new(),
        links: Vec::new(),
        also_at: Vec::new(),
        signature: None,
        origin: Vec::new(),
        advisories: Vec::new(),
        decision: None,
        shadow: None,
    }
}

fn hex(content: &[u8]) -> String {
    Sha256::new(Hasher::digest(content).into()).to_string()
}

fn said(disk: &Fake, artifact: &Artifact) -> (Vec<Claim>, Vec<String>) {
    let catalogue = Catalogue::default();
    let (claims, findings) = Origins::new(disk, &catalogue).claims(artifact);
    (claims, findings.into_iter().map(|f| f.rule.into_owned()).collect())
}

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

#[test]
fn a_snapshot_is_believed_as_far_as_its_blob_s_name_goes() {
    let base = "/c/models--Org--Name";
    let cases: [(&[u8], String, Strength); 3] = [
        (b"weights", hex(b"weights"), Strength::Content),
        (b"config", check::git_blob(b"config"), Strength::Content),
        (b"odd", "c0ffee-c0ffee-c0ffee".to_owned(), Strength::Record),
    ];
    for (content, etag, strength) in cases {
        let mut disk = Fake::default();
        disk.put(&format!("{base}/blobs/{etag}"), content).put(&format!("{base}/refs/main"), format!("{COMMIT}\n"));
        let mut file = artifact(&format!("{base}/snapshots/{COMMIT}/f"), "safetensors", content);
        file.also_at.push(format!("{base}/blobs/{etag}"));
        let (claims, findings) = said(&disk, &file);
        assert_eq!((claims.len(), findings.len()), (1, 0));
        assert_eq!(claims[0].strength, strength, "{etag}");
        assert_eq!(claims[0].purl, Some(format!("pkg:huggingface/Org/Name@{COMMIT}")));
        assert!(claims[0].detail.contains("(main)"), "{}", claims[0].detail);
    }
}

#[test]
fn a_blob_whose_content_is_another_is_worse_than_no_claim() {
    let base = "/c/models--Org--Name";
    for etag in [hex(b"what was downloaded"), check::git_blob(b"what was downloaded")] {
        let mut disk = Fake::default();
        disk.put(&format!("{base}/blobs/{etag}"), b"swapped");
        let mut file = artifact(&format!("{base}/snapshots/{COMMIT}/f"), "safetensors", b"swapped");
        file.also_at.push(format!("{base}/blobs/{etag}"));
        assert_eq!(said(&disk, &file), (Vec::new(), vec!["origin-contradicted".to_owned()]));
    }
}

#[test]
fn a_file_that_changed_after_its_inspection_is_only_a_record() {
    let base = "/c/models--Org--Name";
    let etag = check::git_blob(b"one");
    let mut disk = Fake::default();
    disk.put(&format!("{base}/blobs/{etag}"), b"two");
    let file = artifact(&format!("{base}/blobs/{etag}"), "hf-config", b"one");
    assert_eq!(said(&disk, &file).0[0].strength, Strength::Record);
}

#[test]
fn a_download_record_counts_until_the_file_is_modified() {
    let record = format!("{COMMIT}\n{}\n1000.0\n", hex(b"weights"));
    let mut disk = Fake::default();
    disk.put("/d/.cache/huggingface/download/sub/f.gguf.metadata", record).put("/d/sub/f.gguf", b"weights");
    let file = artifact("/d/sub/f.gguf", "gguf", b"weights");
    let at = |disk: &mut Fake, s: i128| {
        disk.mtime_ns = s * 1_000_000_000;
        said(disk, &file).0[0].strength
    };
    assert_eq!(at(&mut disk, 900), Strength::Content);
    assert_eq!(at(&mut disk, 1001), Strength::Content);
    assert_eq!(at(&mut disk, 1002), Strength::Hint);
    disk.mtime_ns = 0;
    let swapped = artifact("/d/sub/f.gguf", "gguf", b"swapped");
    assert_eq!(said(&disk, &swapped).1, ["origin-contradicted"]);
}

#[test]
fn ollama_blobs_are_named_by_their_manifests() {
    let (weights, store) = (b"weights", "/o/models");
    let manifest = format!(
        r#"{{"schemaVersion":2,"config":{{"digest":"sha256:{0}"}},"layers":[{{"digest":"sha256:{0}"}}]}}"#,
        hex(weights)
    );
    let mut disk = Fake::default();
    disk.put(&format!("{store}/manifests/registry.ollama.ai/library/tiny/1b"), &manifest)
        .put(&format!("{store}/manifests/hf.co/u/r/Q4_K_M"), &manifest)
        .put(&format!("{store}/manifests/not/four"), "x");
    let blob = artifact(&format!("{store}/blobs/sha256-{}", hex(weights)), "gguf", weights);
    let (claims, findings) = said(&disk, &blob);
    assert!(findings.is_empty());
    let purls: Vec<&str> = claims.iter().filter_map(|c| c.purl.as_deref()).collect();
    let digest = hex(manifest.as_bytes());
    let expected = format!("pkg:oci/tiny@sha256:{digest}?repository_url=registry.ollama.ai/library/tiny&tag=1b");
    assert!(purls.contains(&"pkg:huggingface/u/r") && purls.contains(&expected.as_str()), "{purls:?}");
    assert!(claims.iter().all(|c| c.strength == Strength::Content && c.source == "ollama"));

    let swapped = artifact(&blob.path, "gguf", b"swapped");
    assert_eq!(said(&disk, &swapped), (Vec::new(), vec!["origin-contradicted".to_owned()]));
}

#[test]
fn oci_layouts_and_docker_s_index_name_blobs() {
    let weights = b"weights";
    let config = br#"{"descriptor":{"sourceURL":"https://t:SECRET@huggingface.co/o/n","revision":"r1"}}"#;
    let manifest = format!(
        r#"{{"layers":[{{"digest":"sha256:{}","annotations":{{"org.cncf.model.filepath":"m.gguf"}}}}],"config":{{"digest":"sha256:{}"}}}}"#,
        hex(weights),
        hex(config)
    );
    let digest = hex(manifest.as_bytes());
    let index = format!(
        r#"{{"manifests":[{{"digest":"sha256:{digest}","annotations":{{"org.opencontainers.image.ref.name":"ghcr.io/o/m:1"}}}}]}}"#
    );
    let models =
        format!(r#"{{"models":[{{"id":"sha256:{digest}","tags":["ai/m:1"],"files":["sha256:{}"]}}]}}"#, hex(weights));
    for (name, content, purl) in [
        ("index.json", &index, format!("pkg:oci/m@sha256:{digest}?repository_url=ghcr.io/o/m&tag=1")),
        ("models.json", &models, format!("pkg:oci/m@sha256:{digest}?repository_url=docker.io/ai/m&tag=1")),
    ] {
        let mut disk = Fake::default();
        disk.put(&format!("/l/{name}"), content)
            .put(&format!("/l/blobs/sha256/{digest}"), &manifest)
            .put(&format!("/l/blobs/sha256/{}", hex(config)), config);
        let blob = artifact(&format!("/l/blobs/sha256/{}", hex(weights)), "gguf", weights);
        let (claims, _) = said(&disk, &blob);
        assert_eq!(claims[0].purl, Some(purl));
        assert_eq!(claims[0].strength, Strength::Content);
        assert!(claims[0].detail.contains("https://huggingface.co/o/n at `r1`"), "{}", claims[0].detail);
        assert!(!claims[0].detail.contains("SECRET"));
    }
}

#[test]
fn git_lfs_objects_and_pointers_are_claims_of_a_checkout() {
    let weights = b"weights";
    let oid = hex(weights);
    let mut disk = Fake::default();
    disk.put("/r/.git/config", "[remote \"origin\"]\n url = https://me:SECRET@huggingface.co/o/n\n")
        .put("/r/.git/HEAD", "ref: refs/heads/main\n")
        .put("/r/.git/packed-refs", format!("{COMMIT} refs/heads/main\n"));
    let file = artifact("/r/sub/m.gguf", "gguf", weights);
    assert!(said(&disk, &file).0.is_empty(), "a file that LFS does not know");
    disk.put(&format!("/r/.git/lfs/objects/{}/{}/{oid}", &oid[..2], &oid[2..4]), weights);
    let (claims, _) = said(&disk, &file);
    assert_eq!((claims[0].strength, claims[0].source.as_str()), (Strength::Content, "git-lfs"));
    assert_eq!(claims[0].purl, Some(format!("pkg:huggingface/o/n@{COMMIT}")));
    assert_eq!(claims[0].url.as_deref(), Some("https://huggingface.co/o/n"));

    let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 7\n");
    disk.put("/r/p.gguf", &pointer);
    assert_eq!(said(&disk, &artifact("/r/p.gguf", "unknown", pointer.as_bytes())).0[0].strength, Strength::Record);

    let object = artifact(&format!("/r/.git/lfs/objects/00/00/{}", "0".repeat(64)), "gguf", weights);
    assert_eq!(said(&disk, &object).1, ["origin-contradicted"]);
}

#[test]
fn files_speak_of_themselves_in_hints() {
    let mut file = artifact("/m.gguf", "gguf", b"x");
    file.metadata.insert("name".to_owned(), "N".into());
    assert!(said(&Fake::default(), &file).0.is_empty(), "a name alone is no origin");
    file.metadata.insert("repo_url".to_owned(), "https://huggingface.co/o/n".into());
    file.metadata.insert("quantized_by".to_owned(), "who\u{1b}[2J".into());
    file.metadata.insert("base_model".to_owned(), "Base".into());
    let claim = said(&Fake::default(), &file).0.remove(0);
    assert_eq!((claim.strength, claim.purl.as_deref()), (Strength::Hint, Some("pkg:huggingface/o/n")));
    assert_eq!(claim.detail, "the file says so of itself: name `N`, quantised by `who\\u{1b}[2J`, made from `Base`");
}

#[test]
fn the_catalogue_is_proof_and_comes_first() {
    let text = format!(
        r#"{{"schema":"weighbridge.catalogue/1","releases":[{{"repository":"Org/Name","revision":"{COMMIT}","files":{{"m.gguf":"{}"}}}}]}}"#,
        hex(b"weights")
    );
    let catalogue = Catalogue::parse(text.as_bytes()).unwrap();
    let mut file = artifact("/h/.lmstudio/models/o/n/m.gguf", "gguf", b"weights");
    let disk = Fake::default();
    let strengths = |file: &Artifact| -> Vec<Strength> {
        Origins::new(&disk, &catalogue).claims(file).0.iter().map(|c| c.strength).collect()
    };
    assert_eq!(strengths(&file), [Strength::Proof, Strength::Hint]);
    file.sha256 = None;
    assert_eq!(strengths(&file), [Strength::Hint], "bytes that were not read prove nothing");
}

#[test]
fn a_model_is_as_sure_as_its_least_sure_file() {
    let with = |claims: &[(&str, Strength)]| {
        let mut file = artifact("/f", "safetensors", b"x");
        file.origin =
            claims.iter().map(|(source, s)| Claim { purl: Some("p".into()), ..claim(*s, source, "d") }).collect();
        file
    };
    let (proof, content) = (with(&[("catalogue", Strength::Proof)]), with(&[("catalogue", Strength::Content)]));
    let none = with(&[]);
    let strongest = |files: &[&Artifact]| of_model(files).first().map(|c| c.strength);
    assert_eq!(strongest(&[&proof, &proof]), Some(Strength::Proof));
    assert_eq!(strongest(&[&proof, &content]), Some(Strength::Content));
    assert_eq!(strongest(&[&proof, &none]), Some(Strength::Record));
    assert_eq!(of_model(&[&proof, &none])[0].detail, "for 1 of 2 files: d");
    assert_eq!(strongest(&[&none]), None);
}
