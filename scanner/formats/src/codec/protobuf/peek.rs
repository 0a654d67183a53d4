/// Walks the top fields of a message of which only the first bytes are at
/// hand, as identification does: nothing is followed beyond them and nothing
/// is allocated.
#[derive(Debug, Clone)]
pub struct Peek<'a> {
    rest: &'a [u8],
}

/// A field seen by [`Peek`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peeked<'a> {
    /// Field number.
    pub number: u32,
    /// What it holds.
    pub value: PeekedValue<'a>,
}

/// The value of a [`Peeked`] field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeekedValue<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire types 1 and 5.
    Fixed,
    /// Wire type 2: as much of the body as is there, and whether that is all.
    Bytes(&'a [u8], bool),
}

impl<'a> Peek<'a> {
    /// Over the first bytes of a message.
    #[must_use]
    pub fn new(head: &'a [u8]) -> Self {
        Self { rest: head }
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for group in 0..10 {
            let (byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f).wrapping_shl(group * 7);
            if *byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(n)?;
        self.rest = rest;
        Some(taken)
    }
}

impl<'a> Iterator for Peek<'a> {
    type Item = Peeked<'a>;

    /// Ends at the end of the bytes at hand and at the first tag that cannot
    /// be one.
    fn next(&mut self) -> Option<Peeked<'a>> {
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).ok().filter(|n| *n != 0 && *n < 1 << 29)?;
        let value = match tag & 7 {
            0 => PeekedValue::Varint(self.varint()?),
            1 => self.take(8).map(|_| PeekedValue::Fixed)?,
            5 => self.take(4).map(|_| PeekedValue::Fixed)?,
            2 => {
                let len = usize::try_from(self.varint()?).ok()?;
                match self.take(len) {
                    Some(body) => PeekedValue::Bytes(body, true),
                    None => PeekedValue::Bytes(std::mem::take(&mut self.rest), false),
                }
            }
            _ => return None,
        };
        Some(Peeked { number, value })
    }
}

impl<'a> Peeked<'a> {
    /// The body, if this is length-delimited field `number`.
    #[must_use]
    pub fn body(&self, number: u32) -> Option<&'a [u8]> {
        match self.value {
            PeekedValue::Bytes(body, _) if self.number == number => Some(body),
            _ => None,
        }
    }

    /// The body, if this is length-delimited field `number` and all of it is
    /// there.
    #[must_use]
    pub fn whole(&self, number: u32) -> Option<&'a [u8]> {
        match self.value {
            PeekedValue::Bytes(body, true) if self.number == number => Some(body),
            _ => None,
        }
    }

    /// The integer, if this is varint field `number`.
    #[must_use]
    pub fn varint(&self, number: u32) -> Option<u64> {
        match self.value {
            PeekedValue::Varint(value) if self.number == number => Some(value),
            _ => None,
        }
    }
}

/// Whether `bytes` are UTF-8 text without control characters (a character cut
/// at the end is forgiven).
#[must_use]
pub fn is_text(bytes: &[u8]) -> bool {
    let valid = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(e) if e.error_len().is_none() => {
            bytes.get(..e.valid_up_to()).and_then(|b| std::str::from_utf8(b).ok()).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !valid.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
}

/// Whether `bytes` are a name as operators and layers have: a letter or
/// underscore, then letters, digits and `_ . : > - /`.
#[must_use]
pub fn is_identifier(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_')
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"_.:>-/".contains(b))
}
