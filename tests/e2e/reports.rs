//! Reports obey their schemas: ours, and the official ones.

use std::path::PathBuf;
use std::process::Command;

use weighbridge_tests::{root, run, target_profile};

/// Python with jsonschema and xmlschema, made by `cargo xtask test`.
fn python() -> Option<PathBuf> {
    let python = target_profile().parent()?.join("venvs/checkers/bin/python");
    python.exists().then_some(python)
}

fn check(script: &str, arguments: &[&str]) {
    let Some(python) = python() else {
        println!("skipped: no schema checkers; `cargo xtask test` installs them");
        return;
    };
    let output = Command::new(python).arg("-c").arg(script).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn report(format: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("report").display().to_string();
    let corpus = root().join("tests/corpus").display().to_string();
    let output = run(&["scan", &corpus, "--format", format, "--output", &file]);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    (dir, file)
}

const JSON_SCHEMA: &str = "
import json, sys, jsonschema
schema, document = (json.load(open(p)) for p in sys.argv[1:3])
jsonschema.validators.validator_for(schema)(schema).validate(document)
";

#[test]
fn json_obeys_its_documented_schema() {
    let (_dir, file) = report("json");
    let schema = root().join("docs/schema/scan-1.json").display().to_string();
    check(JSON_SCHEMA, &[&schema, &file]);
}

#[test]
fn sarif_obeys_the_official_schema() {
    let (_dir, file) = report("sarif");
    let Some(schema) = official("sarif-2.1.0-rtm.5.json") else { return };
    check(JSON_SCHEMA, &[&schema, &file]);
}

#[test]
fn junit_obeys_the_schema_of_its_readers() {
    let (_dir, file) = report("junit");
    let Some(schema) = official("jenkins-junit.xsd") else { return };
    check("import sys, xmlschema; xmlschema.XMLSchema(sys.argv[1]).validate(sys.argv[2])", &[&schema, &file]);
}

#[test]
fn markdown_and_table_are_written() {
    for (format, mark) in [("markdown", "# Model scan"), ("table", "malicious")] {
        let (_dir, file) = report(format);
        assert!(std::fs::read_to_string(file).unwrap().contains(mark));
    }
}

/// A schema that `cargo xtask test` took from the package that ships it.
fn official(name: &str) -> Option<String> {
    let schema = target_profile().parent()?.join("schemas").join(name);
    if schema.exists() {
        return Some(schema.display().to_string());
    }
    println!("skipped: {name} is missing; `cargo xtask test` fetches it");
    None
}
