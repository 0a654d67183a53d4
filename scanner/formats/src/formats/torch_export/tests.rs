use weighbridge_types::Verdict;

use super::graph::judged;
use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};
use crate::formats::pytorch_zip::tests::archive;

fn program(target: &str, extra: (&str, &[u8])) -> Vec<u8> {
    let graph = format!(
        r#"{{"graph_module": {{"graph": {{"nodes": [{{"target": "{target}", "inputs": [], "metadata": {{"stack_trace": "x"}}}}]}}}}}}"#
    );
    let config = br#"{"config": {"w": {"path_name": "weight_0", "is_param": true, "use_pickle": false, "tensor_meta": {"dtype": 7, "sizes": [{"as_int": 2}]}}}}"#;
    archive(&[
        ("x/archive_format", b"pt2"),
        ("x/archive_version", b"0"),
        ("x/models/model.json", graph.as_bytes()),
        ("x/data/weights/model_weights_config.json", config),
        ("x/data/weights/weight_0", &[0; 8]),
        extra,
    ])
}

const NOTHING: (&str, &[u8]) = ("x/byteorder", b"little");

#[test]
fn an_honest_program_is_clean_and_its_weights_opaque() {
    let outcome = inspect_bytes("model.pt2", &program("torch.ops.aten.linear.default", NOTHING));
    assert_eq!(outcome.format, Some("torch-export"));
    assert_eq!(verdict(&outcome), Verdict::Clean, "{:?}", outcome.findings);
    assert_eq!(outcome.metadata["parameters"], 2);
    assert_eq!(outcome.opaque.len(), 1);
}

#[test]
fn targets_outside_the_operators_are_judged() {
    let id = |t: &str| judged(t).map(|r| r.id);
    assert_eq!(id("torch.ops.aten.add.Tensor"), None);
    assert_eq!(id("torch.ops.higher_order.cond"), None);
    assert_eq!(id("_operator.getitem"), None);
    assert_eq!(id("torch.sym_max"), None);
    assert_eq!(id("torch.ops.mylib.run.default"), Some("torch-export-custom-operator"));
    for target in [
        "torch.os.system",
        "torch.hub.load",
        "torch.serialization.os.system",
        "torch.load",
        "torch.ops.load_library",
        "torch.ops.aten.from_file",
    ] {
        assert_eq!(id(target), Some("torch-export-dangerous-target"), "{target}");
    }
    let outcome = inspect_bytes("model.pt2", &program("torch.os.system", NOTHING));
    assert_eq!(verdict(&outcome), Verdict::Malicious);
    let escaped = program("torch.ops.aten.add", NOTHING);
    let at = memchr::memmem::find(&escaped, b"torch.ops.aten.add").unwrap();
    assert!(at > 0);
}

#[test]
fn native_code_is_suspicious() {
    let outcome = inspect_bytes(
        "model.pt2",
        &program("torch.ops.aten.add.Tensor", ("x/data/aotinductor/model/a.so", b"\x7fELF")),
    );
    assert!(rules(&outcome).contains(&"torch-export-native-code"));
    assert_eq!(verdict(&outcome), Verdict::Suspicious);
}

#[test]
fn older_archives_are_recognised() {
    let old = archive(&[("serialized_exported_program.json", b"{}"), ("version", b"8.5")]);
    assert_eq!(inspect_bytes("model.pt2", &old).format, Some("torch-export"));
}

#[test]
fn damage_is_survived() {
    survives_damage("model.pt2", &program("torch.ops.aten.add.Tensor", NOTHING));
}
