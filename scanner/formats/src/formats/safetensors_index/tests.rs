use weighbridge_types::{LinkKind, Verdict};

use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};

const NAME: &str = "model.safetensors.index.json";

fn index(shard: &str) -> String {
    format!(
        r#"{{"metadata": {{"total_size": 8}}, "weight_map": {{"a": "model-00001-of-00002.safetensors", "b": {shard}}}}}"#
    )
}

#[test]
fn links_to_each_shard_once() {
    let outcome = inspect_bytes(NAME, index(r#""model-00002-of-00002.safetensors""#).as_bytes());
    assert_eq!(outcome.format, Some("safetensors-index"));
    assert_eq!(verdict(&outcome), Verdict::Clean);
    assert_eq!(outcome.links.len(), 2);
    assert!(outcome.links.iter().all(|l| l.kind == LinkKind::Shard));
    assert_eq!(outcome.metadata["total_size"], 8);
}

#[test]
fn shards_in_folders_below_are_honest() {
    assert_eq!(verdict(&inspect_bytes(NAME, index(r#""unet/part..1.safetensors""#).as_bytes())), Verdict::Clean);
}

#[test]
fn shards_outside_of_the_folder_are_malicious() {
    for shard in [
        "../../etc/passwd",
        "a/../../b.safetensors",
        "/etc/shadow",
        "C:\\\\x.bin",
        "\\\\\\\\server\\\\share",
        "~/x.bin",
        "https://example.invalid/x.safetensors",
        "file:/etc/passwd",
        "..\\\\x.bin",
        "a\\u0000.safetensors",
    ] {
        let outcome = inspect_bytes(NAME, index(&format!("\"{shard}\"")).as_bytes());
        assert_eq!(verdict(&outcome), Verdict::Malicious, "{shard}");
    }
}

#[test]
fn values_that_are_no_names_are_not_clean() {
    assert_eq!(verdict(&inspect_bytes(NAME, index("[1]").as_bytes())), Verdict::Unknown);
    assert_eq!(verdict(&inspect_bytes(NAME, br#"{"weight_map": 3}"#)), Verdict::Unknown);
}

#[test]
fn the_first_of_two_entries_is_not_forgotten() {
    let outcome = inspect_bytes(NAME, br#"{"weight_map": {"a": "../x.bin", "a": "y.safetensors"}}"#);
    assert_eq!(rules(&outcome), ["index-duplicate-key"]);
}

#[test]
fn survives_any_damage() {
    survives_damage(NAME, index(r#""b.safetensors""#).as_bytes());
}
