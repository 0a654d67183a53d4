use serde_json::json;
use weighbridge_types::Verdict;

use crate::core::testing::{inspect_bytes, rules, survives_damage, verdict};

fn params(names: u64) -> Vec<u8> {
    let mut out = [0x112u64, 0, 1].iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>();
    out.extend([0xf993_fac9u32, 0, 1].iter().flat_map(|v| v.to_le_bytes()));
    out.extend(2u64.to_le_bytes());
    out.extend([1u32, 0, 0].iter().flat_map(|v| v.to_le_bytes()));
    out.extend([0; 8]);
    out.extend(names.to_le_bytes());
    for _ in 0..names {
        out.extend(3u64.to_le_bytes());
        out.extend(b"a:w");
    }
    out
}

fn symbol(op: &str, attrs: serde_json::Value, input: u64) -> Vec<u8> {
    let nodes = json!([
        {"op": "null", "name": "x", "inputs": []},
        {"op": op, "name": "n", "attrs": attrs, "inputs": [[input, 0, 0]]}
    ]);
    let attrs = json!({"mxnet_version": ["int", 10901]});
    json!({"nodes": nodes, "arg_nodes": [0], "heads": [[1, 0, 0]], "attrs": attrs}).to_string().into_bytes()
}

#[test]
fn weights_are_counted() {
    let outcome = inspect_bytes("x", &params(1));
    assert_eq!((outcome.format, verdict(&outcome)), (Some("mxnet"), Verdict::Clean));
    assert_eq!(outcome.metadata["parameters"], 2);
}

#[test]
fn names_must_fit_the_arrays_and_end_the_file() {
    assert_eq!(rules(&inspect_bytes("x", &params(2))), ["mxnet-name-count"]);
    assert!(rules(&inspect_bytes("x", &[params(1), vec![1]].concat())).contains(&"mxnet-trailing-bytes"));
}

#[test]
fn counts_beyond_the_end_are_refused() {
    let mut content = params(1);
    content[16..24].copy_from_slice(&(1u64 << 62).to_le_bytes());
    assert_eq!(verdict(&inspect_bytes("x", &content)), Verdict::Unknown);
}

#[test]
fn graphs_are_judged_by_operators_and_attributes() {
    let outcome = inspect_bytes("m-symbol.json", &symbol("FullyConnected", json!({"num_hidden": "2"}), 0));
    assert_eq!((outcome.format, verdict(&outcome)), (Some("mxnet"), Verdict::Clean));
    assert_eq!(outcome.metadata["mxnet_version"], "1.9.1");
    let hit = |content: &[u8]| rules(&inspect_bytes("m-symbol.json", content)).first().map(|r| (*r).to_owned());
    assert_eq!(hit(&symbol("Custom", json!({"op_type": "x"}), 0)).as_deref(), Some("mxnet-python-operator"));
    assert_eq!(hit(&symbol("x", json!({"library": "/tmp/x.so"}), 0)).as_deref(), Some("mxnet-library-path"));
    assert_eq!(hit(&symbol("x", json!({}), 7)).as_deref(), Some("mxnet-index-out-of-range"));
}

#[test]
fn survives() {
    survives_damage("x.params", &params(1));
    survives_damage("m-symbol.json", &symbol("Custom", json!({"op_type": "x"}), 0));
}
