use weighbridge_types::Verdict;

use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};

/// A ZIP archive of stored members.
pub(crate) fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut out, mut central) = (Vec::new(), Vec::new());
    for (name, content) in members {
        let crc = crc32fast::hash(content).to_le_bytes();
        let len = u32::try_from(content.len()).unwrap().to_le_bytes();
        let name_len = u16::try_from(name.len()).unwrap().to_le_bytes();
        let at = u32::try_from(out.len()).unwrap().to_le_bytes();
        let common = [&[20, 0, 0, 0, 0, 0, 0, 0, 33, 0][..], &crc, &len, &len, &name_len, &[0, 0]].concat();
        out.extend([b"PK\x03\x04", &common[..], name.as_bytes(), content].concat());
        central.extend([b"PK\x01\x02\x14\0", &common[..], &[0; 10], &at, name.as_bytes()].concat());
    }
    let start = u32::try_from(out.len()).unwrap().to_le_bytes();
    let count = u16::try_from(members.len()).unwrap().to_le_bytes();
    let len = u32::try_from(central.len()).unwrap().to_le_bytes();
    [&out[..], &central, b"PK\x05\x06\0\0\0\0", &count, &count, &len, &start, b"\0\0"].concat()
}

/// The pickle of `{"w": tensor}` with one float storage.
fn pickle(key: &str, numel: u8) -> Vec<u8> {
    let text = |t: &str| [b"X", &u32::try_from(t.len()).unwrap().to_le_bytes()[..], t.as_bytes()].concat();
    [
        b"\x80\x02}".to_vec(),
        text("w"),
        b"ctorch._utils\n_rebuild_tensor_v2\n((".to_vec(),
        text("storage"),
        b"ctorch\nFloatStorage\n".to_vec(),
        text(key),
        text("cpu"),
        vec![b'K', numel],
        b"tQK\x00K\x02\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtRs.".to_vec(),
    ]
    .concat()
}

fn checkpoint(key: &str, numel: u8, storage: &[u8]) -> Vec<u8> {
    archive(&[
        ("archive/data.pkl", &pickle(key, numel)),
        ("archive/byteorder", b"little"),
        ("archive/data/0", storage),
        ("archive/version", b"3\n"),
    ])
}

#[test]
fn a_checkpoint_is_recognised_and_counted() {
    let outcome = inspect_bytes("model.pt", &checkpoint("0", 2, &[0; 8]));
    assert_eq!(outcome.format, Some("pytorch-zip"));
    assert_eq!(verdict(&outcome), Verdict::Clean, "{:?}", outcome.findings);
    assert_eq!(outcome.metadata["parameters"], 2);
    assert_eq!(outcome.metadata["dtypes"]["float32"], 1);
    assert_eq!(outcome.metadata["format_version"], "3");
    assert_eq!(outcome.opaque.len(), 1);
    assert_eq!(outcome.opaque[0].end - outcome.opaque[0].start, 8);
}

#[test]
fn a_storage_shorter_than_declared_is_suspicious() {
    let outcome = inspect_bytes("model.pt", &checkpoint("0", 3, &[0; 8]));
    assert!(rules(&outcome).contains(&"torch-storage-too-short"));
    assert_eq!(verdict(&outcome), Verdict::Suspicious);
}

#[test]
fn a_storage_longer_than_declared_is_noted_and_inspected() {
    let outcome = inspect_bytes("model.pt", &checkpoint("0", 1, &[0; 8]));
    assert!(rules(&outcome).contains(&"torch-storage-longer"));
    assert!(outcome.opaque.is_empty());
}

#[test]
fn a_missing_storage_is_unknown_and_a_path_as_key_suspicious() {
    let outcome = inspect_bytes("model.pt", &checkpoint("7", 2, &[0; 8]));
    assert!(rules(&outcome).contains(&"torch-storage-missing"));
    assert!(rules(&outcome).contains(&"torch-storage-unreferenced"));
    let outcome = inspect_bytes("model.pt", &checkpoint("../../x", 2, &[0; 8]));
    assert!(rules(&outcome).contains(&"torch-storage-key-is-path"));
}

#[test]
fn every_root_is_read() {
    let members: &[(&str, &[u8])] = &[
        ("a/data.pkl", &pickle("0", 2)),
        ("b/data.pkl", &pickle("0", 9)),
        ("a/data/0", &[0; 8]),
        ("b/data/0", &[0; 8]),
    ];
    let outcome = inspect_bytes("model.bin", &archive(members));
    assert!(rules(&outcome).contains(&"torch-storage-too-short"));
}

#[test]
fn damage_is_survived() {
    survives_damage("model.pt", &checkpoint("0", 2, &[0; 8]));
}
