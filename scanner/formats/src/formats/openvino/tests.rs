use weighbridge_types::Verdict;

use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};

const SAMPLE: &str = r#"<?xml version="1.0"?><net name="m" version="11"><layers>
<layer id="0" name="x" type="Parameter" version="opset1"/><layer id="1" name="w" type="Const" version="opset1">
<data element_type="f32" shape="4" offset="0" size="16"/></layer></layers><edges/></net>"#;

#[test]
fn a_plain_graph_is_clean_and_names_its_weights() {
    let outcome = inspect_bytes("m.xml", SAMPLE.as_bytes());
    assert_eq!((outcome.format, verdict(&outcome)), (Some("openvino"), Verdict::Clean));
    assert_eq!(outcome.links[0].target, "m.bin");
}

#[test]
fn libraries_custom_operations_and_impossible_ranges_are_told() {
    let cases = [
        ("id=\"0\"", "id=\"0\" library=\"/tmp/x.so\"", "openvino-library-path"),
        ("version=\"opset1\"", "version=\"evil_ops\"", "openvino-custom-operation"),
        ("size=\"16\"", "size=\"18446744073709551615\"", "openvino-bad-range"),
    ];
    for (from, to, rule) in cases {
        let bad = SAMPLE.replacen(from, to, 1);
        assert_eq!(rules(&inspect_bytes("m.xml", bad.as_bytes())), [rule]);
    }
}

#[test]
fn survives() {
    survives_damage("m.xml", SAMPLE.as_bytes());
}
