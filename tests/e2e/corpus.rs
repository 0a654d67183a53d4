//! Every sample of `tests/corpus` gets the verdict that `expected.json` says.

use std::collections::BTreeMap;

use serde_json::Value;
use weighbridge_tests::{artifacts, root, scan, text};

#[test]
fn every_sample_gets_its_verdict_and_honest_ones_stay_clean() {
    let corpus = root().join("tests/corpus");
    let expected: Vec<Value> = serde_json::from_slice(&std::fs::read(corpus.join("expected.json")).unwrap()).unwrap();
    assert!(expected.len() > 300, "the corpus is there");
    let (code, report) = scan(&[corpus.to_str().unwrap()]);
    assert_eq!(code, Some(1));
    let mut found = by_path(&report);
    // Files that are no model by themselves are left out of the scan of a
    // folder; named on the command line, they must be judged.
    let paths = expected.iter().map(|row| corpus.join(text(row, "/path")).display().to_string());
    let left_out: Vec<String> = paths.filter(|path| !found.contains_key(path)).collect();
    let named: Vec<&str> = left_out.iter().map(String::as_str).collect();
    found.extend(by_path(&scan(&named).1));
    let mut wrong = Vec::new();
    for row in &expected {
        let path = corpus.join(text(row, "/path")).display().to_string();
        let one_of = |key: &str| -> Vec<&str> {
            match row.get(key) {
                Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
                Some(Value::String(one)) => vec![one],
                _ => Vec::new(),
            }
        };
        let verdicts = one_of("verdict");
        let Some(artifact) = found.get(&path) else {
            wrong.push(format!("{path}: not in the report, expected {verdicts:?}"));
            continue;
        };
        let verdict = text(artifact, "/verdict");
        if !verdicts.contains(&verdict) {
            wrong.push(format!("{path}: {verdict}, expected {verdicts:?}: {}", findings(artifact)));
        }
        let formats = one_of("formats");
        let format = text(artifact, "/format");
        if !formats.is_empty() && !formats.contains(&format) {
            wrong.push(format!("{path}: format {format}, expected {formats:?}"));
        }
        let evidence = text(row, "/evidence");
        if !evidence.is_empty() && !findings(artifact).contains(evidence) {
            wrong.push(format!("{path}: no finding mentions `{evidence}`: {}", findings(artifact)));
        }
    }
    assert!(wrong.is_empty(), "{} of {} samples:\n{}", wrong.len(), expected.len(), wrong.join("\n"));
}

/// Artifacts by every path they are known by.
fn by_path(report: &Value) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    for artifact in artifacts(report) {
        let also = artifact.get("also_at").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        for path in std::iter::once(text(artifact, "/path")).chain(also) {
            found.insert(path.to_owned(), artifact.clone());
        }
    }
    found
}

fn findings(artifact: &Value) -> String {
    let all = artifact.get("findings").and_then(Value::as_array).into_iter().flatten();
    all.map(|f| {
        format!("[{}] {} {} ({}) ", text(f, "/rule"), text(f, "/title"), text(f, "/detail"), text(f, "/member"))
    })
    .collect()
}
