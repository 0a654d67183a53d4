use weighbridge_types::Verdict;

use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};

fn model(dims: &[u32]) -> Vec<u8> {
    let text = |s: &str| [&(s.len() as u16 + 1).to_le_bytes(), s.as_bytes(), b"\0"].concat();
    let mut out = 6u32.to_le_bytes().to_vec();
    out.extend(text("WhisperSpec"));
    out.extend(3u32.to_le_bytes());
    out.extend(1u32.to_le_bytes());
    out.extend(text("encoder/conv1/weight"));
    out.push(dims.len() as u8);
    out.extend(dims.iter().flat_map(|d| d.to_le_bytes()));
    out.push(0);
    out.extend(24u32.to_le_bytes());
    out.extend([1; 24]);
    out
}

#[test]
fn variables_are_counted() {
    let outcome = inspect_bytes("model.bin", &model(&[2, 3]));
    assert_eq!((outcome.format, verdict(&outcome)), (Some("ctranslate2"), Verdict::Clean));
    assert_eq!(outcome.metadata.get("parameters").and_then(|v| v.as_u64()), Some(6));
    assert_eq!(outcome.metadata.get("architecture").and_then(|v| v.as_str()), Some("WhisperSpec"));
}

#[test]
fn overflowing_shapes_are_suspicious() {
    let outcome = inspect_bytes("model.bin", &model(&[u32::MAX; 3]));
    assert!(rules(&outcome).contains(&"ctranslate2-shape-overflow"));
    assert_eq!(verdict(&outcome), Verdict::Suspicious);
}

#[test]
fn a_cut_model_is_unknown() {
    assert_eq!(verdict(&inspect_bytes("model.bin", &model(&[2, 3])[..50])), Verdict::Unknown);
}

#[test]
fn survives() {
    survives_damage("model.bin", &model(&[2, 3]));
}
