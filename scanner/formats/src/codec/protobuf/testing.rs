//! Messages written by hand, for the tests of the formats in them.

/// A varint.
pub fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value > 0x7f {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

/// A varint field.
pub fn int(number: u64, value: i64) -> Vec<u8> {
    [varint(number << 3), varint(value as u64)].concat()
}

/// A length-delimited field.
pub fn bytes(number: u64, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    [varint(number << 3 | 2), varint(body.len() as u64), body.to_vec()].concat()
}

/// A length-delimited field whose body is these fields.
pub fn message(number: u64, fields: &[Vec<u8>]) -> Vec<u8> {
    bytes(number, fields.concat())
}
