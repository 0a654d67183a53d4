use weighbridge_types::Verdict;

use crate::codec::flatbuffers::testing::{Field, buffer};
use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};

fn program(operator: &'static str, backend: &'static str) -> Vec<u8> {
    let plan = vec![
        Field::Text("forward"),
        Field::None,
        Field::None,
        Field::None,
        Field::None,
        Field::None,
        Field::Tables(vec![vec![Field::Text(operator), Field::Text("out")]]),
        Field::Tables(vec![vec![Field::Text(backend)]]),
    ];
    buffer(b"ET12", &[Field::U32(0), Field::Tables(vec![plan])])
}

/// `content` with an extended header, one segment table and `segments`.
fn extended(size: u64) -> Vec<u8> {
    let segment = vec![Field::U64(0), Field::U64(size)];
    let plain = buffer(b"ET12", &[Field::U32(0), Field::None, Field::None, Field::None, Field::Tables(vec![segment])]);
    let root = u32::from_le_bytes(plain[..4].try_into().unwrap()) + 24;
    let program = plain.len() as u64 + 24;
    let header = [
        &root.to_le_bytes(),
        b"ET12eh00".as_slice(),
        &24u32.to_le_bytes(),
        &program.to_le_bytes(),
        &program.to_le_bytes(),
    ];
    [header.concat(), plain[8..].to_vec(), vec![1; 16]].concat()
}

#[test]
fn a_program_is_described() {
    let outcome = inspect_bytes("x", &program("aten::add", "XnnpackBackend"));
    assert_eq!((outcome.format, verdict(&outcome)), (Some("executorch"), Verdict::Clean));
    assert_eq!(outcome.metadata["methods"], serde_json::json!(["forward"]));
}

#[test]
fn operators_of_other_namespaces_are_suspicious() {
    assert_eq!(rules(&inspect_bytes("x", &program("evil::run", "XnnpackBackend")))[0], "executorch-custom-operator");
}

#[test]
fn segments_are_held_against_the_file() {
    assert_eq!(rules(&inspect_bytes("x", &extended(16))), Vec::<&str>::new());
    assert_eq!(rules(&inspect_bytes("x", &extended(1 << 40))), ["executorch-segment-outside"]);
}

#[test]
fn survives() {
    survives_damage("x.pte", &program("evil::run", "X"));
    survives_damage("x.pte", &extended(16));
}
