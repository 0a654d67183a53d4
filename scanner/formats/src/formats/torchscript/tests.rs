use weighbridge_types::Verdict;

use crate::core::Outcome;
use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};
use crate::formats::pytorch_zip::tests::archive;

const HONEST: &str = "class Module(Module):\n  __parameters__ = [\"weight\", ]\n  __buffers__ = []\n  weight : Tensor\n  training : bool\n  def forward(self: __torch__.Module,\n    x: Tensor) -> Tensor:\n    _0 = ops.quantized.relu6(torch.linear(x, self.weight, None))\n    _1 = uninitialized(Tensor)\n    return torch.add(_0, x)\n";

fn script(code: &str) -> Vec<u8> {
    archive(&[
        ("m/data.pkl", b"\x80\x02c__torch__\nModule\nq\0)\x81}(X\x08\0\0\0training\x89ub."),
        ("m/code/__torch__.py", code.as_bytes()),
        ("m/code/__torch__.py.debug_pkl", b"\x80\x02X\x18\0\0\0FORMAT_WITH_STRING_TABLE."),
        ("m/constants.pkl", b"\x80\x02)."),
        ("m/version", b"3\n"),
    ])
}

fn with_line(line: &str) -> Outcome {
    inspect_bytes("model.pt", &script(&HONEST.replace("    _1 = uninitialized(Tensor)\n", &format!("    {line}\n"))))
}

#[test]
fn honest_code_is_clean() {
    let outcome = inspect_bytes("model.pt", &script(HONEST));
    assert_eq!(outcome.format, Some("torchscript"));
    assert_eq!(verdict(&outcome), Verdict::Clean, "{:?}", outcome.findings);
    assert_eq!(outcome.metadata["format_version"], "3");
}

#[test]
fn file_access_is_malicious() {
    for line in [
        "_1 = ops.aten.save(x, \"/tmp/x\")",
        "torch.save(x, \"/tmp/x\")",
        "_1 = torch.from_file(\"/tmp/x\", False, 1)",
        "_1 = ops.aten.from_file(\"/tmp/x\")",
    ] {
        let outcome = with_line(line);
        assert!(rules(&outcome).contains(&"torchscript-file-access"), "{line}: {:?}", outcome.findings);
        assert_eq!(verdict(&outcome), Verdict::Malicious);
    }
}

#[test]
fn unknown_operators_and_classes_are_suspicious_and_known_ones_notes() {
    for line in ["_1 = ops.example.run(x)", "_1 : __torch__.torch.classes.example.Thing = x", "_1 = rpc_async(x)"] {
        let outcome = with_line(line);
        let expected = if line.contains("rpc") { Verdict::Clean } else { Verdict::Suspicious };
        assert_eq!(verdict(&outcome), expected, "{line}: {:?}", outcome.findings);
    }
    let outcome = with_line("_1 = ops.torchvision.nms(x, x, 0.5)");
    assert_eq!((verdict(&outcome), rules(&outcome)), (Verdict::Clean, vec!["torchscript-library-operator"]));
    let outcome = with_line("_1 : __torch__.torch.classes.quantized.LinearPackedParamsBase = x");
    assert_eq!(verdict(&outcome), Verdict::Clean);
}

#[test]
fn python_among_the_sources_is_found() {
    let outcome = inspect_bytes("model.pt", &script("import os\nos.system('id')\n"));
    assert!(rules(&outcome).contains(&"torchscript-foreign-python"));
    assert_eq!(verdict(&outcome), Verdict::Malicious);
}

#[test]
fn mobile_bytecode_names_its_operators() {
    let bytecode = b"\x80\x02(X\x0a\0\0\0aten::saveX\x0b\0\0\0aten::lineart.";
    let mobile = archive(&[("m/data.pkl", b"\x80\x02N."), ("m/bytecode.pkl", bytecode), ("m/version", b"8")]);
    let outcome = inspect_bytes("model.ptl", &mobile);
    assert_eq!(outcome.format, Some("torchscript"));
    assert!(rules(&outcome).contains(&"torchscript-file-access"), "{:?}", outcome.findings);
}

#[test]
fn damage_is_survived() {
    survives_damage("model.pt", &script(HONEST));
}
