//! Bills of materials of real scans: what the official validators say.

use std::process::Command;

use serde_json::Value;
use weighbridge_tests::{root, run, target_profile, text};

const FORMATS: &[(&str, &str)] =
    &[("cyclonedx", "cyclonedx-1.7"), ("cyclonedx-1.6", "cyclonedx-1.6"), ("spdx3", "spdx3")];

fn bill(folder: &str, format: &str, file: &std::path::Path) -> String {
    let folder = root().join(folder).display().to_string();
    let file = file.display().to_string();
    let output = run(&["scan", &folder, "--quiet", "--format", format, "--output", &file]);
    assert_ne!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::read_to_string(file).unwrap()
}

#[test]
fn validators_accept_the_bill_of_the_whole_corpus() {
    let Some(python) = target_profile().parent().map(|p| p.join("venvs/checkers/bin/python")).filter(|p| p.exists())
    else {
        println!("skipped: no bill checkers; `cargo xtask test` installs them");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    for (format, kind) in FORMATS {
        let file = dir.path().join(kind);
        bill("tests/corpus", format, &file);
        let script = root().join("tests/validators/bom.py");
        let output = Command::new(&python).arg(script).arg(kind).arg(&file).output().unwrap();
        assert!(output.status.success(), "{kind}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn two_scans_of_the_same_files_differ_in_the_time_alone() {
    let dir = tempfile::tempdir().unwrap();
    for (format, _) in FORMATS {
        let once = || {
            let bill = bill("tests/corpus/benign/hf-cache", format, &dir.path().join("bill"));
            let stamps = ["\"timestamp\":", "\"created\":"];
            bill.lines()
                .filter(|l| !stamps.iter().any(|s| l.trim_start().starts_with(s)))
                .collect::<Vec<_>>()
                .join("\n")
        };
        assert_eq!(once(), once(), "{format}");
    }
}

#[test]
fn a_repository_is_one_model_with_its_files_licence_and_findings() {
    let dir = tempfile::tempdir().unwrap();
    let parse =
        |folder| -> Value { serde_json::from_str(&bill(folder, "cyclonedx", &dir.path().join("bill"))).unwrap() };
    let good = parse("tests/corpus/benign/hf-cache");
    let model = &good["components"][0];
    assert_eq!((text(model, "/type"), text(model, "/components/0/type").is_empty()), ("machine-learning-model", false));
    assert!(model["components"].as_array().unwrap().iter().all(|f| text(f, "/hashes/0/content").len() == 64));
    assert!(!text(model, "/modelCard/modelParameters/modelArchitecture").is_empty(), "{model}");
    let bad = parse("tests/corpus/malicious/gguf-template");
    let finding = &bad["vulnerabilities"][0];
    assert_eq!(text(finding, "/source/name"), "weighbridge");
    assert!(text(finding, "/affects/0/ref").starts_with("file-"));
    assert!(text(finding, "/affects/1/ref").starts_with("model-"));
    assert!(!text(finding, "/recommendation").is_empty());
}
