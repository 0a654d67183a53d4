//! Nodes written by hand, for tests.

use crate::codec::protobuf::testing::{bytes, int, message};

/// A `NodeDef`.
pub fn node(name: &str, op: &str, inputs: &[&str], attributes: &[Vec<u8>]) -> Vec<u8> {
    let inputs: Vec<_> = inputs.iter().map(|i| bytes(3, i)).collect();
    [bytes(1, name), bytes(2, op), inputs.concat(), attributes.concat()].concat()
}

/// An entry of `NodeDef.attr`.
pub fn attribute(key: &str, value: Vec<u8>) -> Vec<u8> {
    message(5, &[bytes(1, key), bytes(2, value)])
}

/// A `Const` node with one text.
pub fn text_constant(name: &str, text: impl AsRef<[u8]>) -> Vec<u8> {
    let tensor = [int(1, 7), bytes(2, ""), bytes(8, text)].concat();
    node(name, "Const", &[], &[attribute("value", bytes(8, tensor))])
}
