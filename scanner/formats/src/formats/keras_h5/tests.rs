use serde_json::json;
use weighbridge_types::Verdict;

use crate::codec::hdf5::tests::{keras, sample};
use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};
use crate::formats::keras_config::tests::{dangerous_code, layer, model};

fn honest() -> String {
    model(&[layer("Dense", json!({"name": "dense", "units": 2}))]).to_string()
}

fn dangerous() -> String {
    model(&[layer("Lambda", json!({"name": "evil", "function": [dangerous_code(), null, null]}))]).to_string()
}

#[test]
fn an_honest_model_is_clean_and_described() {
    for block in [false, true] {
        let outcome = inspect_bytes("model.h5", &keras(&honest(), block));
        assert_eq!(outcome.format, Some("keras-h5"));
        assert_eq!(outcome.findings, []);
        assert_eq!(outcome.metadata["keras_version"], "2.11.0");
        assert_eq!(outcome.metadata["architecture"], "Sequential");
        assert_eq!(outcome.metadata["parameters"], 10);
        assert_eq!(outcome.metadata["dtypes"]["float32"], 2);
        // The weights are not searched for patterns.
        assert_eq!(outcome.opaque.iter().map(|r| r.end - r.start).sum::<u64>(), 40);
    }
}

#[test]
fn stored_code_is_found_behind_any_user_block() {
    for (name, block) in [("model.h5", false), ("model.h5", true), ("renamed.bin", true)] {
        let outcome = inspect_bytes(name, &keras(&dangerous(), block));
        assert_eq!(outcome.format, Some("keras-h5"), "{name}");
        assert_eq!(verdict(&outcome), Verdict::Malicious, "{name}");
        assert!(rules(&outcome).contains(&"marshal-dangerous-code"), "{name}");
    }
}

#[test]
fn a_configuration_that_is_no_json_is_unknown() {
    let outcome = inspect_bytes("model.h5", &keras("{", false));
    assert_eq!(verdict(&outcome), Verdict::Unknown);
    assert!(rules(&outcome).contains(&"malformed"));
}

#[test]
fn a_cut_file_is_unknown() {
    let bytes = keras(&honest(), false);
    let outcome = inspect_bytes("model.h5", &bytes[..bytes.len() - 100]);
    assert!(rules(&outcome).contains(&"truncated"));
    assert_eq!(verdict(&outcome), Verdict::Unknown);
}

#[test]
fn damage_anywhere_is_survived() {
    survives_damage("model.h5", &keras(&dangerous(), false));
    survives_damage("model.h5", &sample("new"));
}
