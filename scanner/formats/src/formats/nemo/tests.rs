use weighbridge_types::Verdict;

use crate::codec::tar::samples::{archive, entry, file};
use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};

#[test]
fn is_recognised_by_its_configuration_and_weights() {
    let sample = archive(&[file("./model_config.yaml", b"target: x\n"), file("./model_weights.ckpt", b"weights")]);
    let outcome = inspect_bytes("asr.nemo", &sample);
    assert_eq!((outcome.format, outcome.is_model), (Some("nemo"), true));
    survives_damage("asr.nemo", &sample);
}

#[test]
fn members_that_escape_are_malicious() {
    let sample = archive(&[file("model_config.yaml", b"a: 1\n"), file("../../x.py", b"x")]);
    let outcome = inspect_bytes("asr.nemo", &sample);
    assert_eq!(verdict(&outcome), Verdict::Malicious);
    assert!(rules(&outcome).contains(&"archive-path-traversal"));
    let link = archive(&[file("model_config.yaml", b"a: 1\n"), entry("w", b'2', b"", "/etc/passwd")]);
    assert!(rules(&inspect_bytes("asr.nemo", &link)).contains(&"archive-link-escape"));
}

#[test]
fn programs_inside_are_suspicious() {
    let sample = archive(&[file("model_config.yaml", b"a: 1\n"), file("run.sh", b"#!/bin/sh\necho\n")]);
    assert_eq!(verdict(&inspect_bytes("asr.nemo", &sample)), Verdict::Suspicious);
}

#[test]
fn a_compressed_one_is_read_too() {
    use std::io::Write;

    let sample = archive(&[file("./model_config.yaml", b"a: 1\n"), file("./run.sh", b"#!/bin/sh\necho\n")]);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&sample).unwrap();
    let packed = gzip.finish().unwrap();
    let outcome = inspect_bytes("asr.nemo", &packed);
    assert_eq!((outcome.format, outcome.is_model), (Some("nemo"), true));
    assert_eq!(rules(&outcome), ["executable-in-model-archive"]);
    survives_damage("asr.nemo", &packed);
}
