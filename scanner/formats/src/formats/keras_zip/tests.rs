use serde_json::json;
use weighbridge_types::Verdict;

use crate::codec::hdf5::tests::keras;
use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};
use crate::formats::keras_config::tests::{dangerous_code, layer, model};

const METADATA: &str = r#"{"keras_version": "3.8.0", "date_saved": "2024-01-02@03:04:05"}"#;

/// A ZIP of stored members.
fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let short = |n: usize| u16::try_from(n).unwrap();
    let long = |n: usize| u32::try_from(n).unwrap();
    let mut out = Vec::new();
    let mut directory = Vec::new();
    for (name, content) in members {
        let offset = long(out.len());
        let crc = crc32fast::hash(content);
        let (name_len, len) = (short(name.len()), long(content.len()));
        let mut common = vec![20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0x28];
        for part in [crc, len, len] {
            common.extend(part.to_le_bytes());
        }
        common.extend(name_len.to_le_bytes());
        common.extend([0, 0]);
        out.extend(b"PK\x03\x04");
        out.extend(&common);
        out.extend(name.as_bytes());
        out.extend(*content);
        directory.extend(b"PK\x01\x02\x14\x03");
        directory.extend(&common);
        directory.extend([0; 10]);
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let (start, size, count) = (long(out.len()), long(directory.len()), short(members.len()));
    out.extend(directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend(count.to_le_bytes());
    out.extend(count.to_le_bytes());
    out.extend(size.to_le_bytes());
    out.extend(start.to_le_bytes());
    out.extend([0, 0]);
    out
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
        assert!(rules(&outcome).contains(&"keras-duplicate-config"));
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
