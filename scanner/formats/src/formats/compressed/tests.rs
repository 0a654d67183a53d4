use std::io::Write;

use weighbridge_types::Verdict;

use crate::codec::tar::samples::{archive as tar, file, model};
use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut w = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    w.write_all(content).unwrap();
    w.finish().unwrap()
}

fn zlib(content: &[u8]) -> Vec<u8> {
    let mut w = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    w.write_all(content).unwrap();
    w.finish().unwrap()
}

fn bzip2(content: &[u8]) -> Vec<u8> {
    let mut w = ::bzip2::write::BzEncoder::new(Vec::new(), ::bzip2::Compression::default());
    w.write_all(content).unwrap();
    w.finish().unwrap()
}

fn lz4(content: &[u8]) -> Vec<u8> {
    let mut w = lz4_flex::frame::FrameEncoder::new(Vec::new());
    w.write_all(content).unwrap();
    w.finish().unwrap()
}

/// A 7z, which shows in a verdict under a model's name.
const SEVEN: &[u8] = b"7z\xbc\xaf\x27\x1c\0\x04\x8d\x9b\xd5\x0f\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

#[test]
fn compressed_tars_are_walked() {
    let inner = tar(&[file("x.txt", b"hello"), file("m.nemo", &model()), file("run.sh", b"#!/bin/sh\n")]);
    for (format, packed) in
        [("gzip", gzip(&inner)), ("bzip2", bzip2(&inner)), ("lz4", lz4(&inner)), ("zlib", zlib(&inner))]
    {
        let outcome = inspect_bytes("a", &packed);
        assert_eq!(outcome.format, Some(format));
        assert!(outcome.is_model, "{format}");
        assert_eq!(rules(&outcome), ["executable-in-model-archive"], "{format}: {:?}", outcome.findings);
    }
}

#[test]
fn a_tar_split_over_gzip_members_is_one() {
    let inner = tar(&[file("m.nemo", &model())]);
    let split = [gzip(&inner[..600]), gzip(&inner[600..])].concat();
    assert!(inspect_bytes("a.tar.gz", &split).is_model);
}

#[test]
fn large_entries_of_a_stream_are_read_wherever_a_parser_goes() {
    let large = tar(&[file("model_weights.distcp", &vec![1; 3 << 20]), file("model_config.yaml", b"name: x\n")]);
    let inner = tar(&[file("m.nemo", &large), file("run.sh", b"#!/bin/sh\n")]);
    let outcome = inspect_bytes("a.tgz", &gzip(&inner));
    assert_eq!(rules(&outcome), ["executable-in-model-archive"], "{:?}", outcome.findings);
}

#[test]
fn the_inner_name_counts() {
    let outcome = inspect_bytes("model.pt.gz", &gzip(SEVEN));
    assert!(rules(&outcome).contains(&"archive-under-model-name"), "{:?}", outcome.findings);
}

#[test]
fn logs_and_damaged_logs_yield_nothing() {
    let log = gzip(&b"a line of a log\n".repeat(1000));
    assert_eq!(inspect_bytes("x.log.gz", &log).findings, []);
    assert_eq!(inspect_bytes("x.log.gz", &log[..log.len() - 9]).findings, []);
    assert_eq!(inspect_bytes("x.log.gz", &log[..12]).findings, []);
    assert_eq!(inspect_bytes("notes.txt", b"x^2 + y^2 = z^2").findings, []);
}

#[test]
fn a_large_stream_of_no_interest_is_not_unpacked() {
    let packed = gzip(&b"a line of a log\n".repeat(1 << 20));
    let limits = crate::Limits { expanded_bytes_max: 1 << 20, ..crate::Limits::default() };
    let input = crate::Input::bytes(packed);
    let outcome = crate::inspect(&input, "x.gz", &crate::Options { deep: false, limits }, &crate::NoContent);
    assert_eq!(outcome.findings, []);
}

#[test]
fn compressed_data_that_compresses_again_is_a_bomb() {
    let bomb = gzip(&gzip(&gzip(&vec![0; 10 << 20])));
    let outcome = inspect_bytes("a.gz", &bomb);
    assert_eq!((verdict(&outcome), rules(&outcome)), (Verdict::Suspicious, vec!["archive-bomb"]));
    let honest = gzip(&gzip(&b"a line of a log\n".repeat(1000)));
    assert_eq!(inspect_bytes("a.gz.gz", &honest).findings, []);
}

#[test]
fn git_objects_are_left_alone() {
    let object = zlib(b"blob 5\0hello");
    assert_eq!(inspect_bytes("0123456789abcdef0123456789abcdef012345", &object).format, None);
    assert_eq!(inspect_bytes("object.z", &object).format, Some("zlib"));
}

#[test]
fn model_names_over_broken_streams_are_unknown() {
    let mut packed = gzip(&[1; 100]);
    packed.truncate(11);
    packed[10] = 0xff;
    let outcome = inspect_bytes("model.pkl", &packed);
    assert_eq!(verdict(&outcome), Verdict::Unknown);
}

#[test]
fn damage_is_survived() {
    let inner = tar(&[file("m.nemo", &model()), file("run.sh", b"#!/bin/sh\n")]);
    for packed in [gzip(&inner), bzip2(&inner), lz4(&inner), zlib(&inner)] {
        survives_damage("a.tar.gz", &packed);
        survives_damage("model.pt", &packed);
    }
    survives_damage("a.xz", b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4\x46\x02\0\x21\x01\x16\0\0\0\x74\x2f\xe5\xa3\x01\0\x04hello");
    survives_damage("a.lzma", b"\x5d\0\0\x80\0\xff\xff\xff\xff\xff\xff\xff\xff\0\x34\x19\x49\xee\x8d\xe9");
    survives_damage("a.zst", b"\x28\xb5\x2f\xfd\x20\x05\x29\0\0hello");
}
