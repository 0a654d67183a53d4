use serde_json::json;
use weighbridge_types::Verdict;

use crate::codec::hdf5::tests::keras;
use crate::codec::zip::samples::{Archive, Member};
use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};
use crate::formats::keras_config::tests::{dangerous_code, layer, model};

const METADATA: &str = r#"{"keras_version": "3.8.0", "date_saved": "2024-01-02@03:04:05"}"#;

fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let members: Vec<_> = members.iter().map(|(name, content)| Member::stored(name, content)).collect();
    Archive::of(&members).bytes()
}

fn honest() -> String {
    model(&[layer("Dense", json!({"name": "dense", "units": 2}))]).to_string()
}

fn dangerous() -> String {
    model(&[layer("Lambda", json!({"function": [dangerous_code(), null, null]}))]).to_string()
}

fn keras_archive(config: &str) -> Vec<u8> {
    let weights = keras("{}", false);
    archive(&[
        ("metadata.json", METADATA.as_bytes()),
        ("config.json", config.as_bytes()),
        ("model.weights.h5", &weights),
    ])
}

#[test]
fn an_honest_archive_is_clean_and_described() {
    let outcome = inspect_bytes("model.keras", &keras_archive(&honest()));
    assert_eq!(outcome.format, Some("keras-zip"));
    assert_eq!(outcome.findings, []);
    assert_eq!(outcome.metadata["keras_version"], "3.8.0");
    assert_eq!(outcome.metadata["layer_count"], 2);
    assert_eq!(outcome.metadata["members"]["model.weights.h5"]["parameters"], 10);
}

#[test]
fn stored_code_is_found_under_any_name() {
    for name in ["model.keras", "model.zip", "model"] {
        let outcome = inspect_bytes(name, &keras_archive(&dangerous()));
        assert_eq!(verdict(&outcome), Verdict::Malicious, "{name}");
        assert!(rules(&outcome).contains(&"marshal-dangerous-code"), "{name}");
    }
}

#[test]
fn a_configuration_alone_is_inspected_too() {
    let outcome = inspect_bytes("model.keras", &archive(&[("config.json", dangerous().as_bytes())]));
    assert_eq!(verdict(&outcome), Verdict::Malicious);
}

#[test]
fn both_of_two_configurations_are_inspected() {
    let (good, bad) = (honest(), dangerous());
    for (first, second) in [(&good, &bad), (&bad, &good)] {
        let bytes = archive(&[
            ("metadata.json", METADATA.as_bytes()),
            ("config.json", first.as_bytes()),
            ("config.json", second.as_bytes()),
        ]);
        let outcome = inspect_bytes("model.keras", &bytes);
        assert!(rules(&outcome).contains(&"zip-duplicate-name"));
        assert_eq!(verdict(&outcome), Verdict::Malicious);
    }
}

#[test]
fn a_configuration_that_is_no_json_is_unknown() {
    let outcome = inspect_bytes("model.keras", &keras_archive("{]"));
    assert_eq!(verdict(&outcome), Verdict::Unknown);
}

#[test]
fn damage_anywhere_is_survived() {
    survives_damage("model.keras", &keras_archive(&dangerous()));
}
