//! Where a dataset's elements are (sections IV.A.2.h, IV.A.2.i, IV.A.2.l).

use super::chunks::{Chunks, Index};
use super::cursor::Cursor;
use super::datatype::{self, Class, Datatype};
use super::file::File;
use super::header::{Message, kind};
use super::heap::LocalHeap;
use super::shared;
use super::value::{count, dataspace};
use super::virtual_layout::{self, VirtualSource};
use crate::core::FormatError;

/// Most filters of one pipeline (`H5Z_MAX_NFILTERS`).
const FILTERS_MAX: u8 = 32;
/// Most external files of one dataset.
const EXTERNAL_FILES_MAX: u16 = 1024;
/// First filter id whose entry carries a name.
const NAMED_FILTER: u16 = 256;

/// A dataset as its header describes it.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// Type of its elements.
    pub datatype: Datatype,
    /// Extents; empty for a single value, `None` for no values at all.
    pub shape: Option<Vec<u64>>,
    /// Where the elements are.
    pub storage: Storage,
    /// What they went through on their way there, in order.
    pub filters: Vec<Filter>,
    /// Other files that hold them instead.
    pub external: Vec<ExternalFile>,
}

/// Where a dataset's elements are.
#[derive(Debug, Clone)]
pub enum Storage {
    /// Nowhere yet, or a layout that is not known.
    None,
    /// In the header itself.
    Compact(Vec<u8>),
    /// In one piece.
    Contiguous {
        /// Where; `None` if never written, or kept in external files.
        address: Option<u64>,
        /// Bytes.
        len: u64,
    },
    /// In pieces behind an index.
    Chunked(Chunks),
    /// In other datasets, of this or other files.
    Virtual(Vec<VirtualSource>),
}

/// A step of a filter pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// Registered number; 0 to 255 belong to the library.
    pub id: u16,
    /// Name, if stored.
    pub name: String,
    /// Parameters.
    pub parameters: Vec<u32>,
}

/// A file that holds elements of a dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalFile {
    /// Path, as stored.
    pub name: String,
    /// Where in it the elements start.
    pub offset: u64,
    /// How many bytes there are for this dataset.
    pub len: u64,
}

impl Dataset {
    /// Number of elements; `None` if it overflows.
    #[must_use]
    pub fn elements(&self) -> Option<u64> {
        count(self.shape.as_deref())
    }

    /// Bytes of all elements; `None` if it overflows.
    #[must_use]
    pub fn bytes(&self) -> Option<u64> {
        self.elements()?.checked_mul(self.datatype.size.into())
    }

    /// Whether elements are numbers: plain tensor data.
    #[must_use]
    pub fn is_numeric(&self) -> bool {
        matches!(self.datatype.class, Class::Float | Class::Integer if self.datatype.size > 1)
            || matches!(self.datatype.class, Class::Float | Class::Bits | Class::Enumeration)
    }

    /// From the header messages of an object; `None` if it is no dataset.
    pub(super) fn read(
        file: &File,
        messages: &[Message],
        damaged: &mut Vec<FormatError>,
    ) -> Result<Option<Self>, FormatError> {
        if !messages.iter().any(|m| m.kind == kind::LAYOUT) {
            return Ok(None);
        }
        let mut datatype = None;
        let mut shape = None;
        let mut storage = Storage::None;
        let mut filters = Vec::new();
        let mut external = Vec::new();
        const OURS: [u16; 5] = [kind::DATATYPE, kind::DATASPACE, kind::LAYOUT, kind::FILTERS, kind::EXTERNAL_FILES];
        for message in messages.iter().filter(|m| OURS.contains(&m.kind)) {
            let Ok(message) = shared::resolve(file, message.clone()).map_err(|e| damaged.push(e)) else { continue };
            let mut c = Cursor::new(&message.body, message.base, file.sizes());
            let read = match message.kind {
                kind::DATATYPE => datatype::parse(&mut c).map(|t| datatype = Some(t)),
                kind::DATASPACE => dataspace(c).map(|s| shape = s),
                kind::LAYOUT => layout(file, c).map(|s| storage = s),
                kind::FILTERS => pipeline(c).map(|f| filters = f),
                kind::EXTERNAL_FILES => external_files(file, c).map(|e| external.extend(e)),
                _ => Ok(()),
            };
            if let Err(error) = read {
                damaged.push(error);
            }
        }
        let Some(datatype) = datatype else { return Ok(None) };
        Ok(Some(Self { datatype, shape, storage, filters, external }))
    }
}

/// A data layout message (section IV.A.2.i).
fn layout(file: &File, mut c: Cursor<'_>) -> Result<Storage, FormatError> {
    let version = c.version(5, "layout version")?;
    if version < 3 {
        return old_layout(c);
    }
    let class = c.u8("layout class")?;
    match class {
        0 => {
            let len = c.u16("compact size")?;
            Ok(Storage::Compact(c.take(len.into(), "compact data")?.to_vec()))
        }
        1 => {
            let address = c.address("contiguous address")?;
            Ok(Storage::Contiguous { address, len: c.length("contiguous size")? })
        }
        2 if version == 3 => {
            let rank = c.u8("chunk rank")?;
            let tree = c.address("chunk b-tree")?;
            let shape = (0..rank).map(|_| c.u32("chunk dimension").map(u64::from)).collect::<Result<Vec<_>, _>>()?;
            Ok(Storage::Chunked(Chunks::new(shape, Index::Tree1(tree))))
        }
        2 => Ok(Storage::Chunked(Chunks::parse(c)?)),
        3 => {
            let address = c.address("virtual mapping address")?;
            let index = c.u32("virtual mapping index")?;
            let sources = address.map_or(Ok(Vec::new()), |address| virtual_layout::read(file, address, index))?;
            Ok(Storage::Virtual(sources))
        }
        _ => Ok(Storage::None),
    }
}

/// Layout versions 1 and 2.
fn old_layout(mut c: Cursor<'_>) -> Result<Storage, FormatError> {
    let rank = c.u8("layout rank")?;
    let class = c.u8("layout class")?;
    c.skip(5, "reserved")?;
    let address = if class == 0 { None } else { c.address("data address")? };
    let shape = (0..rank).map(|_| c.u32("layout dimension").map(u64::from)).collect::<Result<Vec<_>, _>>()?;
    Ok(match class {
        0 => {
            let len = usize::try_from(c.u32("compact size")?).unwrap_or(usize::MAX);
            Storage::Compact(c.take(len, "compact data")?.to_vec())
        }
        // The dimensions are bytes: the last one is the element size.
        1 => Storage::Contiguous { address, len: count(Some(&shape)).unwrap_or(u64::MAX) },
        2 => Storage::Chunked(Chunks::new(shape, Index::Tree1(address))),
        _ => Storage::None,
    })
}

/// A filter pipeline message (section IV.A.2.l).
fn pipeline(mut c: Cursor<'_>) -> Result<Vec<Filter>, FormatError> {
    let at = c.position();
    let version = c.version(2, "filter pipeline version")?;
    let count = c.u8("filter count")?;
    if count > FILTERS_MAX {
        return Err(FormatError::malformed("filter count", at, format!("{count} filters")));
    }
    if version < 2 {
        c.skip(6, "reserved")?;
    }
    let mut out = Vec::new();
    for _ in 0..count {
        let id = c.u16("filter id")?;
        let name_bytes = if version < 2 || id >= NAMED_FILTER { c.u16("filter name length")? } else { 0 };
        c.skip(2, "filter flags")?;
        let parameters = c.u16("filter parameter count")?;
        let name = c.take(name_bytes.into(), "filter name")?;
        let name = name.split(|b| *b == 0).next().unwrap_or_default();
        if version < 2 {
            let padding = usize::from(name_bytes).next_multiple_of(8) - usize::from(name_bytes);
            c.skip(padding, "filter name padding")?;
        }
        let values = (0..parameters).map(|_| c.u32("filter parameter")).collect::<Result<Vec<_>, _>>()?;
        if version < 2 && parameters % 2 == 1 {
            c.skip(4, "filter parameter padding")?;
        }
        out.push(Filter { id, name: String::from_utf8_lossy(name).into_owned(), parameters: values });
    }
    Ok(out)
}

/// An external data files message (section IV.A.2.h).
fn external_files(file: &File, mut c: Cursor<'_>) -> Result<Vec<ExternalFile>, FormatError> {
    c.version(1, "external files version")?;
    c.skip(3, "reserved")?;
    c.skip(2, "allocated slots")?;
    let used = c.u16("used slots")?;
    if used > EXTERNAL_FILES_MAX {
        return Err(FormatError::limit("hdf5_external_files_max", EXTERNAL_FILES_MAX.into()));
    }
    let heap = LocalHeap::read(file, c.defined("external files heap")?)?;
    (0..used)
        .map(|_| {
            let name = heap.text(c.length("external name offset")?, "external file name")?;
            Ok(ExternalFile { name, offset: c.length("external offset")?, len: c.length("external size")? })
        })
        .collect()
}
