use weighbridge_types::Verdict;

use crate::codec::protobuf::testing::{bytes, int, message, varint};
use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};

/// A block of entries without shared key parts.
fn block(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, value) in entries {
        out.extend(
            [vec![0], varint(key.len() as u64), varint(value.len() as u64), key.as_bytes().to_vec(), value.clone()]
                .concat(),
        );
    }
    out.extend([0, 0, 0, 0, 1, 0, 0, 0]);
    out
}

fn table(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let trailer = [0; 5];
    let data = block(entries);
    let index = block(&[("z", [varint(0), varint(data.len() as u64)].concat())]);
    let index_at = data.len() as u64 + 5;
    let mut footer = [varint(0), varint(0), varint(index_at), varint(index.len() as u64)].concat();
    footer.resize(40, 0);
    [data, trailer.to_vec(), index, trailer.to_vec(), footer, super::table::MAGIC.to_vec()].concat()
}

fn entry(shard: i64, offset: i64) -> Vec<u8> {
    [
        int(1, 1),
        message(2, &[message(2, &[int(1, 4)]), message(2, &[int(1, 3)])]),
        int(3, shard),
        int(4, offset),
        int(5, 48),
    ]
    .concat()
}

#[test]
fn tensors_and_shards_are_told() {
    let content = table(&[("", int(1, 2)), ("w", entry(1, 0))]);
    let outcome = inspect_bytes("model.ckpt.index", &content);
    assert_eq!(outcome.format, Some("tf-checkpoint"));
    assert_eq!(verdict(&outcome), Verdict::Clean, "{:?}", outcome.findings);
    assert_eq!(outcome.metadata["parameters"], 12);
    assert_eq!(outcome.metadata["tensors"][0], "w");
    assert_eq!(outcome.links[1].target, "model.ckpt.data-00001-of-00002");
}

#[test]
fn entries_that_lie_nowhere_are_suspicious() {
    for bad in [entry(2, 0), entry(0, -8), entry(0, 1 << 60)] {
        let content = table(&[("", int(1, 2)), ("w", bad)]);
        assert_eq!(rules(&inspect_bytes("m.index", &content)), ["tf-checkpoint-bad-range"]);
    }
}

#[test]
fn leveldb_tables_are_not_checkpoints() {
    let content = table(&[("key\x01\0\0\0\0\0\0\0", b"value".to_vec())]);
    assert_eq!(inspect_bytes("000005.ldb", &content).format, None);
}

#[test]
fn a_footer_alone_is_unknown() {
    let content = [vec![0; 40], super::table::MAGIC.to_vec()].concat();
    assert_eq!(verdict(&inspect_bytes("m.index", &content)), Verdict::Unknown);
}

#[test]
fn the_state_file_names_checkpoints() {
    let text = b"model_checkpoint_path: \"model-1\"\nall_model_checkpoint_paths: \"model-1\"\n";
    let outcome = inspect_bytes("checkpoint", text);
    assert_eq!(outcome.format, Some("tf-checkpoint"));
    assert_eq!(outcome.links[0].target, "model-1.index");
}

#[test]
fn survives() {
    survives_damage("m.index", &table(&[("", int(1, 1)), ("w", entry(0, 0)), ("x", bytes(7, "slice"))]));
}
