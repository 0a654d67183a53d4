//! JSON as Python reads it, which is more than RFC 8259 allows: `NaN`,
//! `Infinity`, lone surrogates, UTF-16 and UTF-32. A document that only Python
//! can read must not escape inspection, and honest ones hold `Infinity` too.

use std::borrow::Cow;

/// The text as UTF-8 (`json.detect_encoding`).
pub(super) fn utf8(bytes: &[u8]) -> Cow<'_, [u8]> {
    let wide = |width: usize, big_endian: bool| {
        let units = bytes.chunks_exact(width).map(|unit| {
            let fold = |n: u32, b: &u8| n << 8 | u32::from(*b);
            if big_endian { unit.iter().fold(0, fold) } else { unit.iter().rev().fold(0, fold) }
        });
        let text: String = if width == 2 {
            let units = units.map(|u| u16::try_from(u).unwrap_or(0xfffd));
            char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        } else {
            units.map(|u| char::from_u32(u).unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        };
        Cow::Owned(text.trim_start_matches('\u{feff}').as_bytes().to_vec())
    };
    match bytes {
        [0, 0, 0xfe, 0xff, ..] | [0, 0, 0, 1..=0xff, ..] => wide(4, true),
        [0xff, 0xfe, 0, 0, ..] | [1..=0xff, 0, 0, 0, ..] => wide(4, false),
        [0xfe, 0xff, ..] | [0, 1..=0xff, ..] => wide(2, true),
        [0xff, 0xfe, ..] | [1..=0xff, 0, ..] => wide(2, false),
        _ => Cow::Borrowed(bytes),
    }
}

/// `text` with Python's extensions replaced by what RFC 8259 allows: zero
/// for the numbers, U+FFFD for lone surrogates. Offsets stay as they are.
pub(super) fn strict(text: &[u8]) -> Vec<u8> {
    let mut out = text.to_vec();
    let mut at = 0;
    let mut in_string = false;
    while let Some(byte) = out.get(at).copied() {
        let rest = out.get(at..).unwrap_or_default();
        let replacement: &[u8] = match byte {
            b'"' => {
                in_string = !in_string;
                at += 1;
                continue;
            }
            b'\\' if in_string => match surrogate(rest) {
                Some(Pair::Both) => {
                    at += 12;
                    continue;
                }
                Some(Pair::Lone) => b"\\ufffd",
                None => {
                    at += 2;
                    continue;
                }
            },
            b'N' if !in_string && rest.starts_with(b"NaN") => b"0  ",
            b'I' if !in_string && rest.starts_with(b"Infinity") => b"0       ",
            b'-' if !in_string && rest.starts_with(b"-Infinity") => b"0        ",
            _ => {
                at += 1;
                continue;
            }
        };
        if let Some(place) = out.get_mut(at..at + replacement.len()) {
            place.copy_from_slice(replacement);
        }
        at += replacement.len();
    }
    out
}

enum Pair {
    Both,
    Lone,
}

/// What surrogate escape `text` starts with, if any.
fn surrogate(text: &[u8]) -> Option<Pair> {
    let unit = |at: usize| {
        let escape = text.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u16::from_str_radix(std::str::from_utf8(escape).ok()?, 16).ok()
    };
    match unit(0)? {
        0xd800..=0xdbff if matches!(unit(6), Some(0xdc00..=0xdfff)) => Some(Pair::Both),
        0xd800..=0xdfff => Some(Pair::Lone),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::codec::json::parse_bytes as parse;

    #[test]
    fn reads_what_python_reads() {
        let document = parse(br#"{"a": NaN, "b": [-Infinity, Infinity], "c": "NaN \ud800 \ud83d\ude00 \\u"}"#).unwrap();
        assert_eq!(document.value["c"], "NaN \u{fffd} \u{1f600} \\u");
        let wide: Vec<u8> = "{\"a\": \"ä\"}".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(parse(&wide).unwrap().value["a"], "ä");
        let marked: Vec<u8> = "\u{feff}{\"a\": 1}".encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(parse(&marked).unwrap().value["a"], 1);
        let wider: Vec<u8> = "{\"a\": 1}".chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
        assert_eq!(parse(&wider).unwrap().value["a"], 1);
    }

    #[test]
    fn refuses_what_python_refuses() {
        for bytes in [&b"{"[..], b"{a: 1}", b"\"\\ud8", b"NaNs", b"", b"\0\0"] {
            assert!(parse(bytes).is_err(), "{bytes:?}");
        }
    }
}
