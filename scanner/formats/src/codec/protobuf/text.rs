//! The text format (protobuf.dev, "Text Format Language Specification"),
//! streamed: one event per field, nothing kept.

use crate::core::{FormatError, Inspection, Reader};

/// Messages in messages, as in [`super::DEPTH_MAX`].
const DEPTH_MAX: usize = super::DEPTH_MAX as usize;
/// Bytes kept of one name or value; the rest is stepped over.
pub const VALUE_BYTES_MAX: usize = 64 * 1024;

/// One step through a text message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// `name {`
    Open(String),
    /// `}`
    Close,
    /// `name: value`; a text is unquoted and unescaped, anything else as
    /// written.
    Scalar(String, Vec<u8>),
}

/// Reads a text message as [`Event`]s.
pub struct Events<'r, 'i> {
    r: &'r mut Reader<'i>,
    /// For each open message the list it is an item of.
    open: Vec<Option<String>>,
    /// Name of the list that is open here (`name: [a, b]`).
    list: Option<String>,
}

impl<'r, 'i> Events<'r, 'i> {
    /// From the position of `r` on.
    pub fn new(r: &'r mut Reader<'i>) -> Self {
        Self { r, open: Vec::new(), list: None }
    }

    /// Offset of what comes next.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.r.position()
    }

    /// The next event, `None` at the end. Takes one step from the work budget.
    ///
    /// # Errors
    /// [`FormatError::Malformed`] where no field can start, braces do not
    /// match or nesting goes over the limit.
    pub fn next(&mut self, ctx: &mut Inspection<'_>) -> Result<Option<Event>, FormatError> {
        loop {
            ctx.work(1)?;
            self.blanks()?;
            let Some(byte) = self.peek()? else {
                return if self.open.is_empty() && self.list.is_none() {
                    Ok(None)
                } else {
                    Err(self.malformed("ends inside a message"))
                };
            };
            match byte {
                b']' if self.list.is_some() => {
                    self.skip()?;
                    self.list = None;
                }
                b',' | b';' => self.skip()?,
                b'}' | b'>' => {
                    self.skip()?;
                    self.list = self.open.pop().ok_or_else(|| self.malformed("closes what is not open"))?;
                    return Ok(Some(Event::Close));
                }
                _ => return self.field().map(Some),
            }
        }
    }

    fn field(&mut self) -> Result<Event, FormatError> {
        let name = match self.list.clone() {
            Some(name) => name,
            None => self.name()?,
        };
        self.blanks()?;
        let mut byte = self.peek()?;
        if byte == Some(b':') && self.list.is_none() {
            self.skip()?;
            self.blanks()?;
            byte = self.peek()?;
            if byte == Some(b'[') {
                self.skip()?;
                self.list = Some(name.clone());
                self.blanks()?;
                byte = self.peek()?;
                if byte == Some(b']') {
                    self.skip()?;
                    self.list = None;
                    return Ok(Event::Scalar(name, Vec::new()));
                }
            }
        }
        match byte {
            Some(b'{' | b'<') => {
                self.skip()?;
                if self.open.len() >= DEPTH_MAX {
                    return Err(FormatError::limit("protobuf_depth_max", DEPTH_MAX as u64));
                }
                self.open.push(self.list.take());
                Ok(Event::Open(name))
            }
            Some(b'"' | b'\'') => Ok(Event::Scalar(name, self.quoted()?)),
            Some(_) => Ok(Event::Scalar(name, self.word()?)),
            None => Err(self.malformed("ends before a value")),
        }
    }

    /// A field name, or the bracketed name of an extension or `Any` type.
    fn name(&mut self) -> Result<String, FormatError> {
        let start = self.r.position();
        let mut out = Vec::new();
        while let Some(byte) = self.peek()? {
            if !(byte.is_ascii_alphanumeric() || b"_.[]/-".contains(&byte)) || out.len() >= 256 {
                break;
            }
            out.push(byte);
            self.skip()?;
        }
        if out.is_empty() {
            return Err(FormatError::malformed("field name", start, "no field can start here"));
        }
        Ok(String::from_utf8_lossy(&out).into_owned())
    }

    /// A number, a word of an enumeration, `true`.
    fn word(&mut self) -> Result<Vec<u8>, FormatError> {
        let mut out = Vec::new();
        while let Some(byte) = self.peek()? {
            if byte.is_ascii_whitespace() || b"{}<>[],;#:\"'".contains(&byte) {
                break;
            }
            if out.len() < VALUE_BYTES_MAX {
                out.push(byte);
            }
            self.skip()?;
        }
        if out.is_empty() { Err(self.malformed("no value can start here")) } else { Ok(out) }
    }

    /// One or more quoted parts side by side, which make up one value.
    fn quoted(&mut self) -> Result<Vec<u8>, FormatError> {
        let mut out = Vec::new();
        while let Some(quote @ (b'"' | b'\'')) = self.peek()? {
            self.skip()?;
            self.quoted_part(quote, &mut out)?;
            self.blanks()?;
        }
        Ok(out)
    }

    fn quoted_part(&mut self, quote: u8, out: &mut Vec<u8>) -> Result<(), FormatError> {
        loop {
            let Some(byte) = self.peek()? else { return Err(self.malformed("text without end")) };
            self.skip()?;
            let value = match byte {
                b if b == quote => return Ok(()),
                b'\\' => self.escape()?,
                other => other,
            };
            if out.len() < VALUE_BYTES_MAX {
                out.push(value);
            }
        }
    }

    /// What stands after a backslash. Unicode escapes, which no writer makes,
    /// are kept as their letters.
    fn escape(&mut self) -> Result<u8, FormatError> {
        let Some(byte) = self.peek()? else { return Err(self.malformed("text without end")) };
        self.skip()?;
        Ok(match byte {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'a' => 7,
            b'b' => 8,
            b'f' => 12,
            b'v' => 11,
            b'x' | b'X' => self.digits(16, 2, 0)?,
            b'0'..=b'7' => self.digits(8, 2, u32::from(byte - b'0'))?,
            other => other,
        })
    }

    fn digits(&mut self, radix: u32, count: u32, first: u32) -> Result<u8, FormatError> {
        let mut value = first;
        for _ in 0..count {
            let Some(digit) = self.peek()?.and_then(|b| char::from(b).to_digit(radix)) else { break };
            value = value * radix + digit;
            self.skip()?;
        }
        Ok(u8::try_from(value & 0xff).unwrap_or_default())
    }

    /// White space and comments.
    fn blanks(&mut self) -> Result<(), FormatError> {
        let mut comment = false;
        while let Some(byte) = self.peek()? {
            match byte {
                b'\n' => comment = false,
                b'#' => comment = true,
                b if comment || b.is_ascii_whitespace() => {}
                _ => return Ok(()),
            }
            self.skip()?;
        }
        Ok(())
    }

    fn peek(&mut self) -> Result<Option<u8>, FormatError> {
        Ok(self.r.peek(1)?.first().copied())
    }

    fn skip(&mut self) -> Result<(), FormatError> {
        self.r.skip(1, "text")
    }

    fn malformed(&self, reason: &'static str) -> FormatError {
        FormatError::malformed("text message", self.r.position(), reason)
    }
}
