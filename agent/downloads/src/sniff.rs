//! What a file is by its first bytes, as far as that is certain at a glance.

/// Bytes that [`sniff`] needs at most.
pub const HEAD_BYTES: usize = 4096;
/// Largest safetensors header accepted by its library, bytes.
const SAFETENSORS_HEADER_BYTES_MAX: u64 = 100_000_000;

/// A kind of content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// Its name.
    pub name: &'static str,
    /// Whether files of this kind are models as a rule.
    pub model: bool,
}

/// What a look at the first bytes gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sniffed {
    /// Nothing is written there yet; look again.
    Empty,
    /// None that we know.
    Unknown,
    /// This one.
    Known(Format),
}

/// Fixed bytes at a fixed place: (place, bytes, name, model).
const MAGICS: &[(usize, &[u8], &str, bool)] = &[
    (0, b"GGUF", "gguf", true),
    (0, b"\x89HDF\r\n\x1a\n", "hdf5", true),
    (4, b"TFL3", "tflite", true),
    (0, b"LITERTLM", "litert-lm", true),
    (0, b"lmgg", "ggml", true),
    (0, b"tjgg", "ggml", true),
    (0, b"fmgg", "ggml", true),
    (0, b"\x93NUMPY", "numpy", false),
];

/// Compares `head`, the first bytes of a file, with what is known.
pub fn sniff(head: &[u8]) -> Sniffed {
    if head.iter().take(64).all(|&byte| byte == 0) {
        return Sniffed::Empty;
    }
    let known = |name, model| Sniffed::Known(Format { name, model });
    for &(at, magic, name, model) in MAGICS {
        if head.get(at..).is_some_and(|rest| rest.starts_with(magic)) {
            return known(name, model);
        }
    }
    if safetensors(head) {
        return known("safetensors", true);
    }
    if head.starts_with(b"PK\x03\x04") {
        return zip(head);
    }
    if pickle(head) {
        return known("pickle", true);
    }
    if onnx(head) {
        return known("onnx", true);
    }
    Sniffed::Unknown
}

/// A length, then a JSON object that starts with a name or ends at once.
fn safetensors(head: &[u8]) -> bool {
    let Some((length, json)) = head.split_first_chunk::<8>() else { return false };
    let length = u64::from_le_bytes(*length);
    let json = json.strip_prefix(b"{").unwrap_or_default();
    (2..=SAFETENSORS_HEADER_BYTES_MAX).contains(&length) && matches!(json.first(), Some(b'"' | b'}' | b' ' | b'\n'))
}

/// An archive, told apart by the name of its first member.
fn zip(head: &[u8]) -> Sniffed {
    let length = head.get(26..28).and_then(|l| l.try_into().ok()).map_or(0, u16::from_le_bytes);
    let name = head.get(30..).and_then(|rest| rest.get(..usize::from(length))).unwrap_or_default();
    let (name, model) = match name {
        _ if name.ends_with(b"/data.pkl") || name.ends_with(b"/.format_version") || name.ends_with(b"/byteorder") => {
            ("pytorch", true)
        }
        _ if name.ends_with(b".npy") => ("npz", true),
        b"metadata.json" => ("keras", true),
        _ => ("zip", false),
    };
    Sniffed::Known(Format { name, model })
}

/// `PROTO` of version 2 to 5, then an instruction that programs begin with.
fn pickle(head: &[u8]) -> bool {
    match *head {
        [0x80, 4 | 5, 0x95, ..] => true,
        [0x80, 2..=5, next, ..] => matches!(next, 0x8a | b'c' | b'}' | b']' | b'(' | b'X' | b'K' | b'J' | b'G' | b')'),
        _ => false,
    }
}

/// `ModelProto`: field 1 (`ir_version`), a small number, then a name in field
/// 2 (`producer_name`) and another field of the message behind it.
fn onnx(head: &[u8]) -> bool {
    let [0x08, 1..=30, 0x12, length @ 1..=64, rest @ ..] = head else { return false };
    let Some((name, next)) = rest.split_at_checked(usize::from(*length)) else { return false };
    name.iter().all(|byte| (0x20..0x7f).contains(byte))
        && matches!(next.first(), Some(0x1a | 0x22 | 0x28 | 0x32 | 0x3a | 0x42))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(head: &[u8]) -> &'static str {
        match sniff(head) {
            Sniffed::Empty => "empty",
            Sniffed::Unknown => "unknown",
            Sniffed::Known(format) => format.name,
        }
    }

    #[test]
    fn knows_the_formats_by_their_first_bytes() {
        let zip = |member: &str| {
            let mut head = b"PK\x03\x04".to_vec();
            head.resize(26, 0);
            head.extend(u16::try_from(member.len()).unwrap().to_le_bytes());
            head.extend([0, 0]);
            head.extend(member.as_bytes());
            name(&head)
        };
        assert_eq!(name(b"GGUF\x03\0\0\0"), "gguf");
        assert_eq!(name(b"\x40\0\0\0\0\0\0\0{\"a\":"), "safetensors");
        assert_eq!(name(b"\x1c\0\0\0TFL3"), "tflite");
        assert_eq!(name(b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."), "pickle");
        assert_eq!(name(b"\x08\x07\x12\x07pytorch\x1a\x03"), "onnx");
        assert_eq!(zip("archive/data.pkl"), "pytorch");
        assert_eq!(zip("word/document.xml"), "zip");
    }

    #[test]
    fn bytes_not_yet_written_are_no_answer() {
        assert_eq!(sniff(&[]), Sniffed::Empty);
        assert_eq!(sniff(&[0; 4096]), Sniffed::Empty);
    }

    #[test]
    fn other_files_are_unknown() {
        for head in [&b"\x7fELF\x02\x01\x01"[..], b"{\"a\": 1}        ", b"\x08\x07\x12\x07py\0orch\x1a", b"\x80\x02zz"]
        {
            assert_eq!(sniff(head), Sniffed::Unknown, "{head:?}");
        }
        // A length beyond what the format allows.
        assert_eq!(sniff(b"\0\0\0\0\0\0\0\x01{\"a\""), Sniffed::Unknown);
    }

    #[test]
    fn every_cut_is_survived() {
        for whole in
            [&b"\x40\0\0\0\0\0\0\0{\"a\":"[..], b"PK\x03\x04aaaaaaaaaaaaaaaaaaaaaa\xff\xff", b"\x08\x07\x12\x40p"]
        {
            for cut in 0..=whole.len() {
                let _ = sniff(&whole[..cut]);
            }
        }
    }
}
