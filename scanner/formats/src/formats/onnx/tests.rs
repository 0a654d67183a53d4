use weighbridge_types::Verdict;

use crate::codec::protobuf::testing::{bytes, int, message};
use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};
use crate::core::{Confidence, FileName, Sniff};

type Bytes = Vec<u8>;

fn opset(domain: &str, version: i64) -> Bytes {
    message(8, &[bytes(1, domain), int(2, version)])
}

fn node(domain: &str, operator: &str, attributes: &[Bytes]) -> Bytes {
    let fields =
        [bytes(1, "x"), bytes(2, "y"), bytes(3, "n"), bytes(4, operator), attributes.concat(), bytes(7, domain)];
    message(1, &fields)
}

fn attribute(name: &str, value: Bytes) -> Bytes {
    message(5, &[bytes(1, name), value])
}

fn tensor(dims: &[i64], raw: usize) -> Bytes {
    let dims: Vec<_> = dims.iter().map(|d| int(1, *d)).collect();
    [dims.concat(), int(2, 1), bytes(8, "w"), bytes(9, vec![0; raw])].concat()
}

fn external(entries: &[(&str, &str)]) -> Bytes {
    let entries: Vec<_> = entries.iter().map(|(k, v)| message(13, &[bytes(1, k), bytes(2, v)])).collect();
    [int(1, 4), int(2, 1), bytes(8, "w"), entries.concat(), int(14, 1)].concat()
}

fn model(graph: &[Bytes], rest: &[Bytes]) -> Bytes {
    [int(1, 9), bytes(2, "test"), message(7, graph), opset("", 17), rest.concat()].concat()
}

fn graph(initializer: Bytes) -> Vec<Bytes> {
    vec![node("", "Add", &[]), bytes(2, "g"), bytes(5, initializer)]
}

fn outcome_of(content: &[u8]) -> crate::Outcome {
    let outcome = inspect_bytes("model.onnx", content);
    assert_eq!(outcome.format, Some("onnx"));
    outcome
}

fn rules_of(content: &[u8]) -> Vec<String> {
    rules(&outcome_of(content)).into_iter().map(str::to_owned).collect()
}

#[test]
fn an_honest_model_is_clean_and_tells_about_itself() {
    let outcome =
        outcome_of(&model(&graph(tensor(&[2, 3], 24)), &[message(14, &[bytes(1, "license"), bytes(2, "MIT")])]));
    assert_eq!(verdict(&outcome), Verdict::Clean, "{:?}", outcome.findings);
    assert_eq!(outcome.metadata["producer"], "test");
    assert_eq!(outcome.metadata["license"], "MIT");
    assert_eq!(outcome.metadata["parameters"], 6);
    assert_eq!(outcome.metadata["operators"]["Add"], 1);
    assert_eq!(outcome.opaque.len(), 1);
}

#[test]
fn external_data_outside_the_folder_is_malicious_wherever_it_stands() {
    let bad = external(&[("location", "../../etc/hostname")]);
    let sub = [bytes(5, &bad)].concat();
    let constant = node("", "Constant", &[attribute("value", bytes(5, &bad))]);
    let several = node("", "Constant", &[attribute("value", bytes(10, &bad))]);
    let sparse = message(15, &[bytes(1, &bad), bytes(2, tensor(&[1], 4))]);
    let branch = node("", "If", &[attribute("then_branch", bytes(6, &sub))]);
    let deeper = node("", "If", &[attribute("then_branch", bytes(6, &branch))]);
    let training = message(20, &[bytes(2, &sub)]);
    let function = message(25, &[bytes(1, "F"), bytes(7, &constant[2..]), bytes(10, "local")]);
    let places = [
        model(&graph(bad.clone()), &[]),
        model(std::slice::from_ref(&constant), &[]),
        model(&[several], &[]),
        model(&[node("", "Add", &[]), sparse], &[]),
        model(&[branch], &[]),
        model(&[deeper], &[]),
        model(&graph(tensor(&[1], 4)), &[training]),
        model(&graph(tensor(&[1], 4)), &[function]),
        // A second graph is merged into the first.
        model(&graph(tensor(&[1], 4)), &[message(7, &graph(bad))]),
    ];
    for (n, content) in places.iter().enumerate() {
        let outcome = outcome_of(content);
        assert_eq!(verdict(&outcome), Verdict::Malicious, "place {n}: {:?}", outcome.findings);
        assert!(rules(&outcome).contains(&"onnx-external-outside"));
    }
}

#[test]
fn every_location_counts_when_it_is_given_twice() {
    for order in [["w.bin", "../w"], ["../w", "w.bin"]] {
        let content = external(&[("location", order[0]), ("location", order[1])]);
        assert_eq!(rules_of(&model(&graph(content), &[])), ["onnx-external-outside"]);
    }
}

#[test]
fn external_data_in_the_folder_is_linked() {
    let outcome =
        outcome_of(&model(&graph(external(&[("location", "w.bin"), ("offset", "0"), ("length", "16")])), &[]));
    assert_eq!(verdict(&outcome), Verdict::Clean);
    assert_eq!(outcome.links[0].target, "w.bin");
}

#[test]
fn impossible_external_ranges_are_suspicious() {
    for (key, value) in [("offset", "-8"), ("offset", "4611686018427387904"), ("length", "-1"), ("offset", "0x10")] {
        let content = model(&graph(external(&[("location", "w.bin"), (key, value)])), &[]);
        assert_eq!(rules_of(&content), ["onnx-external-bounds"], "{key} {value}");
    }
}

#[test]
fn loader_internals_in_external_data_are_malicious() {
    let memory = external(&[("location", "*/_ORT_MEM_ADDR_/*"), ("offset", "1234")]);
    assert_eq!(rules_of(&model(&graph(memory), &[])), ["onnx-external-memory"]);
    let attribute = external(&[("location", "w"), ("__class__", "x")]);
    assert_eq!(rules_of(&model(&graph(attribute), &[])), ["onnx-external-attribute"]);
}

#[test]
fn shapes_must_fit_their_data() {
    for (dims, rule) in [
        (&[2, 2][..], "onnx-size-mismatch"),
        (&[-1], "onnx-bad-shape"),
        (&[1 << 40, 1 << 40], "onnx-bad-shape"),
        (&[1 << 43], "onnx-bad-shape"),
    ] {
        assert_eq!(rules_of(&model(&graph(tensor(dims, 8)), &[])), [rule]);
    }
}

#[test]
fn operators_are_judged_by_domain_and_name() {
    let single = |domain, operator| rules_of(&model(&[node(domain, operator, &[])], &[opset(domain, 1)]));
    assert_eq!(single("com.example", "Op"), ["onnx-custom-operator"]);
    assert_eq!(single("", "ExecuteShell"), ["onnx-unknown-operator"]);
    for domain in ["", "ai.onnx.contrib", "com.microsoft.extensions"] {
        assert_eq!(single(domain, "PyOp"), ["onnx-python-operator"]);
    }
    for (domain, operator) in [
        ("com.microsoft", "FusedMatMul"),
        ("ai.onnx.ml", "SVMClassifier"),
        ("ai.onnx", "Relu"),
        ("ai.onnx.contrib", "BertTokenizer"),
    ] {
        assert!(single(domain, operator).is_empty(), "{domain} {operator}");
    }
}

#[test]
fn the_models_own_functions_are_no_custom_operators() {
    let function = |domain: &str, name: &str| {
        message(25, &[bytes(1, name), bytes(7, &node("", "Mul", &[])[2..]), bytes(10, domain)])
    };
    let own = model(&[node("pkg.torch.nn", "Linear", &[])], &[function("pkg.torch.nn", "Linear")]);
    assert!(rules_of(&own).is_empty());
    let instead = model(&[node("", "Relu", &[])], &[function("", "Relu")]);
    assert_eq!(rules_of(&instead), ["onnx-function-override"]);
}

#[test]
fn compiled_graphs_stay_in_the_folder() {
    let context = |path: &str, embedded| {
        let attributes = [attribute("ep_cache_context", bytes(4, path)), attribute("embed_mode", int(3, embedded))];
        rules_of(&model(&[node("com.microsoft", "EPContext", &attributes)], &[]))
    };
    assert_eq!(context("../a.so", 0), ["onnx-context-outside"]);
    assert!(context("a.bin", 0).is_empty());
    assert!(context("../blob", 1).is_empty());
}

#[test]
fn damage_is_unknown_at_least() {
    let good = model(&graph(tensor(&[2], 8)), &[]);
    let mut nested = bytes(2, "leaf");
    for _ in 0..400 {
        nested = node("", "If", &[attribute("then_branch", bytes(6, &nested))]);
    }
    for bad in [
        good[..good.len() - 3].to_vec(),
        [good.clone(), vec![0, 1]].concat(),
        [good.clone(), vec![0x0f, 1]].concat(),
        model(&[nested], &[]),
    ] {
        assert!(verdict(&outcome_of(&bad)) >= Verdict::Unknown);
    }
    assert_eq!(rules_of(&[good.clone(), bytes(900, "MZ")].concat()), ["onnx-foreign-data"]);
    assert_eq!(rules_of(&[bytes(900, [0; 9000]), good].concat()), ["onnx-foreign-data"]);
}

#[test]
fn other_messages_are_not_onnx() {
    let recognise = |name: &str, content: &[u8]| {
        super::recognise::recognise(&Sniff::new(content, content.len() as u64, &FileName::new(name), &Vec::new))
    };
    let good = model(&graph(tensor(&[2], 8)), &[]);
    assert_eq!(recognise("x", &good), Confidence::Certain);
    assert_eq!(recognise("x", &model(&[node("", "Add", &[])], &[])[2..]), Confidence::Likely);
    let saved_model = [int(1, 1), message(2, &[message(1, &[bytes(4, "serve")])])].concat();
    for other in [&b""[..], b"\x08\x01", b"\x08\x01\x12\x00", &saved_model, b"\x08\x01\x3a\x02hi", &[0x08; 64]] {
        assert_eq!(recognise("x.pb", other), Confidence::No, "{other:x?}");
    }
}

#[test]
fn survives() {
    let function = message(25, &[bytes(1, "F"), bytes(7, &node("", "Mul", &[])[2..]), bytes(10, "local")]);
    let branch = node(
        "",
        "If",
        &[attribute("then_branch", message(6, &graph(external(&[("location", "a"), ("offset", "1")]))))],
    );
    survives_damage("m.onnx", &model(&[branch, bytes(5, tensor(&[2], 8))], &[function]));
}
