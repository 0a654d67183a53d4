use weighbridge_types::Verdict;

use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};
use crate::formats::pytorch_zip::tests::archive;

fn array() -> Vec<u8> {
    let header = format!("{:<117}\n", "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }");
    [b"\x93NUMPY\x01\0\x76\0", header.as_bytes(), &[0; 8]].concat()
}

#[test]
fn arrays_alone_are_recognised_and_clean() {
    let outcome = inspect_bytes("w.npz", &archive(&[("a.npy", &array()), ("b.npy", &array())]));
    assert_eq!(outcome.format, Some("npz"));
    assert_eq!(verdict(&outcome), Verdict::Clean, "{:?}", outcome.findings);
    assert_eq!(outcome.metadata["arrays"], serde_json::json!(["a", "b"]));
}

#[test]
fn a_member_that_is_no_array_is_noted() {
    let outcome = inspect_bytes("w.npz", &archive(&[("a.npy", &array()), ("hook", b"something else")]));
    assert_eq!(outcome.format, Some("npz"));
    assert!(rules(&outcome).contains(&"npz-foreign-member"));
}

#[test]
fn damage_is_survived() {
    survives_damage("w.npz", &archive(&[("a.npy", &array())]));
}
