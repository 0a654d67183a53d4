//! Constants that are pickles themselves, plain or encoded: data until some
//! code loads them, which is why somebody put them there.

use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::codec::stream::{self, InputReader};
use crate::core::{FormatError, Input, Inspection};
use crate::formats::pickle::{fold, sniff, streams};

/// Shortest constant looked into, bytes: `cos\nsystem\n(tR.`
const PAYLOAD_BYTES_MIN: u64 = 8;
/// Longest encoded constant decoded, bytes.
const ENCODED_BYTES_MAX: usize = 4 << 20;
/// Bytes decoded to tell whether it is a pickle.
const PROBE_BYTES: usize = 4096;

/// How a constant is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Not at all; protocol 2 or later.
    Plain,
    /// Not at all; protocol 0, which arrays of letters may resemble.
    Lines,
    /// A ZIP archive, as PyTorch writes.
    Zip,
    /// Bytes as Latin-1 text.
    Latin1,
    /// Base64.
    Base64,
    /// Hexadecimal digits.
    Hex,
    /// zlib stream.
    Zlib,
    /// gzip file.
    Gzip,
    /// bzip2 file.
    Bzip2,
}

/// A constant that may be a pickle.
#[derive(Debug, Clone, Copy)]
pub struct Payload {
    /// Offset of its opcode.
    pub at: u64,
    /// Where its bytes start.
    pub start: u64,
    /// How many there are.
    pub len: u64,
    /// How it is encoded, by its first bytes.
    pub kind: Kind,
}

/// What a constant that starts with `head` may be. `is_text` leaves out plain
/// protocol 0: text that speaks of pickles looks the same.
#[must_use]
pub fn kind(head: &[u8], len: u64, is_text: bool) -> Option<Kind> {
    if len < PAYLOAD_BYTES_MIN {
        return None;
    }
    match head {
        [0x80, 2..=5, ..] => Some(Kind::Plain),
        [0xc2, 0x80, 2..=5, ..] => Some(Kind::Latin1),
        [b'c' | b'(', ..] if !is_text && names_global(head) => Some(Kind::Lines),
        [b'P', b'K', 3, 4, ..] if !is_text && len >= 64 => Some(Kind::Zip),
        [b'g', b'A', b'I'..=b'X', ..] if is_base64(head) => Some(Kind::Base64),
        [b'e', b'A' | b'F' | b'J' | b'N', ..] | [b'H', b'4', b's', b'I', ..] | [b'Q', b'l', b'p', b'o', ..]
            if len >= 24 && is_base64(head) =>
        {
            Some(Kind::Base64)
        }
        [b'Y', b'w'..=b'z' | b'0'..=b'9', ..] if is_base64(head) => {
            let decoded = STANDARD.decode(head.get(..head.len() / 4 * 4)?).ok()?;
            names_global(&decoded).then_some(Kind::Base64)
        }
        [b'8', b'0', b'0', b'2'..=b'5', ..] => fold::unhexed(head.get(..head.len() / 2 * 2)?).map(|_| Kind::Hex),
        [b'6', b'3', ..] => names_global(&fold::unhexed(head.get(..head.len() / 2 * 2)?)?).then_some(Kind::Hex),
        [0x78, 0x01 | 0x5e | 0x9c | 0xda, ..] => Some(Kind::Zlib),
        [0x1f, 0x8b, 8, ..] => Some(Kind::Gzip),
        [b'B', b'Z', b'h', b'1'..=b'9', b'1', b'A', b'Y', ..] => Some(Kind::Bzip2),
        _ => None,
    }
}

/// Whether a constant given to a function that loads pickles is one.
///
/// # Errors
/// As [`inspect`].
pub fn inspect_loaded(ctx: &mut Inspection<'_>, content: &Input, at: u64) -> Result<(), FormatError> {
    inspect_pickle(ctx, content, at)
}

/// Inspects a constant if it is a pickle.
///
/// # Errors
/// [`FormatError::Limit`] when budgets are spent.
pub fn inspect(ctx: &mut Inspection<'_>, input: &Input, payload: &Payload) -> Result<(), FormatError> {
    let Some(raw) = input.slice(payload.start, payload.len) else { return Ok(()) };
    if payload.kind == Kind::Zip {
        ctx.child(&format!("constant at {}", payload.at), &raw);
        return Ok(());
    }
    let Some(content) = content(ctx, &raw, payload.kind)? else { return Ok(()) };
    let head = content.head(PROBE_BYTES).unwrap_or_default();
    if !sniff::is_convincing(&head, content.len()) {
        return unpacked_again(ctx, &content, &head, payload);
    }
    inspect_pickle(ctx, &content, payload.at)
}

fn inspect_pickle(ctx: &mut Inspection<'_>, content: &Input, at: u64) -> Result<(), FormatError> {
    let limits = ctx.options().limits;
    if ctx.depth() >= limits.depth_max {
        return Err(FormatError::limit("depth_max", limits.depth_max.into()));
    }
    let name = format!("constant at {at}");
    ctx.within(&name, content, |inner, content| {
        if let Err(error) = streams::inspect_all(inner, content) {
            inner.stopped(&error);
        }
    });
    Ok(())
}

/// Base64 of compressed bytes.
fn unpacked_again(
    ctx: &mut Inspection<'_>,
    content: &Input,
    head: &[u8],
    payload: &Payload,
) -> Result<(), FormatError> {
    if payload.kind != Kind::Base64 {
        return Ok(());
    }
    let Some(again @ (Kind::Zlib | Kind::Gzip | Kind::Bzip2)) = kind(head, content.len(), false) else { return Ok(()) };
    let Some(inner) = self::content(ctx, content, again)? else { return Ok(()) };
    let head = inner.head(PROBE_BYTES).unwrap_or_default();
    if sniff::is_convincing(&head, inner.len()) {
        inspect_pickle(ctx, &inner, payload.at)?;
    }
    Ok(())
}

/// The decoded constant; of a compressed one only if it begins like a pickle.
fn content(ctx: &mut Inspection<'_>, raw: &Input, kind: Kind) -> Result<Option<Input>, FormatError> {
    let all = || raw.read_vec(0, ENCODED_BYTES_MAX).unwrap_or_default();
    Ok(match kind {
        Kind::Plain | Kind::Lines | Kind::Zip => Some(raw.clone()),
        Kind::Latin1 => Some(Input::bytes(fold::latin1(&all()))),
        Kind::Base64 => {
            let text: Vec<u8> = all().into_iter().filter(|b| !b.is_ascii_whitespace()).collect();
            let whole = text.get(..text.len() / 4 * 4).unwrap_or_default();
            STANDARD.decode(whole).ok().map(Input::bytes)
        }
        Kind::Hex => fold::unhexed(&all()).map(Input::bytes),
        Kind::Zlib | Kind::Gzip | Kind::Bzip2 => {
            let packed = raw.clone();
            let open = move || -> Box<dyn Read> {
                let bytes = InputReader::buffered(packed.clone());
                match kind {
                    Kind::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(bytes)),
                    Kind::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(bytes)),
                    _ => Box::new(flate2::bufread::ZlibDecoder::new(bytes)),
                }
            };
            let mut probe = Vec::new();
            let _ = open().take(PROBE_BYTES as u64).read_to_end(&mut probe);
            if !sniff::is_convincing(&probe, PROBE_BYTES as u64 + probe.len() as u64)
                && !sniff::is_convincing(&probe, probe.len() as u64)
            {
                return Ok(None);
            }
            Some(stream::unpack(ctx, open)?.0)
        }
    })
}

/// `c`, a dotted name, a newline; or a MARK before that.
fn names_global(head: &[u8]) -> bool {
    let bare = head.strip_prefix(b"(").unwrap_or(head);
    let Some(rest) = bare.strip_prefix(b"c").or_else(|| bare.strip_prefix(b"i")) else { return false };
    let Some(end) = rest.iter().position(|b| *b == b'\n') else { return false };
    end > 0 && rest.iter().take(end).all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.'))
}

fn is_base64(head: &[u8]) -> bool {
    head.len() >= 12 && head.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=' | b'\n'))
}
