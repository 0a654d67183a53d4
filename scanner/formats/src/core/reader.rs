use crate::core::{FormatError, Input};

/// Bytes fetched at a time. Small reads are served from this window.
const WINDOW_BYTES: usize = 64 * 1024;

/// A cursor over an [`Input`] that does all offset arithmetic, checked.
///
/// Every read names its field; a read that does not fit is
/// [`FormatError::Truncated`] naming that field.
pub struct Reader<'a> {
    input: &'a Input,
    pos: u64,
    window: Vec<u8>,
    window_start: u64,
}

macro_rules! integers {
    ($($le:ident $be:ident $t:ty),*) => {$(
        #[doc = concat!("A little-endian `", stringify!($t), "`.")]
        ///
        /// # Errors
        /// [`FormatError::Truncated`] names `field`.
        pub fn $le(&mut self, field: &'static str) -> Result<$t, FormatError> {
            Ok(<$t>::from_le_bytes(self.array(field)?))
        }
        #[doc = concat!("A big-endian `", stringify!($t), "`.")]
        ///
        /// # Errors
        /// [`FormatError::Truncated`] names `field`.
        pub fn $be(&mut self, field: &'static str) -> Result<$t, FormatError> {
            Ok(<$t>::from_be_bytes(self.array(field)?))
        }
    )*};
}

impl<'a> Reader<'a> {
    /// A reader at the start of `input`.
    #[must_use]
    pub fn new(input: &'a Input) -> Self {
        Self { input, pos: 0, window: Vec::new(), window_start: 0 }
    }

    /// A reader at `offset` of `input`; beyond the end, nothing remains.
    #[must_use]
    pub fn at(input: &'a Input, offset: u64) -> Self {
        Self { pos: offset.min(input.len()), ..Self::new(input) }
    }

    /// The input being read.
    #[must_use]
    pub fn input(&self) -> &'a Input {
        self.input
    }

    /// Offset of the next byte.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.pos
    }

    /// Bytes left.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        self.input.len().saturating_sub(self.pos)
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn at_end(&self) -> bool {
        self.remaining() == 0
    }

    /// Moves to `offset`.
    ///
    /// # Errors
    /// [`FormatError::Truncated`] if that is beyond the end.
    pub fn seek(&mut self, offset: u64, field: &'static str) -> Result<(), FormatError> {
        if offset > self.input.len() {
            return Err(FormatError::truncated(field, offset));
        }
        self.pos = offset;
        Ok(())
    }

    /// Steps over `n` bytes.
    ///
    /// # Errors
    /// [`FormatError::Truncated`] if fewer remain.
    pub fn skip(&mut self, n: u64, field: &'static str) -> Result<(), FormatError> {
        if n > self.remaining() {
            return Err(FormatError::truncated(field, self.pos));
        }
        self.pos += n;
        Ok(())
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// [`FormatError::Truncated`] names `field`.
    pub fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], FormatError> {
        let at = usize::try_from(self.pos.wrapping_sub(self.window_start)).unwrap_or(usize::MAX);
        if let Some(out) = self.window.get(at..).and_then(<[u8]>::first_chunk) {
            self.pos += N as u64;
            return Ok(*out);
        }
        let mut out = [0; N];
        self.fill(&mut out, field)?;
        Ok(out)
    }

    /// The next `n` bytes, where `n` may be at most `max`.
    ///
    /// # Errors
    /// [`FormatError::Limit`] beyond `max`, [`FormatError::Truncated`] beyond
    /// the end; either way nothing was reserved.
    pub fn bytes(&mut self, n: u64, max: usize, field: &'static str) -> Result<Vec<u8>, FormatError> {
        if n > self.remaining() {
            return Err(FormatError::truncated(field, self.pos));
        }
        let n = usize::try_from(n).ok().filter(|n| *n <= max).ok_or(FormatError::limit(field, max as u64))?;
        let mut out = vec![0; n];
        self.fill(&mut out, field)?;
        Ok(out)
    }

    /// The next `n` bytes as UTF-8 text, where `n` may be at most `max`.
    ///
    /// # Errors
    /// As [`Self::bytes`], and [`FormatError::Malformed`] for other bytes.
    pub fn utf8(&mut self, n: u64, max: usize, field: &'static str) -> Result<String, FormatError> {
        let start = self.pos;
        String::from_utf8(self.bytes(n, max, field)?).map_err(|_| FormatError::malformed(field, start, "not UTF-8"))
    }

    /// Bytes up to and without the next `\n`, which is consumed.
    ///
    /// # Errors
    /// [`FormatError::Truncated`] if there is none, [`FormatError::Limit`] if
    /// the line is longer than `max`.
    pub fn line(&mut self, max: usize, field: &'static str) -> Result<Vec<u8>, FormatError> {
        let start = self.pos;
        let mut out = Vec::new();
        loop {
            let window = self.peek(WINDOW_BYTES)?;
            if window.is_empty() {
                return Err(FormatError::truncated(field, start));
            }
            let newline = memchr::memchr(b'\n', window);
            let part = newline.and_then(|n| window.get(..n)).unwrap_or(window);
            if out.len() + part.len() > max {
                return Err(FormatError::limit(field, max as u64));
            }
            out.extend_from_slice(part);
            self.pos += part.len() as u64;
            if newline.is_some() {
                self.pos += 1;
                return Ok(out);
            }
        }
    }

    /// Up to `max` (at most 64 KiB) bytes ahead, without consuming them.
    ///
    /// # Errors
    /// [`FormatError::Io`] if the source fails.
    pub fn peek(&mut self, max: usize) -> Result<&[u8], FormatError> {
        let want = usize::try_from(self.remaining()).unwrap_or(usize::MAX).min(max).min(WINDOW_BYTES);
        let mut at = usize::try_from(self.pos.wrapping_sub(self.window_start)).unwrap_or(usize::MAX);
        if at.checked_add(want).is_none_or(|end| end > self.window.len()) {
            self.refill()?;
            at = 0;
        }
        let end = (at + want).min(self.window.len());
        Ok(self.window.get(at..end).unwrap_or_default())
    }

    /// Expects exactly `magic` next.
    ///
    /// # Errors
    /// [`FormatError::Malformed`] if something else is there.
    pub fn magic(&mut self, magic: &[u8]) -> Result<(), FormatError> {
        if self.peek(magic.len())? != magic {
            return Err(FormatError::malformed("magic", self.pos, "another signature"));
        }
        self.pos += magic.len() as u64;
        Ok(())
    }

    /// One byte.
    ///
    /// # Errors
    /// [`FormatError::Truncated`] names `field`.
    pub fn u8(&mut self, field: &'static str) -> Result<u8, FormatError> {
        let [byte] = self.array(field)?;
        Ok(byte)
    }

    integers!(u16_le u16_be u16, u32_le u32_be u32, u64_le u64_be u64, i32_le i32_be i32, i64_le i64_be i64, f64_le f64_be f64);

    /// Holds a count read from the file against a limit and against the bytes
    /// left, each entry taking at least `entry_bytes_min`.
    ///
    /// # Errors
    /// [`FormatError::Limit`] or [`FormatError::Truncated`], naming `field`.
    pub fn check_count(&self, n: u64, max: u64, entry_bytes_min: u64, field: &'static str) -> Result<u64, FormatError> {
        if n.checked_mul(entry_bytes_min.max(1)).is_none_or(|bytes| bytes > self.remaining()) {
            return Err(FormatError::truncated(field, self.pos));
        }
        if n > max {
            return Err(FormatError::limit(field, max));
        }
        Ok(n)
    }

    fn fill(&mut self, out: &mut [u8], field: &'static str) -> Result<(), FormatError> {
        if out.len() as u64 > self.remaining() {
            return Err(FormatError::truncated(field, self.pos));
        }
        if out.len() > WINDOW_BYTES {
            let n = self.input.read_at(self.pos, out).map_err(|source| FormatError::Io { offset: self.pos, source })?;
            if n < out.len() {
                return Err(FormatError::truncated(field, self.pos));
            }
        } else {
            let seen = self.peek(out.len())?;
            if seen.len() < out.len() {
                return Err(FormatError::truncated(field, self.pos));
            }
            out.copy_from_slice(seen);
        }
        self.pos += out.len() as u64;
        Ok(())
    }

    fn refill(&mut self) -> Result<(), FormatError> {
        self.window.resize(usize::try_from(self.remaining()).unwrap_or(usize::MAX).min(WINDOW_BYTES), 0);
        self.window_start = self.pos;
        let n = self
            .input
            .read_at(self.pos, &mut self.window)
            .map_err(|source| FormatError::Io { offset: self.pos, source })?;
        self.window.truncate(n);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_across_windows() {
        let content: Vec<u8> = (0..200_000u32).map(|i| (i % 251) as u8).collect();
        let input = Input::bytes(content.clone());
        let mut r = Reader::new(&input);
        let mut seen = Vec::new();
        while !r.at_end() {
            let n = r.remaining().min(7);
            seen.extend(r.bytes(n, 7, "part").unwrap());
        }
        assert_eq!(seen, content);
        assert!(matches!(r.u8("more"), Err(FormatError::Truncated { .. })));
    }

    #[test]
    fn counts_are_held_against_limit_and_length() {
        let input = Input::bytes(vec![0; 100]);
        let r = Reader::new(&input);
        assert!(r.check_count(10, 10, 10, "n").is_ok());
        assert!(matches!(r.check_count(11, 99, 10, "n"), Err(FormatError::Truncated { .. })));
        assert!(matches!(r.check_count(u64::MAX, u64::MAX, 8, "n"), Err(FormatError::Truncated { .. })));
        assert!(matches!(r.check_count(10, 9, 1, "n"), Err(FormatError::Limit { .. })));
    }

    #[test]
    fn lines_need_their_end() {
        let input = Input::bytes(b"ab\ncd".to_vec());
        let mut r = Reader::new(&input);
        assert_eq!(r.line(9, "l").unwrap(), b"ab");
        assert!(matches!(r.line(9, "l"), Err(FormatError::Truncated { .. })));
    }

    #[test]
    fn slices_stay_inside() {
        let input = Input::bytes(vec![0; 10]);
        assert!(input.slice(5, 5).is_some());
        assert!(input.slice(5, 6).is_none());
        assert!(input.slice(u64::MAX, 2).is_none());
    }
}
