use weighbridge_types::Verdict;

use crate::codec::flatbuffers::testing::{Field, buffer};
use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};

fn net(kind: u32) -> Vec<u8> {
    let parameters = Field::Table(vec![Field::Text("Marker")]);
    let op = vec![
        Field::I32s(vec![0]),
        Field::U8(30),
        parameters,
        Field::Text("op"),
        Field::I32s(vec![1]),
        Field::U32(kind),
    ];
    buffer(&[0; 4], &[Field::Text("biz"), Field::None, Field::None, Field::Tables(vec![op])])
}

#[test]
fn a_network_is_told_by_name_and_shape() {
    let outcome = inspect_bytes("model.mnn", &net(12));
    assert_eq!((outcome.format, verdict(&outcome)), (Some("mnn"), Verdict::Clean));
    assert_eq!(inspect_bytes("model.dat", &net(12)).format, None);
    assert_eq!(verdict(&inspect_bytes("model.mnn", &[7; 64])), Verdict::Unknown);
}

#[test]
fn plugins_are_suspicious() {
    assert_eq!(rules(&inspect_bytes("model.mnn", &net(256))), ["mnn-plugin-operator"]);
}

#[test]
fn survives() {
    survives_damage("model.mnn", &net(256));
}
