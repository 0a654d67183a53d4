use weighbridge_types::Verdict;

use crate::codec::protobuf::testing::{bytes, int, message};
use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};
use crate::formats::tf_graphdef::testing::{attribute, node, text_constant};

type Bytes = Vec<u8>;

/// Nodes of the main graph, then further fields of the meta graph.
fn saved_model(nodes: &[Bytes], library: &[Bytes], rest: &[Bytes]) -> Bytes {
    let info = message(1, &[bytes(4, "serve"), bytes(5, "2.21.0")]);
    let nodes: Vec<_> = nodes.iter().map(|n| bytes(1, n)).collect();
    let graph = message(2, &[nodes.concat(), message(2, library)]);
    [int(1, 1), message(2, &[info, graph, rest.concat()])].concat()
}

fn function(name: &str, nodes: &[Bytes]) -> Bytes {
    let nodes: Vec<_> = nodes.iter().map(|n| bytes(3, n)).collect();
    message(1, &[message(1, &[bytes(1, name)]), nodes.concat()])
}

fn call(name: &str, function: &str) -> Bytes {
    node(name, "StatefulPartitionedCall", &["filename"], &[attribute("f", message(10, &[bytes(1, function)]))])
}

fn signature(tensor: &str) -> Bytes {
    let output = message(2, &[bytes(1, "y"), message(2, &[bytes(1, tensor)])]);
    message(5, &[bytes(1, "serving_default"), message(2, &[output])])
}

fn saver(save: &str, restore: &str) -> Bytes {
    message(3, &[bytes(1, "filename:0"), bytes(2, save), bytes(3, restore)])
}

/// A model as TensorFlow 2 writes it, whose serving function is `serving`.
fn with_serving(serving: &[Bytes]) -> Bytes {
    let save = [node("m", "MergeV2Checkpoints", &["filename"], &[]), node("s", "SaveV2", &["filename"], &[])];
    saved_model(
        &[node("filename", "Placeholder", &[], &[]), call("serve", "f"), call("save", "g"), call("restore", "h")],
        &[function("f", serving), function("g", &save), function("h", &[node("r", "RestoreV2", &["filename"], &[])])],
        &[saver("save:0", "restore"), signature("serve:0")],
    )
}

fn rules_of(content: &[u8]) -> Vec<String> {
    let outcome = inspect_bytes("saved_model.pb", content);
    assert_eq!(outcome.format, Some("tf-savedmodel"));
    rules(&outcome).into_iter().map(str::to_owned).collect()
}

#[test]
fn the_saver_of_every_model_is_no_alarm() {
    let outcome = inspect_bytes("saved_model.pb", &with_serving(&[node("y", "Relu", &[], &[])]));
    assert_eq!(outcome.format, Some("tf-savedmodel"));
    assert_eq!(verdict(&outcome), Verdict::Clean, "{:?}", outcome.findings);
    assert_eq!(outcome.metadata["tensorflow_version"], "2.21.0");
    assert_eq!(outcome.metadata["signatures"]["serving_default"]["outputs"][0], "y");
}

#[test]
fn the_same_operators_in_a_signature_are_an_alarm() {
    let constant = [text_constant("p", "/tmp/x"), node("s", "SaveV2", &["p"], &[])];
    assert_eq!(rules_of(&with_serving(&constant)), ["tf-file-write"]);
    let merge = [text_constant("p", "/tmp/x"), node("m", "MergeV2Checkpoints", &["p", "p"], &[])];
    assert_eq!(rules_of(&with_serving(&merge)), ["tf-file-write"]);
    assert_eq!(rules_of(&with_serving(&[node("s", "Save", &["argument"], &[])])), ["tf-checkpoint-write"]);
    assert_eq!(rules_of(&with_serving(&[node("s", "RestoreV2", &["argument"], &[])])), ["tf-checkpoint-read"]);
}

#[test]
fn a_writer_that_the_loader_runs_is_an_alarm_whatever_the_saver_says() {
    let content = saved_model(
        &[text_constant("p", "/tmp/x"), node("s", "SaveV2", &["p"], &[]), node("restore", "NoOp", &["^s"], &[])],
        &[],
        &[saver("s", "restore"), signature("p:0")],
    );
    assert_eq!(rules_of(&content), ["tf-file-write"]);
}

#[test]
fn every_meta_graph_is_searched() {
    let honest = with_serving(&[node("y", "Relu", &[], &[])]);
    let second = with_serving(&[text_constant("p", "/etc/hostname"), node("r", "ReadFile", &["p"], &[])]);
    assert_eq!(rules_of(&[honest, second].concat()), ["tf-file-read"]);
}

#[test]
fn vocabularies_are_honest_only_as_assets() {
    let asset = |file: &str| message(6, &[message(1, &[bytes(1, "vocab:0")]), bytes(2, file)]);
    let nodes = [
        text_constant("vocab", "/home/me/vocab.txt"),
        node("t", "InitializeTableFromTextFileV2", &["h", "vocab"], &[]),
    ];
    assert!(rules_of(&saved_model(&nodes, &[], &[signature("t"), asset("vocab.txt")])).is_empty());
    assert_eq!(rules_of(&saved_model(&nodes, &[], &[signature("t")])), ["tf-table-file"]);
    assert_eq!(rules_of(&saved_model(&nodes, &[], &[signature("t"), asset("../vocab.txt")])), ["tf-asset-outside"]);
}

#[test]
fn text_models_read_like_binary_ones() {
    let text = r#"saved_model_schema_version: 1
meta_graphs {
  meta_info_def { stripped_op_list { op { name: "Const" } } tags: "serve" }
  graph_def {
    node { name: "p" op: "Const" attr { key: "value" value { tensor { string_val: "/tmp/x" } } } }
    node { name: "s" op: "SaveV2" input: "p" }
  }
  saver_def { filename_tensor_name: "p:0" save_tensor_name: "s:0" restore_op_name: "r" }
  signature_def { key: "d" value { outputs { key: "y" value { name: "s:0" } } } }
}"#;
    let outcome = inspect_bytes("saved_model.pbtxt", text.as_bytes());
    assert_eq!(outcome.format, Some("tf-savedmodel"));
    assert_eq!(rules(&outcome), ["tf-file-write"]);
    let unsigned = text.replace("s:0\" } } }", "p:0\" } } }");
    assert!(rules(&inspect_bytes("saved_model.pbtxt", unsigned.as_bytes())).contains(&"tf-checkpoint-write"));
}

#[test]
fn keras_metadata_is_recognised() {
    let object =
        [int(2, 0), bytes(3, "root"), bytes(4, "_tf_keras_sequential"), bytes(5, "{\"name\": \"a\"}")].concat();
    let outcome = inspect_bytes("keras_metadata.pb", &bytes(1, object));
    assert_eq!(outcome.format, Some("tf-savedmodel"));
}

#[test]
fn survives() {
    survives_damage("saved_model.pb", &with_serving(&[text_constant("p", "/tmp/x"), node("s", "SaveV2", &["p"], &[])]));
}
