//! Attributes (sections IV.A.2.m and IV.A.2.v) and the values of elements.

use super::btree2::{self, record};
use super::cursor::Cursor;
use super::datatype::{self, Class, Datatype};
use super::file::File;
use super::fractal_heap::FractalHeap;
use super::header::{Message, kind};
use super::{heap, shared};
use crate::core::FormatError;

/// Most bytes of text taken from the global heap for one attribute or dataset.
const TEXT_BYTES_MAX: usize = 32 << 20;
/// Most elements of variable length looked up for one attribute or dataset.
const ELEMENTS_MAX: usize = 65_536;
/// Most dimensions (`H5S_MAX_RANK`).
const RANK_MAX: u8 = 32;

/// A named value of an object.
#[derive(Debug, Clone)]
pub struct Attribute {
    /// Its name.
    pub name: String,
    /// Type of its elements.
    pub datatype: Datatype,
    /// Extents; empty for a single value.
    pub shape: Vec<u64>,
    /// Elements as stored.
    pub raw: Vec<u8>,
}

/// Elements as far as they are text or bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Text, one for each element.
    Texts(Vec<Vec<u8>>),
    /// Bytes: opaque values, byte sequences, arrays of bytes, compounds.
    Blobs(Vec<Vec<u8>>),
    /// Numbers and references.
    Other,
}

impl Content {
    /// The one text, if that is what it is.
    #[must_use]
    pub fn text(&self) -> Option<&[u8]> {
        match self {
            Self::Texts(texts) => texts.first().map(Vec::as_slice),
            _ => None,
        }
    }
}

impl File {
    /// Elements of `attribute`, strings fetched from the global heap.
    ///
    /// # Errors
    /// Whatever the heap does wrong.
    pub fn content(&self, attribute: &Attribute) -> Result<Content, FormatError> {
        self.elements(&attribute.datatype, &attribute.raw)
    }

    /// Elements of type `datatype` stored in `raw`.
    ///
    /// # Errors
    /// Whatever the heap does wrong.
    pub fn elements(&self, datatype: &Datatype, raw: &[u8]) -> Result<Content, FormatError> {
        let size = usize::try_from(datatype.size).unwrap_or(usize::MAX).max(1);
        Ok(match &datatype.class {
            Class::Text => Content::Texts(raw.chunks_exact(size).take(ELEMENTS_MAX).map(unpadded).collect()),
            Class::VariableText => {
                let mut texts = self.sequences(raw, size)?;
                texts.iter_mut().for_each(|t| *t = unpadded(&*t));
                Content::Texts(texts)
            }
            Class::Sequence(of) if of.size == 1 => Content::Blobs(self.sequences(raw, size)?),
            Class::Array(of) if matches!(of.class, Class::Text) => self.elements(of, raw)?,
            Class::Integer | Class::Bits if size == 1 => Content::Blobs(vec![raw.to_vec()]),
            Class::Opaque(_) => Content::Blobs(raw.chunks_exact(size).take(ELEMENTS_MAX).map(<[u8]>::to_vec).collect()),
            Class::Compound(_) => Content::Blobs(vec![raw.to_vec()]),
            _ => Content::Other,
        })
    }

    /// Values of variable length: a length, a collection and an index each.
    fn sequences(&self, raw: &[u8], size: usize) -> Result<Vec<Vec<u8>>, FormatError> {
        let mut out = Vec::new();
        let mut total = 0usize;
        for element in raw.chunks_exact(size).take(ELEMENTS_MAX) {
            let mut c = Cursor::new(element, self.base, self.sizes());
            let len = usize::try_from(c.u32("sequence length")?).unwrap_or(usize::MAX);
            let address = c.address("sequence address")?;
            let index = c.u32("sequence index")?;
            let Some(address) = address.filter(|a| *a != 0 && len > 0) else {
                out.push(Vec::new());
                continue;
            };
            let mut value = heap::global(self, address, index)?;
            value.truncate(len);
            total = total.saturating_add(value.len());
            if total > TEXT_BYTES_MAX {
                return Err(FormatError::limit("hdf5_text_bytes_max", TEXT_BYTES_MAX as u64));
            }
            out.push(value);
        }
        Ok(out)
    }
}

/// Text without the NULs that fill it up, as h5py reads it.
fn unpadded(text: impl AsRef<[u8]>) -> Vec<u8> {
    let text = text.as_ref();
    let end = text.iter().rposition(|b| *b != 0).map_or(0, |n| n + 1);
    text.get(..end).unwrap_or_default().to_vec()
}

/// Hands every attribute of the object with these header messages to `found`.
/// One that cannot be read is handed to `damaged`, the rest go on.
pub(super) fn of_object(
    file: &File,
    messages: &[Message],
    found: &mut dyn FnMut(Result<Attribute, FormatError>),
) -> Result<(), FormatError> {
    for message in messages {
        match message.kind {
            kind::ATTRIBUTE => found(shared::resolve(file, message.clone()).and_then(|m| parse(file, &m.body, m.base))),
            kind::ATTRIBUTE_INFO => dense(file, Cursor::new(&message.body, message.base, file.sizes()), found)?,
            _ => {}
        }
    }
    Ok(())
}

/// Attributes kept in a fractal heap (section IV.A.2.v).
fn dense(
    file: &File,
    mut c: Cursor<'_>,
    found: &mut dyn FnMut(Result<Attribute, FormatError>),
) -> Result<(), FormatError> {
    c.version(0, "attribute info version")?;
    let flags = c.u8("attribute info flags")?;
    if flags & 1 != 0 {
        c.skip(2, "maximum creation index")?;
    }
    let heap = c.address("attribute heap")?;
    let names = c.address("attribute name index")?;
    let (Some(heap), Some(names)) = (heap, names) else { return Ok(()) };
    let heap = FractalHeap::read(file, heap)?;
    btree2::records(file, names, |kind, mut c| {
        if !matches!(kind, record::ATTRIBUTE_NAME | record::ATTRIBUTE_ORDER) {
            return Err(FormatError::malformed("attribute index", c.position(), "another kind of tree"));
        }
        let base = c.position();
        // Heap ids of messages have 8 bytes whatever the heap's own say.
        let id = c.take(8, "attribute heap id")?;
        let shared = c.u8("attribute flags")? & 2 != 0;
        found(heap.object(id).and_then(|body| {
            let message = shared::resolve(file, Message { kind: kind::ATTRIBUTE, shared, body, base })?;
            parse(file, &message.body, message.base)
        }));
        Ok(())
    })
}

/// An attribute message (section IV.A.2.m).
fn parse(file: &File, body: &[u8], base: u64) -> Result<Attribute, FormatError> {
    let mut c = Cursor::new(body, base, file.sizes());
    let at = c.position();
    let version = c.version(3, "attribute version")?;
    if version == 0 {
        return Err(FormatError::malformed("attribute version", at, "version 0"));
    }
    let flags = c.u8("attribute flags")?;
    let name_bytes = c.u16("attribute name size")?;
    let type_bytes = c.u16("attribute datatype size")?;
    let space_bytes = c.u16("attribute dataspace size")?;
    if version == 3 {
        c.skip(1, "attribute name character set")?;
    }
    let mut part = |len: u16, field| {
        let base = c.position();
        let bytes = c.take(len.into(), field)?;
        if version == 1 {
            c.skip(usize::from(len).next_multiple_of(8) - usize::from(len), "attribute padding")?;
        }
        Ok::<_, FormatError>((bytes.to_vec(), base))
    };
    let (name, _) = part(name_bytes, "attribute name")?;
    let datatype = part(type_bytes, "attribute datatype")?;
    let space = part(space_bytes, "attribute dataspace")?;
    let whole = |(body, base), kind, shared| shared::resolve(file, Message { kind, shared, body, base });
    let datatype = whole(datatype, kind::DATATYPE, version > 1 && flags & 1 != 0)?;
    let space = whole(space, kind::DATASPACE, version > 1 && flags & 2 != 0)?;
    let datatype = datatype::parse(&mut Cursor::new(&datatype.body, datatype.base, file.sizes()))?;
    let shape = dataspace(Cursor::new(&space.body, space.base, file.sizes()))?;
    let elements = count(shape.as_deref());
    let bytes = elements.and_then(|n| n.checked_mul(datatype.size.into())).unwrap_or(u64::MAX);
    let raw = c.take(usize::try_from(bytes).unwrap_or(usize::MAX), "attribute data")?.to_vec();
    let name = name.split(|b| *b == 0).next().unwrap_or_default();
    Ok(Attribute { name: String::from_utf8_lossy(name).into_owned(), datatype, shape: shape.unwrap_or_default(), raw })
}

/// Extents of a dataspace message (section IV.A.2.b): `None` for the null
/// dataspace, empty for a single value.
pub(super) fn dataspace(mut c: Cursor<'_>) -> Result<Option<Vec<u64>>, FormatError> {
    let at = c.position();
    let version = c.version(2, "dataspace version")?;
    let rank = c.u8("dataspace rank")?;
    c.skip(1, "dataspace flags")?;
    if rank > RANK_MAX {
        return Err(FormatError::malformed("dataspace rank", at, format!("{rank} dimensions")));
    }
    if version == 2 {
        if c.u8("dataspace type")? == 2 {
            return Ok(None);
        }
    } else {
        c.skip(5, "reserved")?;
    }
    (0..rank).map(|_| c.length("dimension")).collect::<Result<_, _>>().map(Some)
}

/// Number of elements of a dataspace; `None` if it overflows.
pub(super) fn count(shape: Option<&[u64]>) -> Option<u64> {
    shape.map_or(Some(0), |dims| dims.iter().try_fold(1u64, |n, d| n.checked_mul(*d)))
}
