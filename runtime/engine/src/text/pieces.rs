//! Bytes of every token, so that text is put together without the tokenizer.

use std::borrow::Cow;

use serde_json::Value;
use tokenizers::Tokenizer;

use super::listed::Listed;

/// Longest token kept; a longer one says nothing.
const PIECE_BYTES_MAX: usize = 1024;

/// What happens to the very first token of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// Nothing.
    Plain,
    /// Up to so many spaces before it go (`Strip` after `Fuse`).
    Strip(usize),
    /// All replaced spaces in it go (`Metaspace`).
    Bare,
}

/// A table of bytes by token.
#[derive(Debug)]
pub(crate) struct Pieces {
    bytes: Vec<u8>,
    /// End of each piece in `bytes`.
    ends: Vec<u32>,
    special: Vec<bool>,
    longest: usize,
    start: Start,
}

enum Kind {
    /// GPT-2's table of characters for bytes.
    ByteLevel,
    /// Pieces of text with a sign for the space, and `<0xNN>` for bytes.
    Pieces { space: Option<String>, bytes: bool, start: Start },
}

impl Pieces {
    /// The table of the `tokenizer` in `file`, unless its decoder is one whose
    /// tokens have no bytes of their own (`WordPiece`).
    pub(super) fn read(tokenizer: &Tokenizer, file: &[u8], decoder: Option<&Value>, vocabulary: usize) -> Option<Self> {
        let kind = kind(decoder?)?;
        let start = match &kind {
            Kind::ByteLevel => Start::Plain,
            Kind::Pieces { start, .. } => *start,
        };
        let characters = byte_characters();
        let byte = |c: char| characters.get(c as usize).copied().flatten();
        let listed = Listed::read(file);
        let added = tokenizer.get_added_vocabulary().get_added_tokens_decoder();
        let count = u32::try_from(vocabulary).ok()?;
        let mut pieces = Self { bytes: Vec::new(), ends: Vec::new(), special: Vec::new(), longest: 0, start };
        for token in 0..count {
            let text = match (&listed, added.get(&token)) {
                (_, Some(added)) => Cow::Borrowed(added.content.as_str()),
                (Some(listed), None) => Cow::Borrowed(listed.get(token)),
                (None, None) => Cow::Owned(tokenizer.id_to_token(token).unwrap_or_default()),
            };
            let piece = match &kind {
                Kind::ByteLevel => text.chars().map(byte).collect::<Option<Vec<u8>>>(),
                Kind::Pieces { space, bytes, .. } => Some(decode_piece(&text, space.as_deref(), *bytes)),
            };
            let piece = piece.unwrap_or_else(|| text.into_owned().into_bytes());
            pieces.longest = pieces.longest.max(piece.len());
            if piece.len() <= PIECE_BYTES_MAX {
                pieces.bytes.extend_from_slice(&piece);
            }
            pieces.ends.push(u32::try_from(pieces.bytes.len()).ok()?);
            pieces.special.push(added.get(&token).is_some_and(|added| added.special));
        }
        pieces.bytes.shrink_to_fit();
        pieces.ends.shrink_to_fit();
        pieces.special.shrink_to_fit();
        Some(pieces)
    }

    pub(crate) fn bytes(&self, token: u32) -> &[u8] {
        let token = token as usize;
        let first = token.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied());
        let end = self.ends.get(token).copied();
        first.zip(end).and_then(|(first, end)| self.bytes.get(first as usize..end as usize)).unwrap_or(&[])
    }

    pub(crate) fn is_special(&self, token: u32) -> bool {
        self.special.get(token as usize).copied().unwrap_or(false)
    }

    /// Bytes of the longest token.
    pub(crate) fn longest(&self) -> usize {
        self.longest
    }

    pub(crate) fn start(&self) -> Start {
        self.start
    }
}

fn decode_piece(text: &str, space: Option<&str>, bytes: bool) -> Vec<u8> {
    if bytes && let Some(byte) = byte_token(text) {
        return vec![byte];
    }
    match space {
        Some(space) => text.replace(space, " ").into_bytes(),
        None => text.as_bytes().to_vec(),
    }
}

/// `<0xNN>`.
fn byte_token(text: &str) -> Option<u8> {
    let digits = text.strip_prefix("<0x")?.strip_suffix('>')?;
    if digits.len() == 2 { u8::from_str_radix(digits, 16).ok() } else { None }
}

fn kind(decoder: &Value) -> Option<Kind> {
    let mut steps = Vec::new();
    flatten(decoder, &mut steps);
    let named = |name: &str| steps.iter().any(|step| step.get("type").and_then(Value::as_str) == Some(name));
    if named("ByteLevel") {
        return Some(Kind::ByteLevel);
    }
    let (mut space, mut bytes, mut start, mut fused) = (None, false, Start::Plain, false);
    for step in steps {
        match step.get("type").and_then(Value::as_str)? {
            "Replace" => {
                if step.get("content")?.as_str()? != " " {
                    return None;
                }
                space = Some(step.get("pattern")?.get("String")?.as_str()?.to_owned());
            }
            "ByteFallback" => bytes = true,
            "Fuse" => fused = true,
            "Strip" => {
                let of = |name: &str| step.get(name).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
                if step.get("content")?.as_str()? != " " || of("stop")? != 0 || !fused {
                    return None;
                }
                start = Start::Strip(of("start")?);
            }
            "Metaspace" => {
                space = Some(step.get("replacement").and_then(Value::as_str).unwrap_or("▁").to_owned());
                let never = step.get("prepend_scheme").and_then(Value::as_str) == Some("never")
                    || step.get("add_prefix_space").and_then(Value::as_bool) == Some(false);
                start = if never { Start::Plain } else { Start::Bare };
            }
            _ => return None,
        }
    }
    (space.is_some() || bytes || fused).then_some(Kind::Pieces { space, bytes, start })
}

fn flatten<'a>(step: &'a Value, steps: &mut Vec<&'a Value>) {
    match step.get("decoders").and_then(Value::as_array) {
        Some(inner) => inner.iter().for_each(|step| flatten(step, steps)),
        None => steps.push(step),
    }
}

/// Bytes by GPT-2's characters for them: printable Latin-1 stands for itself,
/// the rest follows from U+0100 on.
fn byte_characters() -> [Option<u8>; 0x180] {
    let plain = |byte: u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    let mut table = [None; 0x180];
    let mut next = 0x100;
    for byte in 0..=u8::MAX {
        let character = if plain(byte) {
            usize::from(byte)
        } else {
            next += 1;
            next - 1
        };
        if let Some(place) = table.get_mut(character) {
            *place = Some(byte);
        }
    }
    table
}
