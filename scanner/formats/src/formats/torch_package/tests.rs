use weighbridge_types::Verdict;

use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};
use crate::formats::pytorch_zip::tests::archive;

fn package(source: &str, extern_modules: &str) -> Vec<u8> {
    archive(&[
        ("p/model/model.pkl", b"\x80\x02}."),
        ("p/model/code.py", source.as_bytes()),
        ("p/.data/extern_modules", extern_modules.as_bytes()),
        ("p/.data/python_version", b"3.11.7"),
        ("p/.data/version", b"6\n"),
    ])
}

#[test]
fn an_honest_package_is_clean() {
    let outcome = inspect_bytes(
        "model.pt",
        &package("import torch\nclass M(torch.nn.Module):\n  pass\n", "torch\ncollections\nos\n"),
    );
    assert_eq!(outcome.format, Some("torch-package"));
    assert_eq!(verdict(&outcome), Verdict::Clean, "{:?}", outcome.findings);
    assert_eq!(outcome.metadata["python_version"], "3.11.7");
}

#[test]
fn sources_run_on_import() {
    let outcome = inspect_bytes("model.pt", &package("import os\nos.system('id')\n", "torch\n"));
    assert!(rules(&outcome).contains(&"python-runs-command-at-load"));
    assert_eq!(verdict(&outcome), Verdict::Malicious);
}

#[test]
fn powerful_external_modules_are_suspicious() {
    let outcome = inspect_bytes("model.pt", &package("x = 1\n", "os\nsubprocess\n"));
    assert_eq!(rules(&outcome), ["torch-package-powerful-extern"]);
}

#[test]
fn damage_is_survived() {
    survives_damage("model.pt", &package("x = 1\n", "torch\n"));
}
