//! Exit codes, thresholds, messages.

use std::fs;

use weighbridge_tests::{artifacts, root, rules, run, scan, text};

fn poisoned() -> String {
    root().join("examples/models/poisoned.pkl").display().to_string()
}

#[test]
fn exit_codes_say_clean_findings_and_failure() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    assert_eq!(run(&["scan", path]).status.code(), Some(0));
    assert_eq!(run(&["scan", &poisoned()]).status.code(), Some(1));
    assert_eq!(run(&["scan", "/nonexistent/model.gguf"]).status.code(), Some(2));
    assert_eq!(run(&["scan"]).status.code(), Some(2));
    assert_eq!(run(&["scan", "--fail-on", "loud", path]).status.code(), Some(2));
}

#[test]
fn the_threshold_decides_the_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cut.gguf");
    fs::write(&path, b"GGUF\x03\0\0\0").unwrap();
    let path = path.to_str().unwrap();
    assert_eq!(run(&["scan", "--fail-on", "medium", path]).status.code(), Some(1));
    assert_eq!(run(&["scan", "--fail-on", "high", path]).status.code(), Some(0));
}

#[test]
fn the_reconstructed_call_is_the_evidence() {
    let (_, report) = scan(&[&poisoned()]);
    let artifact = artifacts(&report).next().unwrap();
    assert_eq!(text(artifact, "/verdict"), "malicious");
    let finding = artifact.pointer("/findings/0").unwrap();
    assert!(text(finding, "/detail").contains("posix.system(\"echo weighbridge-marker\")"), "{finding}");
    assert!(finding.get("offset").unwrap().is_u64());
}

#[test]
fn every_rule_that_hits_has_a_page() {
    let corpus = root().join("tests/corpus/malicious");
    let (_, report) = scan(&[corpus.to_str().unwrap()]);
    let mut seen: Vec<&str> = artifacts(&report).flat_map(rules).collect();
    seen.sort_unstable();
    seen.dedup();
    assert!(seen.len() > 30, "{seen:?}");
    for rule in seen {
        let page = run(&["rules", "explain", rule]);
        let page = String::from_utf8(page.stdout).unwrap();
        for heading in ["What", "Why", "False positives", "What to do"] {
            assert!(page.contains(heading), "{rule}: {page}");
        }
    }
}

#[test]
fn an_unknown_rule_is_answered_with_near_ones() {
    let output = run(&["rules", "explain", "truncat"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("did you mean truncated?"));
}

#[test]
fn user_rules_are_used_and_their_errors_are_shown() {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("w.npy");
    fs::write(
        &model,
        [b"\x93NUMPY\x01\x00\x36\x00{'descr': '|u1', 'fortran_order': False, 'shape': (4,)} ".as_slice(), b"\nABCD"]
            .concat(),
    )
    .unwrap();
    let rules_dir = dir.path().join("r");
    fs::create_dir(&rules_dir).unwrap();
    let rule = |body: &str| fs::write(rules_dir.join("mine.yar"), body).unwrap();
    rule("rule my_mark { meta: severity = \"low\" verdict = \"clean\" strings: $a = \"fortran\" condition: $a }");
    let (_, report) = scan(&["--rules", rules_dir.to_str().unwrap(), model.to_str().unwrap()]);
    assert!(rules(artifacts(&report).next().unwrap()).contains(&"yara-my-mark"));
    rule("rule broken {");
    let output = run(&["scan", "--rules", rules_dir.to_str().unwrap(), model.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("mine.yar"));
}
