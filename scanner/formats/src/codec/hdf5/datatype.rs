//! Datatypes (section IV.A.2.d), as far as telling text, bytes and numbers
//! apart needs.

use super::cursor::{Cursor, width_for};
use crate::core::FormatError;

/// Deepest nesting of compounds, arrays and sequences; the library itself
/// writes what programs build, rarely more than three.
const DEPTH_MAX: u8 = 16;
/// Most members of one compound or enumeration.
const MEMBERS_MAX: u16 = 4096;

/// A datatype.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datatype {
    /// Bytes of one element as stored.
    pub size: u32,
    /// What an element is.
    pub class: Class,
}

/// What an element of a [`Datatype`] is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Class {
    /// An integer.
    Integer,
    /// A floating-point number, complex ones included.
    Float,
    /// A point in time.
    Time,
    /// Text of fixed length.
    Text,
    /// Bits.
    Bits,
    /// Bytes without meaning to the library, with the writer's tag.
    Opaque(String),
    /// Named members.
    Compound(Vec<(String, Datatype)>),
    /// A reference to an object or region.
    Reference,
    /// Named integers.
    Enumeration,
    /// Text of any length, in a global heap.
    VariableText,
    /// Elements of any number, in a global heap.
    Sequence(Box<Datatype>),
    /// A fixed number of elements.
    Array(Box<Datatype>),
    /// A class that the specification does not know.
    Unknown(u8),
}

impl Datatype {
    /// Name for people: `float32`, `text`.
    #[must_use]
    pub fn name(&self) -> String {
        let bits = u64::from(self.size) * 8;
        match &self.class {
            Class::Integer => format!("int{bits}"),
            Class::Float => format!("float{bits}"),
            Class::Time => "time".into(),
            Class::Text | Class::VariableText => "text".into(),
            Class::Bits => format!("bits{bits}"),
            Class::Opaque(_) => "opaque".into(),
            Class::Compound(_) => "compound".into(),
            Class::Reference => "reference".into(),
            Class::Enumeration => "enumeration".into(),
            Class::Sequence(_) => "sequence".into(),
            Class::Array(of) => format!("array of {}", of.name()),
            Class::Unknown(n) => format!("class {n}"),
        }
    }
}

/// Reads the datatype at `c`.
pub(super) fn parse(c: &mut Cursor<'_>) -> Result<Datatype, FormatError> {
    nested(c, 0)
}

fn nested(c: &mut Cursor<'_>, depth: u8) -> Result<Datatype, FormatError> {
    if depth > DEPTH_MAX {
        return Err(FormatError::limit("hdf5_datatype_depth_max", DEPTH_MAX.into()));
    }
    let class_and_version = c.u8("datatype class")?;
    let version = class_and_version >> 4;
    let bits = c.uint(3, "datatype bit field")?;
    let size = c.u32("datatype size")?;
    let class = match class_and_version & 0x0f {
        0 => skipped(c, 4, Class::Integer)?,
        1 => skipped(c, 12, Class::Float)?,
        2 => skipped(c, 2, Class::Time)?,
        3 => Class::Text,
        4 => skipped(c, 4, Class::Bits)?,
        5 => {
            let tag = c.take(usize::try_from(bits & 0xff).unwrap_or(0), "opaque tag")?;
            let tag = tag.split(|b| *b == 0).next().unwrap_or_default();
            Class::Opaque(String::from_utf8_lossy(tag).into_owned())
        }
        6 => compound(c, version, members(c, bits)?, size, depth)?,
        7 => Class::Reference,
        8 => enumeration(c, version, members(c, bits)?, depth)?,
        9 => {
            let base = nested(c, depth + 1)?;
            if bits & 0x0f == 1 { Class::VariableText } else { Class::Sequence(Box::new(base)) }
        }
        10 => {
            let rank = usize::from(c.u8("array rank")?);
            c.skip(if version < 3 { 3 + rank * 8 } else { rank * 4 }, "array dimensions")?;
            Class::Array(Box::new(nested(c, depth + 1)?))
        }
        // Complex numbers, since library version 2.0.
        11 => {
            nested(c, depth + 1)?;
            Class::Float
        }
        other => Class::Unknown(other),
    };
    Ok(Datatype { size, class })
}

fn skipped(c: &mut Cursor<'_>, n: usize, class: Class) -> Result<Class, FormatError> {
    c.skip(n, "datatype properties")?;
    Ok(class)
}

/// The member count in the class bit field.
fn members(c: &Cursor<'_>, bits: u64) -> Result<u16, FormatError> {
    let count = u16::try_from(bits & 0xffff).unwrap_or(u16::MAX);
    if count > MEMBERS_MAX {
        return Err(FormatError::malformed("datatype members", c.position(), format!("{count} members")));
    }
    Ok(count)
}

/// A member name: padded to 8 bytes before version 3.
fn name(c: &mut Cursor<'_>, version: u8) -> Result<String, FormatError> {
    let before = c.remaining();
    let name = String::from_utf8_lossy(c.until_nul("member name")?).into_owned();
    if version < 3 {
        let used = before - c.remaining();
        c.skip(used.next_multiple_of(8) - used, "member name padding")?;
    }
    Ok(name)
}

fn compound(c: &mut Cursor<'_>, version: u8, count: u16, size: u32, depth: u8) -> Result<Class, FormatError> {
    let mut out = Vec::new();
    for _ in 0..count {
        let name = name(c, version)?;
        match version {
            1 => c.skip(4 + 1 + 3 + 4 + 4 + 16, "member offset and dimensions")?,
            2 => c.skip(4, "member offset")?,
            _ => c.skip(width_for(size.into()).into(), "member offset")?,
        }
        out.push((name, nested(c, depth + 1)?));
    }
    Ok(Class::Compound(out))
}

fn enumeration(c: &mut Cursor<'_>, version: u8, count: u16, depth: u8) -> Result<Class, FormatError> {
    let base = nested(c, depth + 1)?;
    for _ in 0..count {
        name(c, version)?;
    }
    let values = u64::from(count) * u64::from(base.size);
    c.skip(usize::try_from(values).unwrap_or(usize::MAX), "enumeration values")?;
    Ok(Class::Enumeration)
}
