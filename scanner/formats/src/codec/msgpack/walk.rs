use std::ops::Range;

use crate::core::{FormatError, Reader};

/// Deepest nesting: that of the msgpack library for Python is 1024 as well.
const DEPTH_MAX: usize = 1024;

/// A value, or the start of a container of values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// `nil`, a boolean or a number.
    Scalar(Scalar),
    /// Text: where its bytes lie.
    Text(Range<u64>),
    /// Bytes: where they lie.
    Binary(Range<u64>),
    /// An extension: its type, and where its bytes lie.
    Extension(i8, Range<u64>),
    /// An array of this many values, which follow.
    Array(u32),
    /// A map of this many keys and values, which follow.
    Map(u32),
}

/// A value without content of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scalar {
    /// `nil`, `true`, `false`.
    Constant,
    /// A number that is not negative.
    Unsigned(u64),
    /// A negative number.
    Negative,
    /// A number with a fraction.
    Float,
}

/// One value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What it is.
    pub event: Event,
    /// Where it starts.
    pub at: u64,
    /// Containers around it.
    pub depth: usize,
    /// Whether it is the key of a map.
    pub is_key: bool,
}

/// A container that is being read.
struct Open {
    left: u64,
    is_map: bool,
}

/// Reads one document, value by value.
pub struct Walker<'a> {
    reader: Reader<'a>,
    open: Vec<Open>,
    started: bool,
}

impl<'a> Walker<'a> {
    /// At the start of a document.
    #[must_use]
    pub fn new(reader: Reader<'a>) -> Self {
        Self { reader, open: Vec::new(), started: false }
    }

    /// Offset of the next byte: after the document, once that is read.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.reader.position()
    }

    /// The next value; `None` after the last one.
    ///
    /// # Errors
    /// For a count or length beyond the end, for nesting beyond the limit and
    /// for the byte `c1`, which stands for nothing.
    pub fn step(&mut self) -> Result<Option<Step>, FormatError> {
        while self.open.last().is_some_and(|open| open.left == 0) {
            self.open.pop();
        }
        let depth = self.open.len();
        let is_key = match self.open.last_mut() {
            Some(open) => {
                open.left -= 1;
                // Keys and values take turns; an odd number is left after a key.
                open.is_map && open.left % 2 == 1
            }
            None if self.started => return Ok(None),
            None => false,
        };
        self.started = true;
        let at = self.reader.position();
        let event = self.event(at)?;
        match event {
            Event::Array(n) => self.enter(n.into(), false)?,
            Event::Map(n) => self.enter(u64::from(n) * 2, true)?,
            _ => {}
        }
        Ok(Some(Step { event, at, depth, is_key }))
    }

    fn enter(&mut self, left: u64, is_map: bool) -> Result<(), FormatError> {
        if left > self.reader.remaining() {
            return Err(FormatError::truncated("container count", self.reader.position()));
        }
        if self.open.len() >= DEPTH_MAX {
            return Err(FormatError::limit("msgpack_depth_max", DEPTH_MAX as u64));
        }
        self.open.push(Open { left, is_map });
        Ok(())
    }

    fn event(&mut self, at: u64) -> Result<Event, FormatError> {
        let r = &mut self.reader;
        let number = |n: u64| Event::Scalar(Scalar::Unsigned(n));
        let signed = |n: i64| match u64::try_from(n) {
            Ok(n) => Event::Scalar(Scalar::Unsigned(n)),
            Err(_) => Event::Scalar(Scalar::Negative),
        };
        Ok(match r.u8("type")? {
            b @ 0x00..=0x7f => number(b.into()),
            b @ 0x80..=0x8f => Event::Map(u32::from(b & 0x0f)),
            b @ 0x90..=0x9f => Event::Array(u32::from(b & 0x0f)),
            b @ 0xa0..=0xbf => Event::Text(self.content(u64::from(b & 0x1f))?),
            0xc0 | 0xc2 | 0xc3 => Event::Scalar(Scalar::Constant),
            0xc1 => return Err(FormatError::malformed("type", at, "the reserved byte c1")),
            b @ 0xc4..=0xc6 => {
                let len = self.length(b - 0xc4)?;
                Event::Binary(self.content(len)?)
            }
            b @ 0xc7..=0xc9 => {
                let len = self.length(b - 0xc7)?;
                self.extension(len)?
            }
            0xca => {
                r.skip(4, "float")?;
                Event::Scalar(Scalar::Float)
            }
            0xcb => {
                r.skip(8, "double")?;
                Event::Scalar(Scalar::Float)
            }
            0xcc => number(r.u8("integer")?.into()),
            0xcd => number(r.u16_be("integer")?.into()),
            0xce => number(r.u32_be("integer")?.into()),
            0xcf => number(r.u64_be("integer")?),
            0xd0 => signed(i8::from_be_bytes(r.array("integer")?).into()),
            0xd1 => signed(i16::from_be_bytes(r.array("integer")?).into()),
            0xd2 => signed(r.i32_be("integer")?.into()),
            0xd3 => signed(r.i64_be("integer")?),
            b @ 0xd4..=0xd8 => self.extension(1 << (b - 0xd4))?,
            b @ 0xd9..=0xdb => {
                let len = self.length(b - 0xd9)?;
                Event::Text(self.content(len)?)
            }
            0xdc => Event::Array(r.u16_be("array count")?.into()),
            0xdd => Event::Array(r.u32_be("array count")?),
            0xde => Event::Map(r.u16_be("map count")?.into()),
            0xdf => Event::Map(r.u32_be("map count")?),
            0xe0..=0xff => Event::Scalar(Scalar::Negative),
        })
    }

    /// A length of 1, 2 or 4 bytes.
    fn length(&mut self, width: u8) -> Result<u64, FormatError> {
        Ok(match width {
            0 => self.reader.u8("length")?.into(),
            1 => self.reader.u16_be("length")?.into(),
            _ => self.reader.u32_be("length")?.into(),
        })
    }

    fn extension(&mut self, len: u64) -> Result<Event, FormatError> {
        let kind = i8::from_be_bytes(self.reader.array("extension type")?);
        Ok(Event::Extension(kind, self.content(len)?))
    }

    fn content(&mut self, len: u64) -> Result<Range<u64>, FormatError> {
        let start = self.reader.position();
        self.reader.skip(len, "content")?;
        Ok(start..self.reader.position())
    }
}
