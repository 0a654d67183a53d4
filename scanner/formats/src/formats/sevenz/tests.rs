use weighbridge_types::Verdict;

use crate::codec::tar::samples::model;
use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};

/// Variable-length number (`7zFormat.txt`, "REAL_UINT64").
fn number(n: usize) -> Vec<u8> {
    let [high, low] = u16::try_from(n).unwrap().to_be_bytes();
    if n < 0x80 { vec![low] } else { vec![0x80 | high, low] }
}

/// An archive with one file, stored by the copy coder.
fn archive(name: &str, content: &[u8]) -> Vec<u8> {
    let mut header = vec![0x01, 0x04];
    header.extend([0x06, 0x00, 0x01, 0x09]);
    header.extend(number(content.len()));
    header.extend([0x00, 0x07, 0x0b, 0x01, 0x00, 0x01, 0x01, 0x00, 0x0c]);
    header.extend(number(content.len()));
    header.extend([0x00, 0x08, 0x0a, 0x01]);
    header.extend(crc32fast::hash(content).to_le_bytes());
    header.extend([0x00, 0x00]);
    let name: Vec<u8> = name.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
    header.extend([0x05, 0x01, 0x11]);
    header.extend(number(name.len() + 1));
    header.push(0);
    header.extend(name);
    header.extend([0x00, 0x00]);
    let mut start = (content.len() as u64).to_le_bytes().to_vec();
    start.extend((header.len() as u64).to_le_bytes());
    start.extend(crc32fast::hash(&header).to_le_bytes());
    let mut out = b"7z\xbc\xaf\x27\x1c\0\x04".to_vec();
    out.extend(crc32fast::hash(&start).to_le_bytes());
    out.extend(start);
    out.extend(content);
    out.extend(header);
    out
}

#[test]
fn what_is_inside_is_inspected() {
    let outcome = inspect_bytes("a.7z", &archive("m.nemo", &model()));
    assert!(outcome.is_model, "{:?}", outcome.findings);
    assert_eq!(outcome.findings, []);
    assert_eq!(inspect_bytes("a.7z", &archive("notes.txt", b"hello")).findings, []);
    assert_eq!(rules(&inspect_bytes("a.7z", &archive("../x", b"hello"))), ["archive-path-traversal"]);
}

#[test]
fn under_a_models_name_it_is_suspicious() {
    let outcome = inspect_bytes("model.pt", &archive("data.pkl", b"x"));
    assert!(rules(&outcome).contains(&"archive-under-model-name"));
    assert!(verdict(&outcome) >= Verdict::Suspicious);
}

#[test]
fn tables_of_contents_beyond_the_file_are_refused_unread() {
    let mut sample = archive("a", b"x");
    sample[20..28].copy_from_slice(&(1u64 << 40).to_le_bytes());
    assert_eq!(rules(&inspect_bytes("a.7z", &sample)), ["limit-reached"]);
    sample[20..28].copy_from_slice(&(1u64 << 20).to_le_bytes());
    assert_eq!(rules(&inspect_bytes("a.7z", &sample)), ["truncated"]);
}

#[test]
fn damage_is_survived() {
    survives_damage("a.7z", &archive("m.nemo", &model()));
}
