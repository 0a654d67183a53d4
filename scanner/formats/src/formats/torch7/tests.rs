use weighbridge_types::Verdict;

use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};

fn int(n: i32) -> Vec<u8> {
    n.to_le_bytes().to_vec()
}

fn text(t: &[u8]) -> Vec<u8> {
    [int(i32::try_from(t.len()).unwrap()), t.to_vec()].concat()
}

/// `{tensor, "end"}` of a class `nn.Linear`.
fn model(extra: &[u8]) -> Vec<u8> {
    let storage =
        [int(4), int(3), text(b"V 1"), text(b"torch.FloatStorage"), 2i64.to_le_bytes().to_vec(), vec![0; 8]].concat();
    let longs = [2i64, 1, 1].map(i64::to_le_bytes).concat();
    let tensor = [int(4), int(2), text(b"V 1"), text(b"torch.FloatTensor"), int(1), longs, storage].concat();
    let pairs = [int(2), text(b"weight"), tensor, int(2), text(b"extra"), extra.to_vec()].concat();
    [int(4), int(1), text(b"V 1"), text(b"nn.Linear"), int(3), int(9), int(2), pairs].concat()
}

#[test]
fn objects_are_walked_and_storages_opaque() {
    let outcome = inspect_bytes("m.t7", &model(&[int(5), int(1)].concat()));
    assert_eq!(outcome.format, Some("torch7"));
    assert_eq!(verdict(&outcome), Verdict::Clean, "{:?}", outcome.findings);
    assert_eq!(outcome.metadata["tensor_count"], 1);
    assert_eq!(outcome.opaque.len(), 1);
}

#[test]
fn functions_are_suspicious() {
    for kind in [6, 7, 8] {
        let function = [int(kind), int(20), text(b"\x1bLJ\x01..."), int(0)].concat();
        assert_eq!(rules(&inspect_bytes("m.t7", &model(&function))), ["torch7-lua-function"], "{kind}");
    }
    let behind_unknown_type = [int(99), b"\x1bLua".to_vec()].concat();
    assert!(rules(&inspect_bytes("m.t7", &model(&behind_unknown_type))).contains(&"torch7-lua-function"));
}

#[test]
fn the_text_encoding_is_read_too() {
    let ascii = b"4\n1\n3\nV 1\n17\ntorch.FloatTensor\n1\n2\n1\n1\n4\n2\n3\nV 1\n18\ntorch.FloatStorage\n2\n0.5 0.25\n";
    let outcome = inspect_bytes("m.t7", ascii);
    assert_eq!((outcome.format, verdict(&outcome)), (Some("torch7"), Verdict::Clean), "{:?}", outcome.findings);
    assert_eq!(outcome.metadata["tensor_count"], 1);
}

#[test]
fn damage_is_survived() {
    survives_damage("m.t7", &model(&[int(5), int(1)].concat()));
    survives_damage(
        "m.t7",
        b"4\n1\n3\nV 1\n17\ntorch.FloatTensor\n1\n2\n1\n1\n4\n2\n3\nV 1\n18\ntorch.FloatStorage\n2\n0.5 0.25\n",
    );
}
