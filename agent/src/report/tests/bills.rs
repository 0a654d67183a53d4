//! Bills of materials, and what the official validators say of them.

use std::path::PathBuf;
use std::process::Command;

use jiff::Timestamp;
use serde_json::{Value, json};
use weighbridge_types::{
    AdvisoryMatch, AdvisoryMatchKind, Claim, Coverage, Lineage, Link, LinkKind, Signature, Signer, SigningMethod,
    Strength,
};

use super::*;

const NOW: i64 = 1_800_000_000;

fn bill(report: &Report, kind: &str) -> String {
    let now = Timestamp::from_second(NOW).unwrap();
    let mut out = Vec::new();
    match kind {
        "cyclonedx-1.6" => cyclonedx(&mut out, report, SpecVersion::V1_6, now).unwrap(),
        "cyclonedx-1.7" => cyclonedx(&mut out, report, SpecVersion::V1_7, now).unwrap(),
        _ => spdx3(&mut out, report, now).unwrap(),
    }
    String::from_utf8(out).unwrap()
}

const KINDS: [&str; 3] = ["cyclonedx-1.6", "cyclonedx-1.7", "spdx3"];

/// The official validators, on every kind of bill of `report`.
fn accepted(report: &Report) {
    let test = std::env::current_exe().unwrap();
    // target/<profile>/deps/weighbridge-<hash>
    let python = test.ancestors().nth(3).unwrap().join("venvs/checkers/bin/python");
    if !python.exists() {
        println!("skipped: no bill checkers; `cargo xtask test` installs them");
        return;
    }
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/validators/bom.py");
    for kind in KINDS {
        let folder = std::env::temp_dir().join(format!("weighbridge-bill-{}-{kind}", std::process::id()));
        let thread = format!("{:?}", std::thread::current().id());
        let file = folder.join(format!("{}.json", thread.replace(['(', ')'], "")));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(&file, bill(report, kind)).unwrap();
        let output = Command::new(&python).arg(&script).arg(kind).arg(&file).output().unwrap();
        std::fs::remove_dir_all(&folder).ok();
        assert!(output.status.success(), "{kind}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

fn signer(text: &str) -> Signer {
    Signer {
        method: SigningMethod::Sigstore,
        identity: format!("release@example.com{text}"),
        issuer: Some(format!("https://accounts.example.com{text}")),
        name: Some(format!("release team{text}")),
        signed_at: Some("2026-01-02T03:04:05Z".to_owned()),
    }
}

fn claim(strength: Strength, source: &str, text: &str) -> Claim {
    Claim {
        strength,
        source: source.to_owned(),
        purl: Some(format!("pkg:huggingface/Acme/tiny@{}{text}", "a".repeat(40))),
        url: Some(format!("https://user:secret@huggingface.co/Acme/tiny/resolve/main/model.gguf{text}?token=secret")),
        revision: Some(format!("{}{text}", "a".repeat(40))),
        detail: format!("snapshot folder{text}"),
    }
}

fn advisory(id: &str, matched_by: AdvisoryMatchKind, text: &str) -> AdvisoryMatch {
    AdvisoryMatch {
        id: format!("{id}{text}"),
        aliases: vec![format!("CVE-2026-1000{text}"), "GHSA-aaaa-bbbb-cccc".to_owned()],
        summary: format!("a poisoned release{text}"),
        severity: Severity::High,
        matched_by,
        evidence: format!("sha256:{text}"),
        fixed: Some(format!("1.2{text}")),
        replaced_by: vec![format!("pkg:huggingface/Acme/tiny@{}", "b".repeat(40))],
        references: vec![format!("https://example.com/advisory?id=1{text}"), "CVE-2026-1000".to_owned()],
    }
}

/// A report with every field set; `text` is appended to what files may choose.
fn everything(text: &str) -> Report {
    let mut report = hostile();
    let facts = json!({
        "architecture": format!("LlamaForCausalLM{text}"),
        "model_type": format!("llama{text}"),
        "parameters": 8_030_261_248_u64,
        "quantization": format!("Q4_K_M{text}"),
        "context_length": 4096,
        "license": ["apache-2.0", format!("my licence{text}")],
        "license_link": format!("https://example.com/licence{text}"),
        "pipeline_tag": format!("text-generation{text}"),
        "datasets": [format!("acme/corpus{text}"), "acme/other"],
        "base_model": [format!("https://huggingface.co/Acme/base{text}"), format!("local base{text}")],
        "organization": format!("Acme{text}"),
        "author": format!("A. Author{text}"),
        "description": format!("a tiny model{text}"),
        "repo_url": format!("https://example.com/repo{text}"),
        "url": format!("javascript:alert(1){text}"),
        "inputs": [format!("x{text}")],
        "outputs": ["y"],
        "tags": ["tiny", format!("tag{text}"), "tiny"],
        "date": "2026-01-01T00:00:00Z",
        "dtypes": {"F32": 3},
    });
    let Value::Object(facts) = facts else { panic!("facts are an object") };
    let trusted = Signature::Trusted {
        signer: signer(text),
        coverage: Coverage { files_signed: 2, files_ignored: 1, bytes_signed: 10, bytes_ignored: 1 },
        bundle: format!("/models/model.sig{text}"),
    };
    let untrusted = Signature::Untrusted {
        reason: format!("digest of `a` differs{text}"),
        signer: Some(signer(text)),
        bundle: format!("/models/a b/model.sig{text}"),
    };
    let lineage = Lineage {
        fingerprint: "c".repeat(64),
        tensors: 65,
        likely_derived_from: vec![format!("Acme/base{text}"), "/models/copy".to_owned()],
    };
    report.artifacts[1].metadata = facts.clone();
    report.artifacts[1].signature = Some(untrusted);
    report.artifacts[1].also_at = vec![format!("/blobs/good{text}")];
    report.artifacts[1].links = vec![Link { kind: LinkKind::BaseModel, target: "Acme/base".to_owned() }];
    report.artifacts[1].advisories = vec![advisory("x_WBA-2026-0002", AdvisoryMatchKind::Revision, text)];
    report.artifacts[0].signature = Some(Signature::Unknown {
        cause: format!("no trusted root{text}"),
        signer: None,
        bundle: format!("model.sig{text}"),
    });
    let mut unread = report.artifacts[1].clone();
    unread.path = format!("/models/locked{text}/config.json");
    unread.format = "hf-config".to_owned();
    unread.sha256 = None;
    unread.verdict = Verdict::Unknown;
    report.artifacts.push(unread.clone());
    let model = &mut report.models[0];
    model.name = format!("Acme/tiny{text}");
    model.kind = ModelKind::Adapter;
    model.files = report.artifacts.iter().map(|a| a.path.clone()).collect();
    model.missing = vec![format!("shard-2{text}")];
    model.same_as = vec![format!("/elsewhere{text}")];
    model.signature = Some(trusted);
    model.origin = vec![
        claim(Strength::Content, "hf-cache", text),
        claim(Strength::Hint, "gguf", ""),
        Claim { purl: None, url: None, ..claim(Strength::Record, "xattr", text) },
    ];
    model.lineage = Some(lineage);
    model.advisories = vec![
        advisory("x_WBA-2026-0001", AdvisoryMatchKind::Digest, text),
        advisory("x_WBA-2026-0001", AdvisoryMatchKind::Lineage, text),
    ];
    // A second model of the same files, and one of the same name and place.
    let copy = Model { path: "/models/copy".to_owned(), kind: ModelKind::Repository, ..model.clone() };
    report.models.push(copy.clone());
    report.models.push(copy);
    report.roots.push(format!("/more{text}"));
    report
}

/// A small report of one model, without anything hostile.
fn small() -> Report {
    let mut report = everything("");
    report.artifacts.remove(0);
    report.artifacts.truncate(1);
    report.models.truncate(1);
    let model = &mut report.models[0];
    model.kind = ModelKind::File;
    model.files = vec!["/models/good.gguf".to_owned()];
    model.origin.truncate(1);
    model.missing.clear();
    report.roots.truncate(1);
    report.errors.clear();
    report
}

#[test]
fn cyclonedx_tells_what_is_known_of_a_model() {
    insta::assert_snapshot!(bill(&small(), "cyclonedx-1.7"));
}

#[test]
fn spdx3_tells_what_is_known_of_a_model() {
    insta::assert_snapshot!(bill(&small(), "spdx3"));
}

#[test]
fn validators_accept_a_bill_with_every_field() {
    accepted(&everything(""));
    accepted(&small());
}

#[test]
fn validators_accept_hostile_text_everywhere() {
    let long = "x".repeat(20_000);
    for text in ["\u{1b}[2J\u{202e}\0\n\"<>\\ %zz {}|^`", " ", "\u{fffe}\u{10ffff}é模型", long.as_str()] {
        accepted(&everything(text));
    }
}

#[test]
fn validators_accept_a_bill_of_nothing() {
    let mut report = hostile();
    report.artifacts.clear();
    report.models.clear();
    report.roots.clear();
    accepted(&report);
    let mut report = everything("");
    for artifact in &mut report.artifacts {
        artifact.path.clear();
        artifact.metadata = Metadata::new();
    }
    report.models[0].name.clear();
    report.models[0].path.clear();
    report.roots = vec![String::new()];
    accepted(&report);
}

#[test]
fn the_same_scan_gives_the_same_bill() {
    let mut again = everything("");
    again.summary.elapsed_ms = 1;
    again.summary.files_cached = 7;
    let mut other = everything("");
    other.artifacts[1].sha256 = Some(Sha256::new([1; 32]));
    for kind in KINDS {
        assert_eq!(bill(&everything(""), kind), bill(&again, kind));
        let serial = |r: &Report| bill(r, kind).split("urn:uuid:").nth(1).unwrap()[..36].to_owned();
        assert_ne!(serial(&everything("")), serial(&other));
        let uuid = serial(&again);
        assert!(uuid.as_bytes()[14] == b'8' && b"89ab".contains(&uuid.as_bytes()[19]), "{uuid}");
    }
}

#[test]
fn hostile_text_leaves_no_control_character_and_no_secret() {
    for kind in KINDS {
        let text = bill(&everything("\u{1b}[2J\u{202e}"), kind);
        // What JSON would escape was escaped before.
        assert!(!text.contains("\\u001b") && !text.contains('\u{202e}'), "{kind}");
        assert!(!text.contains("secret"), "{kind}");
        let parsed: Value = serde_json::from_str(&text).unwrap();
        assert!(!parsed.to_string().contains("\"javascript:"), "{kind}");
        let long = bill(&everything(&"x".repeat(20_000)), kind);
        assert!(!long.contains(&"x".repeat(10_000)), "{kind}");
    }
}

#[test]
fn a_shared_file_stands_once_and_is_needed_by_both() {
    let parsed: Value = serde_json::from_str(&bill(&everything(""), "cyclonedx-1.7")).unwrap();
    let components = parsed["components"].as_array().unwrap();
    let parts = |i: usize| components[i]["components"].as_array().map_or(0, Vec::len);
    assert_eq!((components.len(), parts(0), parts(1)), (3, 3, 0));
    let dependencies = parsed["dependencies"].as_array().unwrap();
    let of = |r: &Value| dependencies.iter().find(|d| d["ref"] == *r).unwrap()["dependsOn"].clone();
    assert_eq!(of(&components[0]["bom-ref"]), of(&components[1]["bom-ref"]));
    let incomplete = parsed["compositions"][0]["assemblies"].as_array().unwrap();
    assert!(incomplete.contains(&json!("scanned")) && incomplete.contains(&components[0]["bom-ref"]));
}
