use weighbridge_types::Verdict;

use crate::codec::protobuf::testing::{bytes, int, message};
use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};

fn net(kind: &str, rest: &[Vec<u8>]) -> Vec<u8> {
    let blob = message(7, &[bytes(5, [0; 8])]);
    [bytes(1, "net"), message(100, &[bytes(1, "l"), bytes(2, kind), bytes(3, "data"), blob, rest.concat()])].concat()
}

fn text(kind: &str, rest: &str) -> String {
    format!("# a net\nname: \"n\"\nlayer {{\n  name: \"l\"\n  type: \"{kind}\"\n  top: \"y\"\n  {rest}\n}}\n")
}

#[test]
fn honest_nets_are_clean() {
    let outcome = inspect_bytes("m.caffemodel", &net("InnerProduct", &[]));
    assert_eq!((outcome.format, verdict(&outcome)), (Some("caffe"), Verdict::Clean), "{:?}", outcome.findings);
    assert_eq!(outcome.metadata["operators"]["InnerProduct"], 1);
    let outcome = inspect_bytes("deploy.prototxt", text("Input", "input_param { shape { dim: 1 } }").as_bytes());
    assert_eq!((outcome.format, verdict(&outcome)), (Some("caffe"), Verdict::Clean), "{:?}", outcome.findings);
}

#[test]
fn python_layers_are_suspicious_with_module_and_class() {
    let python = message(130, &[bytes(1, "my_module"), bytes(2, "MyLayer")]);
    for outcome in [
        inspect_bytes("m.caffemodel", &net("Python", &[python])),
        inspect_bytes(
            "m.prototxt",
            text("Python", "python_param { module: \"my_module\" layer: \"MyLayer\" }").as_bytes(),
        ),
    ] {
        assert_eq!(rules(&outcome), ["caffe-python-layer"]);
        assert!(outcome.findings[0].detail.contains("my_module"), "{:?}", outcome.findings);
    }
}

#[test]
fn nets_of_version_1_are_recognised() {
    let layer = message(2, &[bytes(2, "data"), bytes(3, "y"), bytes(4, "conv1"), int(5, 4)]);
    assert_eq!(inspect_bytes("m.caffemodel", &[bytes(1, "net"), layer].concat()).format, Some("caffe"));
}

#[test]
fn caffe2_operators_are_judged() {
    let operator = |kind: &str| {
        let argument = message(5, &[bytes(1, "db"), bytes(4, "/tmp/x")]);
        let content = [bytes(1, "net"), message(2, &[bytes(1, "x"), bytes(2, "y"), bytes(4, kind), argument])].concat();
        let outcome = inspect_bytes("predict_net.pb", &content);
        assert_eq!(outcome.format, Some("caffe"));
        rules(&outcome).first().map(|r| (*r).to_owned())
    };
    assert_eq!(operator("Conv"), None);
    assert_eq!(operator("Python").as_deref(), Some("caffe-python-layer"));
    assert_eq!(operator("Load").as_deref(), Some("caffe-file-op"));
}

#[test]
fn other_texts_and_messages_are_not_nets() {
    for other in [
        &b"layer { color: red }"[..],
        b"The layers {of soil}\ntype: clay",
        b"{\"layer\": {\"type\": 1}}",
        b"\n\x03abc\x12\x03def",
        b"layers:\n  - type: x\n    name: y\n",
    ] {
        assert_ne!(inspect_bytes("x.pb", other).format, Some("caffe"), "{other:?}");
    }
}

#[test]
fn survives() {
    survives_damage("m.caffemodel", &net("Python", &[message(130, &[bytes(1, "m")])]));
    survives_damage("m.prototxt", text("Python", "python_param { module: 'm' }").as_bytes());
}
