use crate::core::{FormatError, Input, Inspection, Reader};

use super::DEPTH_MAX;

/// Bytes of the longest varint (64 bits in groups of 7).
const VARINT_BYTES_MAX: u32 = 10;
/// Messages gathered by [`Message::descend`].
pub const DESCEND_MAX: usize = 100_000;

/// The body of a message: a range of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message {
    /// Offset of the first byte.
    pub start: u64,
    /// Offset after the last byte.
    pub end: u64,
}

/// One field of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Field number, never 0.
    pub number: u32,
    /// Offset of its tag.
    pub at: u64,
    /// What it holds.
    pub value: Value,
}

/// The value of a field, by wire type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 1.
    Fixed64(u64),
    /// Wire type 2: text, bytes, a message or packed numbers; not read yet.
    Bytes(Message),
    /// Wire types 3 and 4: the fields between the two tags.
    Group(Message),
    /// Wire type 5.
    Fixed32(u32),
}

/// Walks the fields of one [`Message`].
#[derive(Debug, Clone, Copy)]
pub struct Fields {
    pos: u64,
    end: u64,
}

impl Message {
    /// All of `input`.
    #[must_use]
    pub fn whole(input: &Input) -> Self {
        Self { start: 0, end: input.len() }
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its fields, from the first.
    #[must_use]
    pub fn fields(&self) -> Fields {
        Fields { pos: self.start, end: self.end }
    }

    /// Its bytes, at most `max` of them.
    ///
    /// # Errors
    /// [`FormatError::Truncated`] and [`FormatError::Io`].
    pub fn prefix(&self, r: &mut Reader<'_>, max: usize, field: &'static str) -> Result<Vec<u8>, FormatError> {
        r.seek(self.start, field)?;
        r.bytes(self.len().min(max as u64), max, field)
    }

    /// Its bytes as text: at most `max` of them, others than UTF-8 replaced.
    ///
    /// # Errors
    /// As [`Self::prefix`].
    pub fn text(&self, r: &mut Reader<'_>, max: usize, field: &'static str) -> Result<String, FormatError> {
        Ok(String::from_utf8_lossy(&self.prefix(r, max, field)?).into_owned())
    }

    /// The bodies of all fields along a path of field numbers, at most
    /// [`DESCEND_MAX`] of each.
    ///
    /// # Errors
    /// As [`Fields::next`].
    pub fn descend(
        &self,
        ctx: &mut Inspection<'_>,
        r: &mut Reader<'_>,
        path: &[u32],
    ) -> Result<Vec<Message>, FormatError> {
        let mut level = vec![*self];
        for number in path {
            let mut next = Vec::new();
            for message in level {
                let mut fields = message.fields();
                while let Some(field) = fields.next(ctx, r)? {
                    if let Value::Bytes(inner) = field.value
                        && field.number == *number
                        && next.len() < DESCEND_MAX
                    {
                        next.push(inner);
                    }
                }
            }
            level = next;
        }
        Ok(level)
    }

    /// The part of `input` it covers.
    #[must_use]
    pub fn slice(&self, input: &Input) -> Option<Input> {
        input.slice(self.start, self.len())
    }
}

impl Fields {
    /// The next field, or `None` at the end of the message. Takes one step
    /// from the work budget.
    ///
    /// # Errors
    /// [`FormatError::Malformed`] for field 0, unknown wire types, varints
    /// over 10 bytes and groups without end; [`FormatError::Truncated`] for
    /// bodies beyond the end of the message.
    pub fn next(&mut self, ctx: &mut Inspection<'_>, r: &mut Reader<'_>) -> Result<Option<Field>, FormatError> {
        if self.pos >= self.end {
            return Ok(None);
        }
        ctx.work(1)?;
        let at = self.pos;
        let (number, wire) = self.tag(r)?;
        let value = match wire {
            0 => Value::Varint(self.varint(r, "varint")?),
            1 => {
                self.seek(r, 8, "64-bit field")?;
                Value::Fixed64(r.u64_le("64-bit field")?)
            }
            2 => Value::Bytes(self.body(r)?),
            3 => Value::Group(self.group(ctx, r, number, at)?),
            5 => {
                self.seek(r, 4, "32-bit field")?;
                Value::Fixed32(r.u32_le("32-bit field")?)
            }
            4 => return Err(FormatError::malformed("tag", at, "end of a group that did not start")),
            _ => return Err(FormatError::malformed("tag", at, format!("wire type {wire} does not exist"))),
        };
        Ok(Some(Field { number, at, value }))
    }

    /// Offset of the next field.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.pos
    }

    /// Steps over `n` bytes of this message, with `r` left at the first.
    fn seek(&mut self, r: &mut Reader<'_>, n: u64, field: &'static str) -> Result<(), FormatError> {
        let end = self.pos.checked_add(n).filter(|end| *end <= self.end);
        let end = end.ok_or_else(|| FormatError::truncated(field, self.pos))?;
        r.seek(self.pos, field)?;
        self.pos = end;
        Ok(())
    }

    fn tag(&mut self, r: &mut Reader<'_>) -> Result<(u32, u8), FormatError> {
        let at = self.pos;
        let tag = self.varint(r, "tag")?;
        let number = u32::try_from(tag >> 3).ok().filter(|n| *n != 0 && *n < 1 << 29);
        let number = number.ok_or_else(|| FormatError::malformed("tag", at, "field number out of range"))?;
        let wire = u8::try_from(tag & 7).unwrap_or_default();
        Ok((number, wire))
    }

    fn varint(&mut self, r: &mut Reader<'_>, field: &'static str) -> Result<u64, FormatError> {
        let at = self.pos;
        let mut value = 0u64;
        for group in 0..VARINT_BYTES_MAX {
            self.seek(r, 1, field)?;
            let byte = r.u8(field)?;
            // As the reference decoders do, bits beyond the 64th are dropped.
            value |= u64::from(byte & 0x7f).wrapping_shl(group * 7);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(FormatError::malformed(field, at, "a varint of more than 10 bytes"))
    }

    fn body(&mut self, r: &mut Reader<'_>) -> Result<Message, FormatError> {
        let len = self.varint(r, "length")?;
        let start = self.pos;
        let end = start.checked_add(len).filter(|end| *end <= self.end);
        self.pos = end.ok_or_else(|| FormatError::truncated("length-delimited field", start))?;
        Ok(Message { start, end: self.pos })
    }

    /// Steps to the end of the group `number`, over groups in it.
    fn group(
        &mut self,
        ctx: &mut Inspection<'_>,
        r: &mut Reader<'_>,
        number: u32,
        at: u64,
    ) -> Result<Message, FormatError> {
        let start = self.pos;
        let mut open = vec![number];
        loop {
            if self.pos >= self.end {
                return Err(FormatError::malformed("group", at, "does not end"));
            }
            ctx.work(1)?;
            let tag_at = self.pos;
            let (inner, wire) = self.tag(r)?;
            match wire {
                0 => drop(self.varint(r, "varint")?),
                1 => self.seek(r, 8, "64-bit field")?,
                2 => drop(self.body(r)?),
                3 if open.len() >= DEPTH_MAX as usize => {
                    return Err(FormatError::limit("protobuf_depth_max", DEPTH_MAX.into()));
                }
                3 => open.push(inner),
                4 if open.pop() != Some(inner) => {
                    return Err(FormatError::malformed("group", tag_at, "ended by another's end"));
                }
                4 if open.is_empty() => return Ok(Message { start, end: tag_at }),
                4 => {}
                5 => self.seek(r, 4, "32-bit field")?,
                _ => return Err(FormatError::malformed("tag", tag_at, format!("wire type {wire} does not exist"))),
            }
        }
    }
}

impl Value {
    /// Every integer of a repeated varint field: the one value, or those
    /// packed into this field. Negative `int32` and `int64` come as their
    /// 64-bit two's complement.
    ///
    /// # Errors
    /// As [`Fields::next`].
    pub fn varints(
        &self,
        ctx: &mut Inspection<'_>,
        r: &mut Reader<'_>,
        mut each: impl FnMut(u64),
    ) -> Result<(), FormatError> {
        match self {
            Self::Varint(value) => each(*value),
            Self::Bytes(body) => {
                let mut packed = body.fields();
                while packed.pos < packed.end {
                    ctx.work(1)?;
                    each(packed.varint(r, "packed varint")?);
                }
            }
            _ => {}
        }
        Ok(())
    }
}
