//! Signatures strict enough that weights do not have them by chance.

use crate::core::Input;

/// Bytes wanted of a tensor's start.
pub const HEAD_BYTES: usize = 64;

/// The kind of program that starts here.
#[must_use]
pub fn program(head: &[u8], content: &Input) -> Option<&'static str> {
    if let [0x7f, b'E', b'L', b'F', 1 | 2, 1 | 2, 1, ..] = head {
        return Some("an ELF program");
    }
    if head.starts_with(b"MZ")
        && let Some(at) = head.get(60..).and_then(|h| h.first_chunk()).map(|h| u32::from_le_bytes(*h))
        && (0x40..0x1000).contains(&at)
        && content.read_vec(at.into(), 4).is_ok_and(|s| s == b"PE\0\0")
    {
        return Some("a Windows program");
    }
    // Magic, then one of the CPUs x86, ARM and their 64-bit kin.
    if let [0xce | 0xcf, 0xfa, 0xed, 0xfe, 7 | 12, 0, 0, 0 | 1, ..] = head {
        return Some("a macOS program");
    }
    if head.starts_with(b"#!/bin/") || head.starts_with(b"#!/usr/bin/") {
        return Some("a script");
    }
    None
}

/// The kind of archive or pickle that starts here.
#[must_use]
pub fn archive(head: &[u8], len: u64) -> Option<&'static str> {
    match head {
        // Local file header: version at most 6.3, a common method, a name.
        [b'P', b'K', 3, 4, 0..=63, 0..=3, _, _, 0 | 8, 0, ..] => {
            let name = head.get(26..28).and_then(|n| n.first_chunk()).map(|n| u16::from_le_bytes(*n));
            let text = name.and_then(|n| head.get(30..30 + usize::from(n)));
            text.is_some_and(|t| !t.is_empty() && t.iter().all(|b| (0x20..0x7f).contains(b))).then_some("a ZIP archive")
        }
        [b'7', b'z', 0xbc, 0xaf, 0x27, 0x1c, 0, 0..=4, ..] => Some("a 7z archive"),
        [0x1f, 0x8b, 8, 0..=31, _, _, _, _, 0 | 2 | 4, 0..=13 | 255, ..] => Some("gzip data"),
        [0xfd, b'7', b'z', b'X', b'Z', 0, 0, 0 | 1 | 4 | 10, ..] => Some("xz data"),
        [0x80, 4 | 5, 0x95, rest @ ..] => {
            let frame = rest.first_chunk().map(|f| u64::from_le_bytes(*f));
            frame.is_some_and(|f| f > 0 && f < len).then_some("a pickle")
        }
        [0x80, 2 | 3, b'c', rest @ ..] => {
            let line = rest.iter().take(80).position(|b| *b == b'\n');
            let module = line.and_then(|n| rest.get(..n));
            module
                .is_some_and(|m| !m.is_empty() && m.iter().all(|b| b.is_ascii_alphanumeric() || b"._".contains(b)))
                .then_some("a pickle")
        }
        _ => None,
    }
}
