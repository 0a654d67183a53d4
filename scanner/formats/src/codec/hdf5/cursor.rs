use crate::core::FormatError;

/// Widths of addresses and lengths, as the superblock gives them: 2, 4 or 8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sizes {
    pub offset: u8,
    pub length: u8,
}

/// A cursor over one structure of the file held in memory. Errors speak of
/// the structure's place in the file.
#[derive(Clone)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    base: u64,
    sizes: Sizes,
}

impl<'a> Cursor<'a> {
    /// Over `bytes`, which start at `base` of the file.
    pub fn new(bytes: &'a [u8], base: u64, sizes: Sizes) -> Self {
        Self { bytes, at: 0, base, sizes }
    }

    /// Offset of the next byte in the file.
    pub fn position(&self) -> u64 {
        self.base.saturating_add(self.at as u64)
    }

    /// Bytes before the next one in this structure.
    pub fn consumed(&self) -> usize {
        self.at
    }

    pub fn remaining(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    pub fn sizes(&self) -> Sizes {
        self.sizes
    }

    /// Everything that is left, without consuming it.
    pub fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    pub fn take(&mut self, n: usize, field: &'static str) -> Result<&'a [u8], FormatError> {
        let taken = self
            .at
            .checked_add(n)
            .and_then(|end| self.bytes.get(self.at..end))
            .ok_or_else(|| FormatError::truncated(field, self.position()))?;
        self.at += n;
        Ok(taken)
    }

    pub fn skip(&mut self, n: usize, field: &'static str) -> Result<(), FormatError> {
        self.take(n, field).map(drop)
    }

    /// Steps to the next multiple of 8 counted from the structure's start;
    /// padding cut off at the end is none.
    pub fn align8(&mut self) {
        self.at = self.at.next_multiple_of(8).min(self.bytes.len());
    }

    pub fn u8(&mut self, field: &'static str) -> Result<u8, FormatError> {
        Ok(self.take(1, field)?.first().copied().unwrap_or_default())
    }

    pub fn u16(&mut self, field: &'static str) -> Result<u16, FormatError> {
        Ok(self.take(2, field)?.first_chunk().map_or(0, |b| u16::from_le_bytes(*b)))
    }

    pub fn u32(&mut self, field: &'static str) -> Result<u32, FormatError> {
        Ok(self.take(4, field)?.first_chunk().map_or(0, |b| u32::from_le_bytes(*b)))
    }

    /// A little-endian integer of `width` bytes, at most 8.
    pub fn uint(&mut self, width: u8, field: &'static str) -> Result<u64, FormatError> {
        if width > 8 {
            return Err(FormatError::malformed(field, self.position(), "wider than 8 bytes"));
        }
        let bytes = self.take(width.into(), field)?;
        Ok(bytes.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b)))
    }

    /// A file address; `None` for the undefined one, all ones.
    pub fn address(&mut self, field: &'static str) -> Result<Option<u64>, FormatError> {
        let width = self.sizes.offset;
        let value = self.uint(width, field)?;
        Ok((value != all_ones(width)).then_some(value))
    }

    /// A file address that must be defined.
    pub fn defined(&mut self, field: &'static str) -> Result<u64, FormatError> {
        let at = self.position();
        self.address(field)?.ok_or_else(|| FormatError::malformed(field, at, "undefined address"))
    }

    /// A length.
    pub fn length(&mut self, field: &'static str) -> Result<u64, FormatError> {
        self.uint(self.sizes.length, field)
    }

    /// Bytes up to the next NUL, which is consumed.
    pub fn until_nul(&mut self, field: &'static str) -> Result<&'a [u8], FormatError> {
        let end = memchr::memchr(0, self.rest()).ok_or_else(|| FormatError::truncated(field, self.position()))?;
        let text = self.take(end, field)?;
        self.skip(1, field)?;
        Ok(text)
    }

    /// Expects a structure's four-letter signature.
    pub fn signature(&mut self, signature: &[u8; 4]) -> Result<(), FormatError> {
        let at = self.position();
        if self.take(4, "signature")? == signature {
            return Ok(());
        }
        let name = String::from_utf8_lossy(signature);
        Err(FormatError::malformed("signature", at, format!("no {name} structure there")))
    }

    /// Expects the next byte to be at most `newest`, a version.
    pub fn version(&mut self, newest: u8, field: &'static str) -> Result<u8, FormatError> {
        let at = self.position();
        let version = self.u8(field)?;
        if version > newest {
            return Err(FormatError::malformed(field, at, format!("version {version} is not known")));
        }
        Ok(version)
    }
}

fn all_ones(width: u8) -> u64 {
    u64::MAX.checked_shr(64 - u32::from(width.clamp(1, 8)) * 8).unwrap_or(u64::MAX)
}

/// Bytes that hold every number up to `max` (`H5VM_limit_enc_size`).
pub(super) fn width_for(max: u64) -> u8 {
    u8::try_from(max.checked_ilog2().unwrap_or(0) / 8 + 1).unwrap_or(8)
}
