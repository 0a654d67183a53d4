use weighbridge_types::Verdict;

use crate::codec::flatbuffers::testing::{Field, buffer};
use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};

/// Two subgraphs; the first runs the one named by its `WHILE`.
fn model(custom: &'static str, input: i32, body: u32) -> Vec<u8> {
    let tensor = || vec![Field::I32s(vec![2, 2]), Field::None, Field::U32(1), Field::Text("t")];
    let while_options = Field::Table(vec![Field::U32(1), Field::U32(body)]);
    let operators = vec![
        vec![Field::U32(0), Field::I32s(vec![input]), Field::I32s(vec![0])],
        vec![Field::U32(1), Field::I32s(vec![0]), Field::None, Field::U8(93), while_options],
    ];
    let main =
        vec![Field::Tables(vec![tensor()]), Field::I32s(vec![0]), Field::I32s(vec![0]), Field::Tables(operators)];
    let inner = vec![Field::Tables(vec![tensor()])];
    let codes = vec![
        vec![Field::U8(32), Field::Text(custom), Field::None, Field::U32(32)],
        vec![Field::U8(119), Field::None, Field::None, Field::U32(119)],
    ];
    buffer(
        b"TFL3",
        &[
            Field::U32(3),
            Field::Tables(codes),
            Field::Tables(vec![main, inner]),
            Field::Text("made for a test"),
            Field::Tables(vec![vec![], vec![Field::Bytes(vec![0; 16])]]),
        ],
    )
}

#[test]
fn a_model_of_a_known_runtime_is_clean_and_described() {
    let outcome = inspect_bytes("x", &model("TFLite_Detection_PostProcess", 0, 1));
    assert_eq!((outcome.format, verdict(&outcome)), (Some("tflite"), Verdict::Clean));
    assert_eq!(outcome.metadata["parameters"], 8);
    assert_eq!(outcome.metadata["tensor_count"], 2);
}

#[test]
fn operators_are_told_apart() {
    assert_eq!(rules(&inspect_bytes("x", &model("FlexReadFile", 0, 1))), ["tflite-flex-reaching"]);
    assert_eq!(rules(&inspect_bytes("x", &model("FlexSave", 0, 1))), ["tflite-flex-operator"]);
    assert_eq!(rules(&inspect_bytes("x", &model("FlexNoSuchThing", 0, 1))), ["tflite-custom-operator"]);
}

#[test]
fn indices_out_of_range_and_cycles_are_suspicious() {
    assert!(rules(&inspect_bytes("x", &model("Mfcc", 7, 1))).contains(&"tflite-index-out-of-range"));
    assert!(rules(&inspect_bytes("x", &model("Mfcc", 0, 9))).contains(&"tflite-index-out-of-range"));
    assert!(rules(&inspect_bytes("x", &model("Mfcc", 0, 0))).contains(&"tflite-subgraph-cycle"));
}

#[test]
fn a_program_behind_the_model_is_found() {
    let content = [model("Mfcc", 0, 1), b"\x80\x02cposix\nsystem\n(X\x02\x00\x00\x00lstR.".to_vec()].concat();
    assert_eq!(verdict(&inspect_bytes("x", &content)), Verdict::Malicious);
}

#[test]
fn survives() {
    survives_damage("x.tflite", &model("Custom", 0, 1));
}
