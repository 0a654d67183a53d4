use weighbridge_types::Verdict;

use crate::codec::flatbuffers::testing::{Field, buffer};
use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};

fn bundle(end: u64, content: &[u8]) -> Vec<u8> {
    let section = vec![Field::None, Field::U64(4096), Field::U64(end), Field::U8(1)];
    let header = buffer(&[0; 4], &[Field::None, Field::Table(vec![Field::Tables(vec![section])])]);
    let mut out = b"LITERTLM".to_vec();
    out.extend([1u32, 3, 0, 0].iter().flat_map(|v| v.to_le_bytes()));
    out.extend((32 + header.len() as u64).to_le_bytes());
    out.extend(header);
    out.resize(4096, 0);
    out.extend(content);
    out
}

#[test]
fn sections_are_listed() {
    let outcome = inspect_bytes("x", &bundle(4100, &[0; 4]));
    assert_eq!((outcome.format, verdict(&outcome)), (Some("litertlm"), Verdict::Clean));
    assert_eq!(outcome.metadata["sections"], serde_json::json!(["binary"]));
}

#[test]
fn sections_are_inspected_and_held_against_the_file() {
    let pickle = b"\x80\x02cposix\nsystem\n(X\x02\x00\x00\x00lstR.";
    assert_eq!(verdict(&inspect_bytes("x", &bundle(4096 + pickle.len() as u64, pickle))), Verdict::Malicious);
    assert_eq!(rules(&inspect_bytes("x", &bundle(1 << 40, &[0; 4]))), ["litertlm-section-outside"]);
}

#[test]
fn survives() {
    survives_damage("x.litertlm", &bundle(4100, &[0; 4])[..400]);
}
