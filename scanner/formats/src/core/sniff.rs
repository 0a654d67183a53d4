use std::cell::OnceCell;

use crate::core::Input;

/// Bytes at the start that identification may look at.
pub const HEAD_BYTES: usize = 4096;
/// Bytes at the end that identification may look at.
pub const TAIL_BYTES: usize = 1024;

/// What a format may look at to recognise itself: the first bytes, the last
/// bytes, the length and the name. No lengths from the content are followed,
/// so this much is safe to do outside the confined process.
pub struct Sniff<'a> {
    /// The first 4 KiB, or all there is.
    pub head: &'a [u8],
    /// Length of the whole content in bytes.
    pub len: u64,
    /// The file or member name. A hint, never proof.
    pub name: &'a FileName,
    tail: OnceCell<Vec<u8>>,
    read_tail: &'a dyn Fn() -> Vec<u8>,
}

impl<'a> Sniff<'a> {
    /// A view over given parts; `read_tail` is called at most once, and only
    /// if some format wants the last bytes.
    pub fn new(head: &'a [u8], len: u64, name: &'a FileName, read_tail: &'a dyn Fn() -> Vec<u8>) -> Self {
        Self { head, len, name, tail: OnceCell::new(), read_tail }
    }

    /// The last 1 KiB, or all there is.
    pub fn tail(&self) -> &[u8] {
        self.tail.get_or_init(self.read_tail)
    }

    /// Whether the content starts with `magic`.
    #[must_use]
    pub fn starts_with(&self, magic: &[u8]) -> bool {
        self.head.starts_with(magic)
    }

    /// Whether `magic` stands at `offset` of the head.
    #[must_use]
    pub fn has_at(&self, offset: usize, magic: &[u8]) -> bool {
        self.head.get(offset..).is_some_and(|rest| rest.starts_with(magic))
    }

    /// Whether `text` occurs anywhere in the head.
    #[must_use]
    pub fn contains(&self, text: &[u8]) -> bool {
        memchr::memmem::find(self.head, text).is_some()
    }

    /// Little-endian `u32` at `offset` of the head.
    #[must_use]
    pub fn u32_le(&self, offset: usize) -> Option<u32> {
        Some(u32::from_le_bytes(*self.head.get(offset..)?.first_chunk()?))
    }

    /// Little-endian `u64` at `offset` of the head.
    #[must_use]
    pub fn u64_le(&self, offset: usize) -> Option<u64> {
        Some(u64::from_le_bytes(*self.head.get(offset..)?.first_chunk()?))
    }

    /// The head after a byte-order mark and white space: where text begins.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        self.head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(self.head).trim_ascii_start()
    }

    /// Runs `f` over the view of `input`.
    pub(crate) fn of<T>(input: &Input, name: &FileName, f: impl FnOnce(&Sniff<'_>) -> T) -> std::io::Result<T> {
        let head = input.head(HEAD_BYTES)?;
        Ok(f(&Sniff::new(&head, input.len(), name, &|| input.tail(TAIL_BYTES).unwrap_or_default())))
    }
}

/// The last component of a path or member name, lower-cased for comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileName {
    lower: String,
    given: String,
}

impl FileName {
    /// From a path with `/` or `\` separators.
    #[must_use]
    pub fn new(path: &str) -> Self {
        let given = path.rsplit(['/', '\\']).next().unwrap_or_default();
        Self { lower: given.to_lowercase(), given: given.to_owned() }
    }

    /// The name as it is written, for the names of its neighbours.
    #[must_use]
    pub fn as_given(&self) -> &str {
        &self.given
    }

    /// The lower-cased name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.lower
    }

    /// Text after the last dot, lower-cased; `None` without a dot or for a
    /// leading one.
    #[must_use]
    pub fn extension(&self) -> Option<&str> {
        self.lower.rsplit_once('.').and_then(|(stem, ext)| (!stem.is_empty()).then_some(ext))
    }

    /// Whether the extension is one of `extensions` (given lower-case).
    #[must_use]
    pub fn has_extension(&self, extensions: &[&str]) -> bool {
        self.extension().is_some_and(|e| extensions.contains(&e))
    }
}
