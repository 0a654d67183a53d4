use weighbridge_types::Verdict;

use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};

const SAMPLE: &[u8] = b"7767517\n2 2\nInput data 0 1 data 0=3\nConvolution conv 1 1 data out 0=4\n";

#[test]
fn a_parameter_file_is_read_and_names_its_weights() {
    let outcome = inspect_bytes("net.param", SAMPLE);
    assert_eq!((outcome.format, verdict(&outcome)), (Some("ncnn"), Verdict::Clean));
    assert_eq!(outcome.links[0].target, "net.bin");
}

#[test]
fn custom_layers_are_told_and_missing_ones_are_damage() {
    assert_eq!(rules(&inspect_bytes("n.param", b"7767517\n1 1\nCustomFoo x 0 1 y\n")), ["ncnn-custom-layer"]);
    assert_eq!(verdict(&inspect_bytes("n.param", b"7767517\n9 1\nInput x 0 1 y\n")), Verdict::Unknown);
}

#[test]
fn a_number_alone_is_no_network() {
    assert_eq!(inspect_bytes("x.txt", b"7767517\nhello\n").format, None);
}

#[test]
fn survives() {
    survives_damage("net.param", SAMPLE);
}
