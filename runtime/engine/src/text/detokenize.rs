//! Tokens to text while they come.

use super::Text;
use super::pieces::Start;

/// Puts bytes together to whole characters.
#[derive(Debug, Clone, Default)]
pub struct Utf8 {
    /// The beginning of a character, at most three bytes.
    open: Vec<u8>,
}

impl Utf8 {
    /// Appends all characters that are complete now. Bytes that can be none
    /// become U+FFFD, as `String::from_utf8_lossy` has it.
    pub fn push(&mut self, bytes: &[u8], out: &mut String) {
        self.open.extend_from_slice(bytes);
        let bytes = std::mem::take(&mut self.open);
        let mut chunks = bytes.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            out.push_str(chunk.valid());
            let last = chunks.peek().is_none();
            let incomplete = std::str::from_utf8(chunk.invalid()).is_err_and(|error| error.error_len().is_none());
            if last && incomplete {
                self.open = chunk.invalid().to_vec();
            } else if !chunk.invalid().is_empty() {
                out.push(char::REPLACEMENT_CHARACTER);
            }
        }
    }

    /// Gives up on a character that never became whole.
    pub fn finish(&mut self, out: &mut String) {
        if !std::mem::take(&mut self.open).is_empty() {
            out.push(char::REPLACEMENT_CHARACTER);
        }
    }
}

/// Bytes of tokens in a row, special tokens left out.
#[derive(Debug, Clone)]
pub struct Detokenizer {
    /// Spaces still to be dropped, if nothing was said yet.
    strip: usize,
    bare: bool,
    shown: Vec<u32>,
}

impl Detokenizer {
    /// For a text of its own (`continues` false: the space that some tokenizers
    /// put before a text is dropped, as the whole decoder does) or one that
    /// goes on where the prompt ends. `shown` names special tokens to be seen
    /// nevertheless.
    #[must_use]
    pub fn new(text: &Text, continues: bool, shown: &[u32]) -> Self {
        let start = text.pieces().map_or(Start::Plain, |pieces| pieces.start());
        let (strip, bare) = match start {
            _ if continues => (0, false),
            Start::Plain => (0, false),
            Start::Strip(spaces) => (spaces, false),
            Start::Bare => (0, true),
        };
        Self { strip, bare, shown: shown.to_vec() }
    }

    /// Bytes that `token` adds to the text.
    pub fn push<'a>(&mut self, text: &'a Text, token: u32) -> std::borrow::Cow<'a, [u8]> {
        if text.is_special(token) && !self.shown.contains(&token) {
            return [].as_slice().into();
        }
        let bytes = text.bytes(token);
        if std::mem::take(&mut self.bare) {
            return bytes.iter().copied().filter(|&byte| byte != b' ').collect::<Vec<u8>>().into();
        }
        let spaces = bytes.iter().take(self.strip).take_while(|&&byte| byte == b' ').count();
        self.strip = if spaces == bytes.len() { self.strip - spaces } else { 0 };
        bytes.get(spaces..).unwrap_or_default().into()
    }
}
