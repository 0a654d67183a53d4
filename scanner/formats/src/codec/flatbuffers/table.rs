use std::ops::Range;

use super::bytes::Bytes;
use crate::core::{FormatError, Input};

/// Bytes of a vtable's own fields: its length and the table's.
const VTABLE_HEAD_BYTES: u16 = 4;

/// A buffer of tables.
pub struct FlatBuffer {
    bytes: Bytes,
}

impl FlatBuffer {
    /// A buffer that fills `input`.
    #[must_use]
    pub fn new(input: &Input) -> Self {
        Self { bytes: Bytes::new(input) }
    }

    /// The root table, named by the offset at the start.
    ///
    /// # Errors
    /// If the table does not lie in the buffer.
    pub fn root(&self) -> Result<Table<'_>, FormatError> {
        let at = u32::from_le_bytes(self.bytes.array(0, "root offset")?);
        Table::at(&self.bytes, at.into(), "root table")
    }

    /// End of the last byte that anything read so far refers to.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.bytes.end()
    }
}

/// One table: fields by number, each present or absent.
#[derive(Clone, Copy)]
pub struct Table<'b> {
    bytes: &'b Bytes,
    at: u64,
    vtable: u64,
    vtable_len: u16,
    len: u16,
}

macro_rules! scalars {
    ($($name:ident $t:ty),*) => {$(
        #[doc = concat!("Field `id` as `", stringify!($t), "`, or `default` if it is absent.")]
        ///
        /// # Errors
        /// If the field leaves its table or the buffer.
        pub fn $name(&self, id: u16, default: $t, field: &'static str) -> Result<$t, FormatError> {
            match self.place(id, size_of::<$t>() as u64, field)? {
                Some(at) => Ok(<$t>::from_le_bytes(self.bytes.array(at, field)?)),
                None => Ok(default),
            }
        }
    )*};
}

impl<'b> Table<'b> {
    fn at(bytes: &'b Bytes, at: u64, field: &'static str) -> Result<Self, FormatError> {
        let back = i32::from_le_bytes(bytes.array(at, field)?);
        let vtable = at
            .checked_add_signed(-i64::from(back))
            .ok_or_else(|| FormatError::malformed(field, at, "vtable before the start"))?;
        let vtable_len = u16::from_le_bytes(bytes.array(vtable, "vtable length")?);
        let len = u16::from_le_bytes(bytes.array(vtable.saturating_add(2), "table length")?);
        if vtable_len < VTABLE_HEAD_BYTES || vtable_len % 2 != 0 || len < 4 {
            return Err(FormatError::malformed("vtable", vtable, "impossible lengths"));
        }
        bytes.check(vtable, vtable_len.into(), "vtable")?;
        bytes.check(at, len.into(), field)?;
        Ok(Self { bytes, at, vtable, vtable_len, len })
    }

    /// Where the table starts.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.at
    }

    /// Fields the table's vtable has room for.
    #[must_use]
    pub fn fields(&self) -> u16 {
        self.vtable_len.saturating_sub(VTABLE_HEAD_BYTES) / 2
    }

    scalars!(u8 u8, u32 u32, i32 i32, u64 u64, i64 i64, i8 i8);

    /// Whether field `id` is present.
    ///
    /// # Errors
    /// If the vtable cannot be read.
    pub fn has(&self, id: u16, field: &'static str) -> Result<bool, FormatError> {
        Ok(self.place(id, 1, field)?.is_some())
    }

    /// The table that field `id` refers to.
    ///
    /// # Errors
    /// If it does not lie in the buffer.
    pub fn table(&self, id: u16, field: &'static str) -> Result<Option<Table<'b>>, FormatError> {
        self.target(id, field)?.map(|at| Table::at(self.bytes, at, field)).transpose()
    }

    /// The text that field `id` refers to, of at most `max` bytes; bytes that
    /// are not UTF-8 are replaced.
    ///
    /// # Errors
    /// If it does not lie in the buffer, or is longer.
    pub fn string(&self, id: u16, max: usize, field: &'static str) -> Result<Option<String>, FormatError> {
        self.target(id, field)?.map(|at| string(self.bytes, at, max, field)).transpose()
    }

    /// The vector that field `id` refers to, of elements of `element_bytes`.
    ///
    /// # Errors
    /// If it does not lie in the buffer whole.
    pub fn vector(&self, id: u16, element_bytes: u64, field: &'static str) -> Result<Option<Vector<'b>>, FormatError> {
        self.target(id, field)?.map(|at| Vector::at(self.bytes, at, element_bytes, field)).transpose()
    }

    /// Where field `id` of `len` bytes lies, if the table has it.
    fn place(&self, id: u16, len: u64, field: &'static str) -> Result<Option<u64>, FormatError> {
        let slot = u64::from(VTABLE_HEAD_BYTES) + u64::from(id) * 2;
        if slot + 2 > self.vtable_len.into() {
            return Ok(None);
        }
        let offset = u64::from(u16::from_le_bytes(self.bytes.array(self.vtable + slot, field)?));
        match offset {
            0 => Ok(None),
            1..4 => Err(FormatError::malformed(field, self.at, "field inside the table's own offset")),
            _ if offset + len > self.len.into() => {
                Err(FormatError::malformed(field, self.at, "field outside its table"))
            }
            _ => Ok(Some(self.at + offset)),
        }
    }

    fn target(&self, id: u16, field: &'static str) -> Result<Option<u64>, FormatError> {
        let Some(at) = self.place(id, 4, field)? else { return Ok(None) };
        follow(self.bytes, at, field).map(Some)
    }
}

/// Elements in a row.
#[derive(Clone, Copy)]
pub struct Vector<'b> {
    bytes: &'b Bytes,
    start: u64,
    len: u32,
    element_bytes: u64,
}

impl<'b> Vector<'b> {
    fn at(bytes: &'b Bytes, at: u64, element_bytes: u64, field: &'static str) -> Result<Self, FormatError> {
        let len = u32::from_le_bytes(bytes.array(at, field)?);
        let start = at + 4;
        bytes.check(start, u64::from(len).saturating_mul(element_bytes), field)?;
        Ok(Self { bytes, start, len, element_bytes })
    }

    /// Elements in it.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes of all elements.
    #[must_use]
    pub fn range(&self) -> Range<u64> {
        self.start..self.start + u64::from(self.len) * self.element_bytes
    }

    /// The elements as content of its own.
    #[must_use]
    pub fn content(&self) -> Option<Input> {
        self.bytes.input().slice(self.start, u64::from(self.len) * self.element_bytes)
    }

    /// The elements as bytes, if they are at most `max`.
    ///
    /// # Errors
    /// [`FormatError::Limit`] beyond `max`.
    pub fn blob(&self, max: usize, field: &'static str) -> Result<Vec<u8>, FormatError> {
        self.bytes.blob(self.start, u64::from(self.len) * self.element_bytes, max, field)
    }

    /// Every element as a table.
    pub fn tables(self, field: &'static str) -> impl Iterator<Item = Result<Table<'b>, FormatError>> {
        self.places().map(move |at| Table::at(self.bytes, follow(self.bytes, at, field)?, field))
    }

    /// Every element as text of at most `max` bytes.
    pub fn strings(self, max: usize, field: &'static str) -> impl Iterator<Item = Result<String, FormatError>> {
        self.places().map(move |at| string(self.bytes, follow(self.bytes, at, field)?, max, field))
    }

    /// Every element as a number.
    pub fn i32s(self, field: &'static str) -> impl Iterator<Item = Result<i32, FormatError>> {
        self.places().map(move |at| Ok(i32::from_le_bytes(self.bytes.array(at, field)?)))
    }

    /// Every element as a number.
    pub fn i64s(self, field: &'static str) -> impl Iterator<Item = Result<i64, FormatError>> {
        self.places().map(move |at| Ok(i64::from_le_bytes(self.bytes.array(at, field)?)))
    }

    fn places(self) -> impl Iterator<Item = u64> {
        (0..u64::from(self.len)).map(move |i| self.start + i * self.element_bytes)
    }
}

/// The place that the offset at `at` refers to.
fn follow(bytes: &Bytes, at: u64, field: &'static str) -> Result<u64, FormatError> {
    let offset = u32::from_le_bytes(bytes.array(at, field)?);
    if offset == 0 {
        return Err(FormatError::malformed(field, at, "offset that refers to itself"));
    }
    Ok(at + u64::from(offset))
}

fn string(bytes: &Bytes, at: u64, max: usize, field: &'static str) -> Result<String, FormatError> {
    let len = u32::from_le_bytes(bytes.array(at, field)?);
    let text = bytes.blob(at + 4, len.into(), max, field)?;
    // The NUL that follows is part of the buffer.
    bytes.check(at + 4, u64::from(len) + 1, field)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}
