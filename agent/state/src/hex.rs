//! Bytes as lower-case hexadecimal digits.

use std::fmt::Write;

pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Exactly `N` bytes as [`encode`] writes them; nothing for any other text.
pub(crate) fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    if Some(text.len()) != N.checked_mul(2) || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_and_refuses_other_lengths() {
        assert_eq!(decode(&encode(&[0, 0xa5, 0xff])), Some([0, 0xa5, 0xff]));
        assert_eq!(decode::<2>("a5"), None);
        assert_eq!(decode::<1>("g0"), None);
        assert_eq!(decode::<1>("A5"), None);
        assert_eq!(decode::<1>("é"), None);
    }
}
