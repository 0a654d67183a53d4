use crate::core::{FormatError, Input, Reader};

/// Longest number in ASCII.
const NUMBER_BYTES_MAX: usize = 64;

/// How numbers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// Little-endian, `long` of 8 bytes.
    Binary,
    /// Decimal text between white space.
    Ascii,
}

/// Reads values in either encoding.
pub(super) struct Values<'a> {
    pub r: Reader<'a>,
    encoding: Encoding,
}

impl<'a> Values<'a> {
    pub fn new(input: &'a Input, encoding: Encoding) -> Self {
        Self { r: Reader::new(input), encoding }
    }

    /// An `int`.
    pub fn int(&mut self, field: &'static str) -> Result<i64, FormatError> {
        match self.encoding {
            Encoding::Binary => Ok(self.r.i32_le(field)?.into()),
            Encoding::Ascii => self.decimal(field),
        }
    }

    /// A `long`.
    pub fn long(&mut self, field: &'static str) -> Result<i64, FormatError> {
        match self.encoding {
            Encoding::Binary => self.r.i64_le(field),
            Encoding::Ascii => self.decimal(field),
        }
    }

    /// Steps over a `double`.
    pub fn skip_double(&mut self, field: &'static str) -> Result<(), FormatError> {
        match self.encoding {
            Encoding::Binary => self.r.skip(8, field),
            Encoding::Ascii => self.word(field).map(|_| ()),
        }
    }

    /// Text or bytes with their length before them.
    pub fn bytes(&mut self, max: usize, field: &'static str) -> Result<Vec<u8>, FormatError> {
        let len = self.len(field)?;
        let out = self.r.bytes(len, max, field)?;
        self.end_of_line()?;
        Ok(out)
    }

    /// A length that must not be negative.
    pub fn len(&mut self, field: &'static str) -> Result<u64, FormatError> {
        let at = self.r.position();
        let len = self.int(field)?;
        u64::try_from(len).map_err(|_| FormatError::malformed(field, at, "negative"))
    }

    /// Steps over `n` raw bytes or `n` words.
    pub fn skip_elements(
        &mut self,
        n: u64,
        bytes_each: u64,
        text: bool,
        field: &'static str,
    ) -> Result<(), FormatError> {
        if self.encoding == Encoding::Binary || text {
            let bytes = n
                .checked_mul(bytes_each)
                .ok_or_else(|| FormatError::malformed(field, self.r.position(), "overflows"))?;
            self.r.skip(bytes, field)?;
            return self.end_of_line();
        }
        self.r.check_count(n, u64::MAX, 2, field)?;
        for _ in 0..n {
            self.word(field)?;
        }
        Ok(())
    }

    fn end_of_line(&mut self) -> Result<(), FormatError> {
        if self.encoding == Encoding::Ascii && self.r.peek(1)? == b"\n" {
            self.r.skip(1, "line end")?;
        }
        Ok(())
    }

    fn decimal(&mut self, field: &'static str) -> Result<i64, FormatError> {
        let at = self.r.position();
        let word = self.word(field)?;
        std::str::from_utf8(&word)
            .ok()
            .and_then(|w| w.parse().ok())
            .ok_or_else(|| FormatError::malformed(field, at, "not a number"))
    }

    /// Bytes up to white space, which is consumed, one of it.
    fn word(&mut self, field: &'static str) -> Result<Vec<u8>, FormatError> {
        let at = self.r.position();
        while self.r.peek(1)?.first().is_some_and(|b| *b == b' ') {
            self.r.skip(1, field)?;
        }
        let window = self.r.peek(NUMBER_BYTES_MAX + 1)?;
        let end = window.iter().position(u8::is_ascii_whitespace).unwrap_or(window.len());
        if end > NUMBER_BYTES_MAX {
            return Err(FormatError::malformed(field, at, "a number is too long"));
        }
        let word = window.get(..end).unwrap_or_default().to_vec();
        let blank = u64::from(end < window.len());
        if word.is_empty() && blank == 0 {
            return Err(FormatError::truncated(field, at));
        }
        self.r.skip(end as u64 + blank, field)?;
        Ok(word)
    }
}
