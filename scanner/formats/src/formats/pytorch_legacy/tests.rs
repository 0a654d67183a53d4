use weighbridge_types::Verdict;

use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};

const HEAD: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}.";
const OBJECT: &[u8] = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\nX\x02\0\0\x0042X\x03\0\0\0cpuK\x02NtQK\0K\x02\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtR.";
const KEYS: &[u8] = b"\x80\x02]X\x02\0\0\x0042a.";

fn file(count: i64, data: &[u8], rest: &[u8]) -> Vec<u8> {
    [HEAD, OBJECT, KEYS, &count.to_le_bytes(), data, rest].concat()
}

#[test]
fn storages_are_walked_and_opaque() {
    let outcome = inspect_bytes("model.pth", &file(2, &[1; 8], b""));
    assert_eq!(outcome.format, Some("pytorch-legacy"));
    assert_eq!(verdict(&outcome), Verdict::Clean, "{:?}", outcome.findings);
    assert_eq!(outcome.opaque.len(), 1);
    assert_eq!(outcome.metadata["parameters"], 2);
}

#[test]
fn lengths_must_agree_and_fit() {
    let outcome = inspect_bytes("model.pth", &file(1, &[1; 4], b""));
    assert!(rules(&outcome).contains(&"torch-storage-too-short"));
    let outcome = inspect_bytes("model.pth", &file(2, &[1; 7], b""));
    assert_eq!(verdict(&outcome), Verdict::Unknown);
    let outcome = inspect_bytes("model.pth", &file(-1, &[1; 8], b""));
    assert!(verdict(&outcome) >= Verdict::Unknown);
}

#[test]
fn what_follows_is_inspected() {
    let outcome = inspect_bytes("model.pth", &file(2, &[1; 8], b"\0\0\0\0surplus"));
    assert!(rules(&outcome).contains(&"torch-trailing-data"));
    let two = [file(2, &[1; 8], b""), file(2, &[1; 8], b"")].concat();
    assert_eq!(verdict(&inspect_bytes("model.pth", &two)), Verdict::Clean);
}

#[test]
fn protocols_four_and_one_are_recognised() {
    let framed = [b"\x80\x04\x95\x0d\0\0\0\0\0\0\0", &HEAD[2..]].concat();
    assert_eq!(inspect_bytes("x", &framed).format, Some("pytorch-legacy"));
    assert_eq!(inspect_bytes("x", b"L119547037146038801333356L\n.I1001\n.").format, Some("pytorch-legacy"));
}

#[test]
fn damage_is_survived() {
    survives_damage("model.pth", &file(2, &[1; 8], b"rest"));
}
