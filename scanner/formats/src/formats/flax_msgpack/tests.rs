#![expect(clippy::cast_possible_truncation, reason = "samples are small")]

use weighbridge_types::Verdict;

use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};

const PICKLE: &[u8] = b"\x80\x02cposix\nsystem\n(X\x02\x00\x00\x00lstR.";

fn extension(kind: u8, content: &[u8]) -> Vec<u8> {
    [&[0xc7, content.len() as u8, kind], content].concat()
}

fn array(extent: u8, dtype: &str, data: &[u8]) -> Vec<u8> {
    let name = [&[0xa0 | dtype.len() as u8], dtype.as_bytes()].concat();
    extension(1, &[&[0x93, 0x91, extent], name.as_slice(), &[0xc4, data.len() as u8], data].concat())
}

fn tree(value: &[u8]) -> Vec<u8> {
    [b"\x81\xa6params\x81\xa1w", value].concat()
}

#[test]
fn a_checkpoint_is_counted() {
    let outcome = inspect_bytes("x", &tree(&array(2, "float32", &[0; 8])));
    assert_eq!((outcome.format, verdict(&outcome)), (Some("flax-msgpack"), Verdict::Clean));
    assert_eq!(outcome.metadata["parameters"], 2);
}

#[test]
fn arrays_of_objects_are_malicious() {
    let outcome = inspect_bytes("x", &tree(&array(1, "object", PICKLE)));
    assert!(rules(&outcome).contains(&"flax-object-array"));
}

#[test]
fn what_no_writer_makes_is_suspicious() {
    for (content, rule) in [
        (tree(&array(3, "float32", &[0; 8])), "flax-size-mismatch"),
        (tree(&extension(1, b"\x01")), "flax-bad-array"),
        (tree(&extension(42, b"\x01")), "flax-unknown-extension"),
        (b"\x81\xa6params\x82\xa1a\x01\xa1a\x02".to_vec(), "flax-duplicate-key"),
        ([tree(b"\x01"), vec![1]].concat(), "flax-trailing-bytes"),
    ] {
        assert!(rules(&inspect_bytes("flax_model.msgpack", &content)).contains(&rule), "{rule}");
    }
}

#[test]
fn keys_of_sister_maps_do_not_collide() {
    let content = b"\x81\xa6params\x82\xa1a\x81\xa1k\x01\xa1b\x81\xa1k\x02";
    assert_eq!(verdict(&inspect_bytes("x.msgpack", content)), Verdict::Clean);
}

#[test]
fn other_maps_are_not_taken_for_checkpoints() {
    assert_eq!(inspect_bytes("x", b"\x82\xa4name\xa1x\xa5model\x01").format, None);
}

#[test]
fn survives() {
    survives_damage("x.msgpack", &tree(&array(2, "float32", &[0; 8])));
}
