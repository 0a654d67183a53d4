use weighbridge_types::Verdict;

use crate::codec::protobuf::testing::{bytes, int, message};
use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};

fn program(operator: &str, attributes: &[(&str, &str)]) -> Vec<u8> {
    let attributes: Vec<_> =
        attributes.iter().map(|(k, v)| message(4, &[bytes(1, k), int(2, 2), bytes(5, v)])).collect();
    let variable = message(3, &[bytes(1, "x"), message(2, &[int(1, 7)])]);
    let operator = message(4, &[message(1, &[bytes(1, "X"), bytes(2, "x")]), bytes(3, operator), attributes.concat()]);
    [message(1, &[int(1, 0), int(2, -1), variable, operator]), message(4, &[int(1, 2_006_000)])].concat()
}

#[test]
fn programs_are_judged_by_their_operators() {
    let rule = |operator| {
        let outcome = inspect_bytes("m.pdmodel", &program(operator, &[("file_path", "/tmp/x")]));
        assert_eq!(outcome.format, Some("paddle"));
        rules(&outcome).first().map(|r| (*r).to_owned())
    };
    assert_eq!(rule("relu"), None);
    assert_eq!(rule("py_func").as_deref(), Some("paddle-python-op"));
    assert_eq!(rule("load").as_deref(), Some("paddle-file-op"));
    assert_eq!(rule("save_combine").as_deref(), Some("paddle-file-op"));
    assert_eq!(rule("listen_and_serv").as_deref(), Some("paddle-network-op"));
    let outcome = inspect_bytes("m.pdmodel", &program("save", &[("file_path", "/tmp/x")]));
    assert!(outcome.findings[0].detail.contains("file_path=\"/tmp/x\""));
}

#[test]
fn json_programs_are_judged_alike() {
    let text = |operator: &str| {
        format!(
            "{{\"base_code\":{{\"magic\":\"pir\",\"version\":4}},\"program\":{{\"regions\":[{{\"#\":\"region_0\",\"blocks\":[{{\"ops\":[{{\"#\":\"{operator}\",\"A\":[]}}]}}]}}]}}}}"
        )
    };
    let honest = inspect_bytes("model.json", text("1.relu").as_bytes());
    assert_eq!((honest.format, verdict(&honest)), (Some("paddle"), Verdict::Clean));
    assert_eq!(rules(&inspect_bytes("model.json", text("1.py_func").as_bytes())), ["paddle-python-op"]);
    assert_eq!(rules(&inspect_bytes("model.json", text("custom_op.x").as_bytes())), ["paddle-custom-op"]);
}

fn params() -> Vec<u8> {
    let description = [int(1, 5), int(2, 2), int(2, 1)].concat();
    let mut one = vec![0; 16];
    one.extend(u32::try_from(description.len()).unwrap().to_le_bytes());
    one.extend(description);
    one.extend([0; 8]);
    one.repeat(2)
}

#[test]
fn parameters_fill_their_file() {
    let outcome = inspect_bytes("model.pdiparams", &params());
    assert_eq!((outcome.format, verdict(&outcome)), (Some("paddle"), Verdict::Clean), "{:?}", outcome.findings);
    assert_eq!(outcome.metadata["parameters"], 4);
    let cut = &params()[..params().len() - 1];
    assert_eq!(verdict(&inspect_bytes("model.pdiparams", cut)), Verdict::Unknown);
    assert_eq!(inspect_bytes("zeros.bin", &[0; 4096]).format, None);
    survives_damage("model.pdiparams", &params());
}

#[test]
fn lite_models_tell_their_version() {
    let mut content = b"\x02\x00v2.12".to_vec();
    content.resize(64, 0);
    let outcome = inspect_bytes("model.nb", &content);
    assert_eq!((outcome.format, outcome.metadata["format_version"].as_str()), (Some("paddle"), Some("v2.12")));
    assert_eq!(inspect_bytes("notebook.nb", b"(* Content-type: application/mathematica *)").format, None);
}

#[test]
fn survives() {
    survives_damage("m.pdmodel", &program("save", &[("file_path", "/tmp/x")]));
}
