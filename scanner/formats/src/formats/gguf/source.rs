use crate::core::{FormatError, Input, Inspection, Reader};
use crate::formats::gguf::rules;

/// Longest string the reference loader reads (`GGUF_MAX_STRING_LENGTH`).
pub const STRING_BYTES_LOADER_MAX: u64 = 1 << 30;

/// A GGUF file being read: byte order and width of counts are those its
/// header declares.
pub struct Source<'a> {
    /// The cursor.
    pub r: Reader<'a>,
    /// Big-endian (GGUF v3 on s390x and the like).
    pub big_endian: bool,
    /// Version 1 had 32-bit counts and lengths.
    pub version: u32,
}

impl<'a> Source<'a> {
    /// Reads magic and version.
    ///
    /// # Errors
    /// [`FormatError::Malformed`] for versions that never existed.
    pub fn open(input: &'a Input) -> Result<Self, FormatError> {
        let mut r = Reader::new(input);
        r.magic(b"GGUF")?;
        let raw = r.u32_le("version")?;
        let swapped = raw.swap_bytes();
        let (version, big_endian) = if (1..=3).contains(&swapped) { (swapped, true) } else { (raw, false) };
        if !(1..=3).contains(&version) {
            return Err(FormatError::malformed("version", 4, format!("{raw} is none of 1, 2 and 3")));
        }
        Ok(Self { r, big_endian, version })
    }

    /// Bytes a count or length takes.
    #[must_use]
    pub fn width(&self) -> u64 {
        if self.version == 1 { 4 } else { 8 }
    }

    /// A `u32`.
    ///
    /// # Errors
    /// [`FormatError::Truncated`] names `field`.
    pub fn u32(&mut self, field: &'static str) -> Result<u32, FormatError> {
        if self.big_endian { self.r.u32_be(field) } else { self.r.u32_le(field) }
    }

    /// A `u64`.
    ///
    /// # Errors
    /// [`FormatError::Truncated`] names `field`.
    pub fn u64(&mut self, field: &'static str) -> Result<u64, FormatError> {
        if self.big_endian { self.r.u64_be(field) } else { self.r.u64_le(field) }
    }

    /// A count, length or extent: 32 bits in version 1, 64 later.
    ///
    /// # Errors
    /// [`FormatError::Truncated`] names `field`.
    pub fn count(&mut self, field: &'static str) -> Result<u64, FormatError> {
        if self.version == 1 { self.u32(field).map(u64::from) } else { self.u64(field) }
    }

    /// The length of a string. One that no loader reads is reported.
    ///
    /// # Errors
    /// [`FormatError::Truncated`] if the string does not fit.
    pub fn string_len(&mut self, ctx: &mut Inspection<'_>, field: &'static str) -> Result<u64, FormatError> {
        let at = self.r.position();
        let len = self.count(field)?;
        if len > STRING_BYTES_LOADER_MAX {
            ctx.find(
                &rules::ABSURD_LENGTH,
                at,
                format!("`{field}` of {len} bytes; {} bytes follow", self.r.remaining()),
            );
        }
        if len > self.r.remaining() {
            return Err(FormatError::truncated(field, at));
        }
        Ok(len)
    }

    /// A string of at most `max` bytes, decoded lossily, and whether it was
    /// UTF-8.
    ///
    /// # Errors
    /// As [`Self::string_len`], and [`FormatError::Limit`] beyond `max`.
    pub fn string(
        &mut self,
        ctx: &mut Inspection<'_>,
        max: usize,
        field: &'static str,
    ) -> Result<(String, bool), FormatError> {
        let len = self.string_len(ctx, field)?;
        Ok(match String::from_utf8(self.r.bytes(len, max, field)?) {
            Ok(text) => (text, true),
            Err(e) => (String::from_utf8_lossy(e.as_bytes()).into_owned(), false),
        })
    }
}
