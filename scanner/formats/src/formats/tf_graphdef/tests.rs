use weighbridge_types::Verdict;

use crate::codec::protobuf::testing::{bytes, int, message};
use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};
use crate::core::{Confidence, FileName, Sniff};

use super::testing::{attribute, node, text_constant};

type Bytes = Vec<u8>;

fn graph(nodes: &[Bytes]) -> Bytes {
    nodes.iter().map(|n| bytes(1, n)).collect::<Vec<_>>().concat()
}

fn function(name: &str, nodes: &[Bytes]) -> Bytes {
    let nodes: Vec<_> = nodes.iter().map(|n| bytes(3, n)).collect();
    message(1, &[message(1, &[bytes(1, name), message(2, &[bytes(1, "x")])]), nodes.concat()])
}

fn outcome_of(content: &[u8]) -> crate::Outcome {
    let outcome = inspect_bytes("graph.pb", content);
    assert_eq!(outcome.format, Some("tf-graphdef"));
    outcome
}

fn rules_of(content: &[u8]) -> Vec<String> {
    rules(&outcome_of(content)).into_iter().map(str::to_owned).collect()
}

fn write_file() -> [Bytes; 3] {
    [text_constant("path", "/tmp/x"), text_constant("text", "hello"), node("w", "WriteFile", &["path", "text"], &[])]
}

#[test]
fn an_honest_graph_is_clean() {
    let content = graph(&[node("x", "Placeholder", &[], &[]), node("y", "Relu", &["x"], &[])]);
    let outcome = outcome_of(&content);
    assert_eq!(verdict(&outcome), Verdict::Clean, "{:?}", outcome.findings);
    assert_eq!(outcome.metadata["operators"]["Relu"], 1);
}

#[test]
fn evidence_shows_the_call_with_its_constants() {
    let outcome = outcome_of(&graph(&write_file()));
    assert_eq!(verdict(&outcome), Verdict::Malicious);
    assert!(outcome.findings[0].detail.contains("WriteFile(\"/tmp/x\", \"hello\")"), "{:?}", outcome.findings);
}

#[test]
fn functions_are_searched_too() {
    let library = bytes(2, function("f", &write_file()));
    let content = [graph(&[node("c", "PartitionedCall", &[], &[])]), library].concat();
    assert_eq!(rules_of(&content), ["tf-file-write"]);
}

#[test]
fn graphs_inside_constants_are_inspected() {
    let inner = graph(&write_file());
    let outer = graph(&[text_constant("g", &inner), node("d", "DatasetFromGraph", &["g"], &[])]);
    assert_eq!(rules_of(&outer), ["tf-file-write", "tf-dataset-read"]);
    let packed = [crate::codec::protobuf::testing::varint(inner.len() as u64), inner].concat();
    let tensor = [int(1, 7), bytes(4, packed)].concat();
    let content = graph(&[node("g", "Const", &[], &[attribute("value", bytes(8, tensor))])]);
    assert_eq!(rules_of(&content), ["tf-file-write"]);
}

#[test]
fn file_names_are_followed_through_the_graph() {
    let joined = [
        text_constant("a", "/etc/"),
        text_constant("b", "hostname"),
        node("j", "StringJoin", &["a", "b:0"], &[]),
        node("i", "Identity", &["j"], &[]),
        node("r", "ReadFile", &["i", "^x"], &[]),
    ];
    let outcome = outcome_of(&graph(&joined));
    assert_eq!(rules(&outcome), ["tf-file-read"]);
    assert!(outcome.findings[0].detail.contains("\"/etc/\" + \"hostname\""), "{:?}", outcome.findings);
    let given = [node("p", "Placeholder", &[], &[]), node("r", "ReadFile", &["p"], &[])];
    assert_eq!(rules_of(&graph(&given)), ["tf-file-read-input"]);
    let circle = [node("r", "ReadFile", &["i"], &[]), node("i", "Identity", &["i"], &[])];
    assert_eq!(rules_of(&graph(&circle)), ["tf-file-read"]);
}

#[test]
fn operators_are_judged_by_what_they_do() {
    let with = |op: &str, key: &str, value: &str| {
        let list = ["debug_urls"].contains(&key);
        let text = if list { message(1, &[bytes(2, value)]) } else { bytes(2, value) };
        rules_of(&graph(&[node("x", "Placeholder", &[], &[]), node("n", op, &["x"], &[attribute(key, text)])]))
    };
    assert_eq!(with("PyFunc", "token", "pyfunc_0"), ["tf-python-op"]);
    assert_eq!(with("EagerPyFunc", "token", "pyfunc_0"), ["tf-python-op"]);
    assert_eq!(with("PrintV2", "output_stream", "file:///tmp/x"), ["tf-file-write"]);
    assert!(with("PrintV2", "output_stream", "stderr").is_empty());
    assert_eq!(with("DebugIdentity", "debug_urls", "grpc://example.invalid:1"), ["tf-debug-url"]);
    assert_eq!(with("ImmutableConst", "memory_region_name", "/etc/hostname"), ["tf-file-read"]);
    assert!(with("ImmutableConst", "memory_region_name", "memmapped_package://a").is_empty());
    assert_eq!(with("DecodeProtoV2", "descriptor_source", "/tmp/x"), ["tf-file-read"]);
    assert!(with("DecodeProtoV2", "descriptor_source", "local://").is_empty());
    assert_eq!(with("RpcClient", "shared_name", ""), ["tf-network-op"]);
    assert_eq!(with("EvilOp", "a", "b"), ["tf-custom-op"]);
    assert_eq!(with("TextLineDataset", "a", "b"), ["tf-dataset-read"]);
    assert_eq!(with("Abort", "error_msg", "b"), ["tf-abort"]);
    assert!(with("TFText>WhitespaceTokenizeWithOffsetsV2", "a", "b").is_empty());
}

#[test]
fn functions_named_like_operators_are_suspicious() {
    let library = bytes(2, function("Relu", &[node("a", "Add", &[], &[])]));
    assert_eq!(rules_of(&[graph(&[node("r", "Relu", &[], &[])]), library].concat()), ["tf-function-override"]);
}

#[test]
fn text_graphs_read_like_binary_ones() {
    let text = "node {\n name: \"p\"\n op: \"Const\"\n attr { key: \"value\" value { tensor { dtype: DT_STRING \
                string_val: \"/tmp/x\" } } } }\nnode { name: \"w\" op: \"WriteFile\" input: \"p\" input: \"p\" }\n\
                library { function { signature { name: \"f\" } node_def { name: \"y\" op: \"PyFunc\" } } }";
    let outcome = inspect_bytes("graph.pbtxt", text.as_bytes());
    assert_eq!(outcome.format, Some("tf-graphdef"));
    let mut found = rules(&outcome);
    found.sort_unstable();
    assert_eq!(found, ["tf-file-write", "tf-python-op"]);
    assert!(outcome.findings.iter().any(|f| f.detail.contains("WriteFile(\"/tmp/x\"")));
    survives_damage("graph.pbtxt", text.as_bytes());
}

#[test]
fn order_and_unknown_fields_hide_nothing() {
    let turned = [bytes(3, "text"), bytes(2, "WriteFile"), bytes(1, "w")].concat();
    let content = [bytes(99, "unknown"), int(3, 0), graph(&[turned])].concat();
    assert_eq!(rules_of(&content), ["tf-file-write"]);
}

#[test]
fn nesting_that_decoders_refuse_is_unknown() {
    let bomb = (0..1500).fold(Vec::new(), |inner, _| bytes(1, inner));
    assert_eq!(rules_of(&bomb), ["limit-reached"]);
}

#[test]
fn other_messages_are_not_graphs() {
    let recognise = |name: &str, content: &[u8]| {
        super::recognise::recognise(&Sniff::new(content, content.len() as u64, &FileName::new(name), &Vec::new))
    };
    assert_eq!(recognise("x", &graph(&[node("x", "Placeholder", &[], &[])])), Confidence::Likely);
    let descriptors = message(1, &[bytes(1, "google/protobuf/any.proto"), bytes(2, "google.protobuf")]);
    let one_word = message(1, &[bytes(1, "a.proto"), bytes(2, "Add")]);
    let pieces = message(1, &[bytes(1, "<unk>"), vec![0x15, 0, 0, 0, 0]]);
    for other in [&descriptors[..], &one_word, &pieces, b"", b"\n\x02ab", b"node { color: red }", b"{\"node\": 1}"] {
        assert_eq!(recognise("x.pb", other), Confidence::No, "{other:x?}");
    }
}

#[test]
fn survives() {
    let library = bytes(2, function("f", &write_file()));
    survives_damage("g.pb", &[graph(&write_file()), library].concat());
}
