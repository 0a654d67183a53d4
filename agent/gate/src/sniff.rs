//! Whether a file could be a model, by its first bytes.

/// Bytes looked at.
pub const HEAD_BYTES: usize = 64;
/// From here on every file is asked about, whatever its first bytes.
pub const SIZE_BYTES_MIN: u64 = 1 << 20;
/// Longest safetensors header there is, bytes (safetensors, `MAX_HEADER_SIZE`).
const SAFETENSORS_HEADER_MAX: u64 = 100_000_000;

/// Whether a file with these first bytes could be a model. Errs towards yes: a
/// question costs microseconds.
pub fn is_candidate(head: &[u8]) -> bool {
    MAGIC.iter().any(|magic| head.starts_with(magic))
        || head.get(4..8) == Some(b"TFL3")
        || safetensors(head)
        || pickle(head)
        || onnx(head)
}

const MAGIC: &[&[u8]] = &[
    b"GGUF",
    // Its ancestors, little-endian.
    b"tjgg",
    b"lmgg",
    b"fmgg",
    b"algg",
    // Archives of PyTorch, Keras and NumPy, also empty and spanned ones.
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"PK\x07\x08",
    b"\x89HDF\r\n\x1a\n",
    // Arrays of objects are pickles.
    b"\x93NUMPY",
];

/// Length of the header, little-endian, then JSON.
fn safetensors(head: &[u8]) -> bool {
    let Some((length, json)) = head.split_first_chunk::<8>() else { return false };
    (2..=SAFETENSORS_HEADER_MAX).contains(&u64::from_le_bytes(*length)) && json.first() == Some(&b'{')
}

/// Protocol 2 and later say so. Earlier ones are text: what their first
/// opcode can be, followed by what can follow it (pickletools).
fn pickle(head: &[u8]) -> bool {
    match head {
        [0x80, 2..=5, ..] => true,
        // MARK, then what goes into a list, tuple or dictionary.
        [b'(', next, ..] => b"(lditcSVIFLUXKJMNG]})".contains(next),
        [b']' | b'}' | b')', next, ..] => b"q(.p".contains(next),
        // GLOBAL and INST: two lines that are dotted names.
        [b'c' | b'i', rest @ ..] => global(rest),
        _ => false,
    }
}

fn global(rest: &[u8]) -> bool {
    let mut lines = rest.split(|b| *b == b'\n');
    let named = |line: Option<&[u8]>| {
        line.is_some_and(|l| !l.is_empty() && l.iter().all(|b| b.is_ascii_alphanumeric() || b"._".contains(b)))
    };
    named(lines.next()) && named(lines.next())
}

/// `ir_version`, a small number, first, then another field of `ModelProto`.
fn onnx(head: &[u8]) -> bool {
    matches!(head, [0x08, 1..=0x20, 0x12 | 0x1a | 0x22 | 0x28 | 0x32 | 0x3a | 0x42, ..])
}

#[cfg(test)]
mod tests {
    use super::is_candidate;

    #[test]
    fn small_models_of_each_format_are_candidates() {
        for head in [
            &b"GGUF\x03\0\0\0"[..],
            b"PK\x03\x04\x14\0",
            b"\x89HDF\r\n\x1a\n\0",
            b"\x20\0\0\0\0\0\0\0{\"__metadata__\"",
            b"\x80\x04\x95\x10",
            b"\x80\x02}q\0.",
            b"cos\nsystem\n(S'id'\ntR.",
            b"(lp0\n.",
            b"(dp0\n.",
            b"\x08\x08\x12\x07pytorch",
            b"\x1c\0\0\0TFL3\x14\0",
            b"\x93NUMPY\x01\0",
        ] {
            assert!(is_candidate(head), "{head:?}");
        }
    }

    #[test]
    fn everyday_files_are_not() {
        for head in [
            &b""[..],
            b"#!/bin/sh\necho",
            b"\x7fELF\x02\x01\x01",
            b"{\"name\": 1}",
            b"import os\n",
            b"class A:\n  pass\n",
            b"const x = 1;\n",
            b"int main(void)\n{",
            b"\x89PNG\r\n\x1a\n",
            b"%PDF-1.7",
            b"<html>",
            b"(function() {",
            b"\x1f\x8b\x08",
            b"[section]\n",
        ] {
            assert!(!is_candidate(head), "{head:?}");
        }
    }
}
