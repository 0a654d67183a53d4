use weighbridge_types::Verdict;

use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};

fn engine() -> Vec<u8> {
    [b"ptrt".as_slice(), &[0x57, 0, 0, 0], &100u64.to_le_bytes(), &[7; 100]].concat()
}

#[test]
fn an_engine_is_recognised_with_and_without_a_json_header() {
    assert_eq!(inspect_bytes("x", &engine()).format, Some("tensorrt"));
    let json = br#"{"task": "detect", "license": "AGPL-3.0"}"#;
    let with = [&(json.len() as u32).to_le_bytes(), json.as_slice(), &engine()].concat();
    let outcome = inspect_bytes("yolo.engine", &with);
    assert_eq!(outcome.format, Some("tensorrt"));
    assert_eq!(outcome.metadata.get("license").and_then(|v| v.as_str()), Some("AGPL-3.0"));
    assert_eq!(verdict(&outcome), Verdict::Clean);
}

#[test]
fn plugins_are_told() {
    let mut content = engine();
    content.extend(b"IPluginV2DynamicExt");
    assert_eq!(rules(&inspect_bytes("x.plan", &content)), ["tensorrt-plugin"]);
}

#[test]
fn a_json_header_without_an_engine_is_malformed() {
    let content = [&2u32.to_le_bytes(), b"{\"".as_slice(), b"a\":1}garbage"].concat();
    assert_ne!(verdict(&inspect_bytes("x.engine", &content)), Verdict::Clean);
}

#[test]
fn survives() {
    survives_damage("x.engine", &engine());
}
