//! Bytes inside a configuration or an attribute: pickles, archives, programs
//! and marshalled code, as base64 or plain.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use crate::codec::marshal;
use crate::core::{Input, Inspection};

/// Shortest base64 text worth decoding, bytes: less holds no code object.
const ENCODED_BYTES_MIN: usize = 32;
/// First bytes of content that does not belong in a configuration.
const SIGNATURES: &[&[u8]] = &[
    b"PK\x03\x04",
    b"\x7fELF",
    b"MZ\x90",
    b"\x1f\x8b\x08",
    b"BZh9",
    b"\xfd7zXZ\0",
    b"7z\xbc\xaf\x27\x1c",
    b"\x89HDF\r\n\x1a\n",
    b"\xcf\xfa\xed\xfe",
    b"#!/",
];

/// Base64 as Python's `binascii` takes it: padding or not, odd last bits.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Decodes base64 as `codecs.decode(text, "base64")` does: characters outside
/// the alphabet are skipped, padding ends the text.
pub(super) fn decoded(text: &str) -> Vec<u8> {
    let is_alphabet = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    let mut kept = Vec::with_capacity(text.len());
    for byte in text.bytes() {
        if byte == b'=' && kept.len() % 4 >= 2 {
            break;
        }
        if is_alphabet(&byte) {
            kept.push(byte);
        }
    }
    if kept.len() % 4 == 1 {
        kept.pop();
    }
    LENIENT.decode(&kept).unwrap_or_default()
}

/// Looks for content inside `text`: base64 of something with a signature.
/// Returns whether there was any.
pub(super) fn inspect_text(ctx: &mut Inspection<'_>, text: &str, place: &str) -> bool {
    if text.len() < ENCODED_BYTES_MIN || !looks_encoded(text) {
        return false;
    }
    let standard: Cow<'_, str> =
        if text.contains(['-', '_']) { text.replace('-', "+").replace('_', "/").into() } else { text.into() };
    inspect_blob(ctx, &decoded(&standard), place)
}

/// Inspects `bytes` found in `place` if they are something that has no place
/// there. Returns whether they are.
pub(in crate::formats) fn inspect_blob(ctx: &mut Inspection<'_>, bytes: &[u8], place: &str) -> bool {
    if is_pickle(bytes) || SIGNATURES.iter().any(|signature| bytes.starts_with(signature)) {
        ctx.child(place, &Input::bytes(bytes.to_vec()));
        return true;
    }
    matches!(bytes.first(), Some(b'c' | 0xe3)) && marshal::inspect(ctx, bytes, place)
}

/// A pickle of protocol 2 on, or one of the older protocols that looks like
/// nothing else: it ends with STOP and names a global or opens a mark.
fn is_pickle(bytes: &[u8]) -> bool {
    match bytes {
        [0x80, 2..=5, .., b'.'] => true,
        [b'c' | b'(' | b']' | b'}', .., b'.'] => bytes.contains(&b'\n') && bytes.len() >= 8,
        _ => false,
    }
}

/// Whether the start of `text` is nothing but base64, line breaks included.
fn looks_encoded(text: &str) -> bool {
    text.bytes()
        .take(256)
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'-' | b'_' | b'=' | b'\n' | b'\r'))
}

/// Encodes for tests and evidence.
#[cfg(test)]
pub(super) fn encoded(bytes: &[u8]) -> String {
    LENIENT.encode(bytes)
}
