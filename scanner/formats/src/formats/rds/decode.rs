use crate::core::{FormatError, Input, Reader};

/// Longest line of the text encoding.
const LINE_BYTES_MAX: usize = 1 << 20;

/// How numbers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Big-endian (RFC 4506).
    Xdr,
    /// As on the machine that wrote it; little-endian today.
    Native,
    /// Text, one number a line.
    Ascii,
}

/// Reads numbers and texts in one of the encodings.
pub struct Decoder<'a> {
    reader: Reader<'a>,
    encoding: Encoding,
}

impl<'a> Decoder<'a> {
    /// At `start`, where the encoding is named.
    pub fn new(input: &'a Input, start: u64) -> Result<Self, FormatError> {
        let mut reader = Reader::at(input, start);
        let encoding = match &reader.array::<2>("encoding")? {
            b"X\n" => Encoding::Xdr,
            b"B\n" => Encoding::Native,
            b"A\n" => Encoding::Ascii,
            _ => return Err(FormatError::malformed("encoding", start, "neither X, B nor A")),
        };
        Ok(Self { reader, encoding })
    }

    /// At `at`, in the middle of a file.
    pub fn resumed(input: &'a Input, at: u64, encoding: Encoding) -> Self {
        Self { reader: Reader::at(input, at), encoding }
    }

    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    pub fn position(&self) -> u64 {
        self.reader.position()
    }

    /// A number of four bytes; `NA` is the least of them.
    pub fn int(&mut self, field: &'static str) -> Result<i32, FormatError> {
        match self.encoding {
            Encoding::Xdr => self.reader.i32_be(field),
            Encoding::Native => self.reader.i32_le(field),
            Encoding::Ascii => {
                let at = self.reader.position();
                let line = self.reader.line(64, field)?;
                let text = String::from_utf8_lossy(&line);
                match text.trim() {
                    "NA" => Ok(i32::MIN),
                    text => text.parse().map_err(|_| FormatError::malformed(field, at, "no number")),
                }
            }
        }
    }

    /// The length of a vector: four bytes, or eight after -1.
    pub fn len(&mut self, field: &'static str) -> Result<u64, FormatError> {
        let at = self.reader.position();
        let bad = || FormatError::malformed(field, at, "negative length");
        match self.int(field)? {
            -1 => {
                let [upper, lower] = [self.int(field)?, self.int(field)?];
                let upper = u64::try_from(upper).map_err(|_| bad())?;
                Ok(upper << 32 | u64::from(lower.cast_unsigned()))
            }
            len => u64::try_from(len).map_err(|_| bad()),
        }
    }

    /// Text of `len` bytes, of which at most `max` are kept; the rest is
    /// stepped over.
    pub fn text(&mut self, len: i32, max: usize, field: &'static str) -> Result<String, FormatError> {
        let at = self.reader.position();
        let len = u64::try_from(len).map_err(|_| FormatError::malformed(field, at, "negative length"))?;
        if self.encoding == Encoding::Ascii {
            // Spaces and controls are escaped, so the text is one line.
            let line = self.reader.line(LINE_BYTES_MAX, field)?;
            return Ok(String::from_utf8_lossy(&line).chars().take(max).collect());
        }
        let kept = len.min(max as u64);
        let text = if len > self.reader.remaining() {
            return Err(FormatError::truncated(field, at));
        } else {
            self.reader.bytes(kept, max, field)?
        };
        self.reader.skip(len - kept, field)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Steps over `n` numbers of `width` bytes, which are `lines` lines each in
    /// the text encoding. Returns the steps that took.
    pub fn numbers(&mut self, n: u64, width: u64, lines: u64, field: &'static str) -> Result<u64, FormatError> {
        let at = self.reader.position();
        if self.encoding != Encoding::Ascii {
            let bytes = n.checked_mul(width).ok_or_else(|| FormatError::truncated(field, at))?;
            self.reader.skip(bytes, field)?;
            return Ok(1);
        }
        self.reader.check_count(n, u64::MAX, lines, field)?;
        for _ in 0..n.saturating_mul(lines) {
            self.reader.line(128, field)?;
        }
        Ok(n)
    }

    /// Holds a count of items against the bytes left.
    pub fn items(&self, n: u64, field: &'static str) -> Result<u64, FormatError> {
        // Smallest item: flags alone, four bytes or `254\n`.
        self.reader.check_count(n, u64::MAX, 2, field)
    }
}
