use weighbridge_types::Verdict;

use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};

const SAMPLE: &[u8] = b"tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nmax_feature_idx=2\nobjective=binary sigmoid:1\nfeature_names=a b c\n\nTree=0\nnum_leaves=2\n";

#[test]
fn the_header_is_read() {
    let outcome = inspect_bytes("model.txt", SAMPLE);
    assert_eq!((outcome.format, verdict(&outcome)), (Some("lightgbm"), Verdict::Clean));
    assert_eq!(outcome.metadata.get("features").and_then(|v| v.as_u64()), Some(3));
}

#[test]
fn absurd_counts_are_suspicious() {
    let text = String::from_utf8_lossy(SAMPLE).replace("num_class=1", "num_class=99999999999");
    assert_eq!(rules(&inspect_bytes("model.txt", text.as_bytes())), ["lightgbm-bad-count"]);
}

#[test]
fn a_text_that_begins_with_tree_is_no_model() {
    assert_eq!(inspect_bytes("oak.txt", b"tree\nleaves=many\n").format, None);
}

#[test]
fn survives() {
    survives_damage("model.txt", SAMPLE);
}
