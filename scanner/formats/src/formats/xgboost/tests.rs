use serde_json::json;
use weighbridge_types::Verdict;

use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};

fn model(features: &str, left: &[i64], booster: &str, attribute: &str) -> Vec<u8> {
    let tree = json!({
        "left_children": left, "right_children": [2, -1, -1], "split_indices": [0, 0, 0],
        "tree_param": {"num_nodes": "3"}
    });
    let learner = json!({
        "attributes": {"note": attribute}, "feature_names": [],
        "gradient_booster": {"name": booster, "model": {"gbtree_model_param": {"num_trees": "1"}, "trees": [tree]}},
        "learner_model_param": {"num_feature": features, "num_class": "0"},
        "objective": {"name": "binary:logistic"}
    });
    json!({"learner": learner, "version": [3, 2, 0]}).to_string().into_bytes()
}

fn sample(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/../../tests/corpus/benign/xgboost/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[test]
fn an_honest_model_is_described() {
    let outcome = inspect_bytes("model.json", &model("3", &[1, -1, -1], "gbtree", "made for a test"));
    assert_eq!((outcome.format, verdict(&outcome)), (Some("xgboost"), Verdict::Clean));
    assert_eq!(outcome.metadata["objective"], "binary:logistic");
    assert_eq!(outcome.metadata["features"], 3);
}

#[test]
fn every_encoding_is_recognised() {
    for name in ["model.ubj", "model.json", "old-binary.model", "text-dump.txt"] {
        let outcome = inspect_bytes("x", &sample(name));
        assert_eq!((outcome.format, verdict(&outcome)), (Some("xgboost"), Verdict::Clean), "{name}");
    }
    // Without the magic, as older releases wrote it.
    assert_eq!(inspect_bytes("x", &sample("old-binary.model")[4..]).format, Some("xgboost"));
    assert_eq!(inspect_bytes("x", &sample("model.ubj")).metadata["trees"], 3);
}

#[test]
fn what_no_trainer_writes_is_suspicious() {
    for (content, rule) in [
        (model("-1", &[1, -1, -1], "gbtree", ""), "xgboost-bad-count"),
        (model("3", &[7, -1, -1], "gbtree", ""), "xgboost-bad-tree"),
        (model("3", &[1, 0, -1], "gbtree", ""), "xgboost-bad-tree"),
        (model("3", &[1, -1, -1], "../x.so", ""), "xgboost-odd-name"),
        (model("3", &[1, -1, -1], "gbtree", "__import__('os').system('id')"), "xgboost-code-attribute"),
    ] {
        assert_eq!(rules(&inspect_bytes("model.json", &content)), [rule]);
    }
}

#[test]
fn links_are_checked_in_ubjson_too() {
    let mut content = sample("model.ubj");
    let key = b"left_children[$l#L\0\0\0\0\0\0\0\x03\0\0\0";
    let at = content.windows(key.len()).position(|w| w == key).unwrap() + key.len();
    content[at] = 9;
    assert_eq!(rules(&inspect_bytes("model.ubj", &content)), ["xgboost-bad-tree"]);
}

#[test]
fn survives() {
    survives_damage("model.ubj", &sample("model.ubj")[..1200]);
    survives_damage("model.json", &model("3", &[1, -1, -1], "gbtree", ""));
    survives_damage("old.model", &sample("old-binary.model"));
}
