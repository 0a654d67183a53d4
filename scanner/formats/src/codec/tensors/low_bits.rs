//! Payloads in the mantissas of 32-bit floats (EvilModel, arXiv 2107.08590;
//! MaleficNet, ESORICS 2022).
//!
//! The low bits of trained weights look like noise, or are all zero where the
//! weights came from 16 bits. Text or a program's signature is neither.

/// Bytes that a text must have to be one.
const TEXT_BYTES_MIN: usize = 256;
/// Share of printable bytes in text, percent; noise has 37.
const PRINTABLE_PERCENT_MIN: usize = 95;
/// Distinct bytes that text has; patterns of few values have fewer.
const DISTINCT_MIN: usize = 16;

/// What the low bits of `bytes` spell, if anything.
#[must_use]
pub fn hidden(bytes: &[u8], big_endian: bool) -> Option<String> {
    let floats: Vec<[u8; 4]> = bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|f| if big_endian { u32::from_be_bytes(*f).to_le_bytes() } else { *f })
        .collect();
    let low = |f: &[u8; 4]| f.first().copied().unwrap_or(0);
    let lowest_bits = |msb_first: bool| -> Vec<u8> {
        floats
            .as_chunks::<8>()
            .0
            .iter()
            .map(|group| {
                group
                    .iter()
                    .enumerate()
                    .fold(0u8, |byte, (n, f)| byte | (low(f) & 1) << if msb_first { 7 - n } else { n })
            })
            .collect()
    };
    let streams: [(&str, Vec<u8>); 6] = [
        ("lowest bits", lowest_bits(true)),
        ("lowest bits, reversed", lowest_bits(false)),
        ("lowest bytes", floats.iter().map(low).collect()),
        ("two lowest bytes", floats.iter().flat_map(|f| f.iter().take(2).copied()).collect()),
        ("three lowest bytes", floats.iter().flat_map(|f| f.iter().take(3).copied()).collect()),
        ("three lowest bytes, reversed", floats.iter().flat_map(|f| f.iter().take(3).rev().copied()).collect()),
    ];
    streams.iter().find_map(|(place, stream)| {
        let kind = signature(stream).or_else(|| is_text(stream).then_some("text"))?;
        let shown = String::from_utf8_lossy(stream.get(..48).unwrap_or(stream)).into_owned();
        Some(format!("its {place} hold {kind}: `{shown}`"))
    })
}

fn signature(stream: &[u8]) -> Option<&'static str> {
    match stream {
        [0x7f, b'E', b'L', b'F', 1 | 2, 1 | 2, 1, ..] => Some("an ELF program"),
        [b'P', b'K', 3, 4, 0..=63, 0, _, _, 0 | 8, 0, ..] => Some("a ZIP archive"),
        [b'7', b'z', 0xbc, 0xaf, 0x27, 0x1c, ..] => Some("a 7z archive"),
        [b'#', b'!', b'/', b'b' | b'u', b'i' | b's', b'n' | b'r', ..] => Some("a script"),
        _ if stream.starts_with(b"MZ\x90\0\x03\0\0\0") => Some("a Windows program"),
        _ => None,
    }
}

/// Whether `stream` starts with text of some length. Elements that repeat a
/// few values have few distinct bytes and are not text.
fn is_text(stream: &[u8]) -> bool {
    let Some(start) = stream.get(..TEXT_BYTES_MIN) else { return false };
    let printable = start.iter().filter(|b| matches!(b, b'\t' | b'\n' | b'\r' | 0x20..0x7f)).count();
    let mut seen = [false; 256];
    for byte in start {
        if let Some(slot) = seen.get_mut(usize::from(*byte)) {
            *slot = true;
        }
    }
    let distinct = seen.iter().filter(|s| **s).count();
    let letters = start.iter().filter(|b| b.is_ascii_alphabetic() || **b == b' ').count();
    printable * 100 >= TEXT_BYTES_MIN * PRINTABLE_PERCENT_MIN
        && distinct >= DISTINCT_MIN
        && letters * 2 >= TEXT_BYTES_MIN
}
