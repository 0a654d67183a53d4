//! Dead Simple Signing Envelope (DSSE protocol 1.0.2).

use std::fmt::Write;

/// What is signed: type and payload behind their lengths
/// (pre-authentication encoding).
#[must_use]
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut out = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    out.extend_from_slice(payload);
    out
}

/// What version 0.2 of the reference implementation signed instead: another
/// mark, and the payload as Python shows bytes.
#[must_use]
pub fn pae_legacy(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let quote = if payload.contains(&b'\'') && !payload.contains(&b'"') { '"' } else { '\'' };
    let mut out = format!("DSSEV1 {} {payload_type} {} b{quote}", payload_type.len(), payload.len());
    for byte in payload {
        match byte {
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            b if char::from(*b) == quote => {
                out.push('\\');
                out.push(quote);
            }
            0x20..=0x7e => out.push(char::from(*byte)),
            // Writing to a string cannot fail.
            _ => {
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
    }
    out.push(quote);
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_protocol() {
        assert_eq!(
            pae("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }

    #[test]
    fn legacy_payloads_look_as_python_shows_them() {
        assert_eq!(pae_legacy("t", b"a\"\n\x01'"), br#"DSSEV1 1 t 5 b'a"\n\x01\''"#);
    }
}
