use crate::core::testing::{inspect_bytes, survives_damage};

#[test]
fn signatures_are_told_and_short_ones_need_a_name() {
    let circle = [b"\x20\0\0\0CIR0".as_slice(), &[0; 100]].concat();
    let outcome = inspect_bytes("m", &circle);
    assert_eq!(outcome.format, Some("openmodels-misc"));
    assert_eq!(outcome.metadata.get("producer").and_then(|v| v.as_str()), Some("Circle"));
    let om = [b"IMOD".as_slice(), &[0; 100]].concat();
    assert_eq!(inspect_bytes("m.om", &om).format, Some("openmodels-misc"));
    assert_eq!(inspect_bytes("m.txt", &om).format, None);
}

#[test]
fn survives() {
    survives_damage("m.circle", b"\x20\0\0\0CIR0abcdefgh");
}
