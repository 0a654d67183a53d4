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
    let mut found: BTreeMap<String, &Value> = BTreeMap::new();
    for artifact in artifacts(&report) {
        let also = artifact.get("also_at").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        for path in std::iter::once(text(artifact, "/path")).chain(also) {
            found.insert(path.to_owned(), artifact);
        }
    }
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
            // What is no model and says nothing of one has no place in a report.
            if verdicts != ["clean"] {
                wrong.push(format!("{path}: not in the report, expected {verdicts:?}"));
            }
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

fn findings(artifact: &Value) -> String {
    let all = artifact.get("findings").and_then(Value::as_array).into_iter().flatten();
    all.map(|f| {
        format!("[{}] {} {} ({}) ", text(f, "/rule"), text(f, "/title"), text(f, "/detail"), text(f, "/member"))
    })
    .collect()
}
