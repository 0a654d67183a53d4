use weighbridge_types::Verdict;

use crate::core::testing::{inspect_bytes, survives_damage, verdict};

fn sample() -> Vec<u8> {
    let json = br#"{"name": "mobilenet", "target_platform": ["rk1808"]}"#;
    let mut out = b"RKNN\0\0\0\0".to_vec();
    out.extend(2u64.to_le_bytes());
    out.extend(32u64.to_le_bytes());
    out.resize(64, 0);
    out.extend([9; 32]);
    out.extend((json.len() as u64).to_le_bytes());
    out.extend(json);
    out
}

#[test]
fn header_and_json_are_read() {
    let outcome = inspect_bytes("m.rknn", &sample());
    assert_eq!((outcome.format, verdict(&outcome)), (Some("rknn"), Verdict::Clean));
    assert_eq!(outcome.metadata.get("name").and_then(|v| v.as_str()), Some("mobilenet"));
}

#[test]
fn encrypted_models_are_unknown() {
    assert_eq!(verdict(&inspect_bytes("m.rknn", b"CYPTRKNN0123456789abcdef")), Verdict::Unknown);
}

#[test]
fn survives() {
    survives_damage("m.rknn", &sample());
}
