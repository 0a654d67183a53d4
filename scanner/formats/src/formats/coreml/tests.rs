use weighbridge_types::Verdict;

use crate::codec::protobuf::testing::{bytes, int, message};
use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};

type Bytes = Vec<u8>;

fn feature(number: u64, name: &str) -> Bytes {
    message(number, &[bytes(1, name), message(3, &[message(5, &[int(2, 65568)])])])
}

fn model(kind: Bytes) -> Bytes {
    let metadata = message(100, &[bytes(3, "Example"), bytes(4, "MIT")]);
    [int(1, 4), message(2, &[feature(1, "x"), feature(10, "y"), metadata]), kind].concat()
}

fn layer(fields: &[Bytes]) -> Bytes {
    message(1, &[bytes(1, "l"), bytes(2, "x"), bytes(3, "y"), fields.concat()])
}

fn rules_of(name: &str, content: &[u8]) -> Vec<String> {
    let outcome = inspect_bytes(name, content);
    assert_eq!(outcome.format, Some("coreml"), "{name}");
    rules(&outcome).into_iter().map(str::to_owned).collect()
}

fn custom() -> Bytes {
    message(500, &[bytes(10, "MyLayer"), message(30, &[bytes(1, "k"), message(2, &[bytes(20, "v")])])])
}

#[test]
fn an_honest_model_is_clean() {
    let outcome = inspect_bytes("m", &model(message(500, &[layer(&[message(140, &[int(1, 4)])])])));
    assert_eq!(outcome.format, Some("coreml"));
    assert_eq!(verdict(&outcome), Verdict::Clean, "{:?}", outcome.findings);
    assert_eq!(outcome.metadata["license"], "MIT");
    assert_eq!(outcome.metadata["inputs"][0], "x");
}

#[test]
fn custom_layers_are_found_in_networks_branches_and_pipelines() {
    let network = layer(&[custom()]);
    let branch = layer(&[message(605, &[bytes(2, &network)])]);
    let inner = [int(1, 4), bytes(500, &network)].concat();
    for kind in [
        bytes(500, &network),
        bytes(403, &network),
        bytes(500, &branch),
        message(202, &[bytes(1, &inner)]),
        message(200, &[message(1, &[bytes(1, &inner)])]),
    ] {
        assert_eq!(rules_of("m.mlmodel", &model(kind)), ["coreml-custom-layer"]);
    }
    let outcome = inspect_bytes("m.mlmodel", &model(bytes(500, &network)));
    assert!(outcome.findings[0].detail.contains("MyLayer"), "{:?}", outcome.findings);
}

#[test]
fn custom_and_linked_models_are_found() {
    assert_eq!(rules_of("m.mlmodel", &model(message(555, &[bytes(10, "MyModel")]))), ["coreml-custom-model"]);
    let linked = |name: &str| model(message(556, &[message(1, &[message(1, &[bytes(1, name)])])]));
    assert_eq!(rules_of("m.mlmodel", &linked("../../other")), ["coreml-path-outside"]);
    assert_eq!(rules_of("m.mlmodel", &linked("other")), ["coreml-linked-model"]);
}

#[test]
fn weights_of_programs_stay_in_the_package() {
    let program = |path: &str| {
        let value = message(2, &[message(5, &[bytes(1, path)])]);
        let operation = message(3, &[bytes(1, "const"), message(5, &[bytes(1, "val"), value])]);
        let block = message(3, &[bytes(1, "CoreML7"), bytes(2, operation)]);
        model(message(502, &[message(2, &[bytes(1, "main"), bytes(2, block)])]))
    };
    assert!(rules_of("m.mlmodel", &program("@model_path/weights/weight.bin")).is_empty());
    assert_eq!(rules_of("m.mlmodel", &program("@model_path/../../x")), ["coreml-path-outside"]);
    let text = |path: &str| {
        format!(
            "program(1.0)\n[buildInfo = dict<string, string>({{}})]\n{{\n a = const()[val = tensor<fp16, [4]>(BLOBFILE(path = tensor<string, []>(\"{path}\"), offset = uint64(64)))];\n}}\n"
        )
    };
    assert!(rules_of("model.mil", text("@model_path/weights/weight.bin").as_bytes()).is_empty());
    assert_eq!(rules_of("model.mil", text("/etc/hostname").as_bytes()), ["coreml-path-outside"]);
}

#[test]
fn items_of_packages_stay_in_the_package() {
    let manifest = |path: &str| {
        format!(
            "{{\"fileFormatVersion\": \"1.0.0\", \"itemInfoEntries\": {{\"A\": {{\"path\": \"{path}\"}}}}, \"rootModelIdentifier\": \"A\"}}"
        )
    };
    let outcome = inspect_bytes("Manifest.json", manifest("com.apple.CoreML/model.mlmodel").as_bytes());
    assert_eq!(outcome.links[0].target, "Data/com.apple.CoreML/model.mlmodel");
    assert_eq!(rules_of("Manifest.json", manifest("../../x").as_bytes()), ["coreml-path-outside"]);
}

#[test]
fn weight_files_are_walked() {
    let mut content = vec![0; 64];
    content[0] = 1;
    content[4] = 2;
    content.extend([0xef, 0xbe, 0xad, 0xde, 1, 0, 0, 0]);
    content.extend(16u64.to_le_bytes());
    content.extend(128u64.to_le_bytes());
    content.resize(144, 0);
    let outcome = inspect_bytes("weight.bin", &content);
    assert_eq!(outcome.format, Some("coreml"));
    assert_eq!(verdict(&outcome), Verdict::Clean);
    assert_eq!(outcome.opaque.first(), Some(&(128..144)));
    assert_eq!(verdict(&inspect_bytes("weight.bin", &content[..140])), Verdict::Unknown);
    survives_damage("weight.bin", &content);
}

#[test]
fn nesting_is_bounded() {
    let mut inner = int(1, 4);
    for _ in 0..500 {
        inner = message(202, &[bytes(1, inner)]);
    }
    assert_eq!(rules_of("m.mlmodel", &model(inner)), ["limit-reached"]);
}

#[test]
fn other_messages_are_not_models() {
    for other in [&b"\x08\x01"[..], b"\x08\x01\x12\x00", b"\x08\x04\x12\x02\x0a\x00\x1a\x00", &[0x08; 40]] {
        assert_eq!(inspect_bytes("x.pb", other).format, None, "{other:x?}");
    }
}

#[test]
fn survives() {
    survives_damage("m.mlmodel", &model(message(500, &[layer(&[custom()])])));
}
