use weighbridge_types::Verdict;

use crate::codec::flatbuffers::testing::{Field, buffer};
use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};

fn model(domain: &'static str, op: &'static str) -> Vec<u8> {
    let node = vec![Field::Text("n"), Field::None, Field::Text(domain), Field::None, Field::None, Field::Text(op)];
    let graph = Field::Table(vec![Field::None, Field::None, Field::Tables(vec![node])]);
    let opset = vec![Field::None, Field::U64(17)];
    let model = Field::Table(vec![
        Field::U64(8),
        Field::Tables(vec![opset]),
        Field::Text("tests"),
        Field::None,
        Field::None,
        Field::None,
        Field::None,
        graph,
    ]);
    buffer(b"ORTM", &[Field::Text("5"), model])
}

#[test]
fn a_standard_graph_is_clean() {
    let outcome = inspect_bytes("x", &model("", "Relu"));
    assert_eq!((outcome.format, verdict(&outcome)), (Some("ort"), Verdict::Clean));
    assert_eq!(outcome.metadata["producer"], "tests");
}

#[test]
fn operators_are_judged_as_in_onnx() {
    assert_eq!(rules(&inspect_bytes("x", &model("evil.corp", "Run"))), ["onnx-custom-operator"]);
}

#[test]
fn a_session_without_a_model_is_malformed() {
    assert_eq!(verdict(&inspect_bytes("x", &buffer(b"ORTM", &[]))), Verdict::Unknown);
}

#[test]
fn survives() {
    survives_damage("x.ort", &model("evil.corp", "Run"));
}
