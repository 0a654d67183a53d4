//! Local heaps (section III.D): names of an old group. Global heaps (section
//! III.E): strings and other values of variable length.

use super::file::{Block, File};
use crate::core::FormatError;

/// Largest data segment of a local heap that is read.
const LOCAL_HEAP_BYTES_MAX: u64 = 32 << 20;
/// Largest global heap collection that is read.
const COLLECTION_BYTES_MAX: u64 = 64 << 20;
/// Smallest object of a collection: its header alone.
const OBJECT_BYTES_MIN: usize = 8;

/// Names of an old-style group.
pub(super) struct LocalHeap(Block);

impl LocalHeap {
    pub fn read(file: &File, address: u64) -> Result<Self, FormatError> {
        let sizes = file.sizes();
        let len = 8 + 2 * u64::from(sizes.length) + u64::from(sizes.offset);
        let block = file.block(address, len, "local heap")?;
        let mut c = block.cursor();
        c.signature(b"HEAP")?;
        c.version(0, "local heap version")?;
        c.skip(3, "reserved")?;
        let size = c.length("local heap data size")?;
        c.length("local heap free list")?;
        let data = c.defined("local heap data address")?;
        if size > LOCAL_HEAP_BYTES_MAX {
            return Err(FormatError::limit("hdf5_local_heap_bytes_max", LOCAL_HEAP_BYTES_MAX));
        }
        Ok(Self(file.block_up_to(data, size, "local heap data")?))
    }

    /// The NUL-terminated text at `offset`.
    pub fn text(&self, offset: u64, field: &'static str) -> Result<String, FormatError> {
        let mut c = self.0.cursor();
        let at = usize::try_from(offset).map_err(|_| FormatError::truncated(field, self.0.base))?;
        c.skip(at, field)?;
        Ok(String::from_utf8_lossy(c.until_nul(field)?).into_owned())
    }
}

/// One global heap collection and where its objects lie in it.
pub(super) struct Collection {
    address: u64,
    block: Block,
    /// Index, start and length of each object.
    objects: Vec<(u32, usize, usize)>,
}

impl Collection {
    fn read(file: &File, address: u64) -> Result<Self, FormatError> {
        let prefix = 8 + u64::from(file.sizes().length);
        let head = file.block(address, prefix, "global heap collection")?;
        let mut c = head.cursor();
        c.signature(b"GCOL")?;
        let at = c.position();
        if c.u8("global heap version")? != 1 {
            return Err(FormatError::malformed("global heap version", at, "not 1"));
        }
        c.skip(3, "reserved")?;
        let size = c.length("global heap collection size")?;
        if size > COLLECTION_BYTES_MAX {
            return Err(FormatError::limit("hdf5_collection_bytes_max", COLLECTION_BYTES_MAX));
        }
        let block = file.block_up_to(address, size, "global heap collection")?;
        let mut objects = Vec::new();
        let mut c = block.cursor();
        c.skip(usize::try_from(prefix).unwrap_or(usize::MAX), "global heap collection")?;
        while c.remaining() >= OBJECT_BYTES_MIN + usize::from(file.sizes().length) {
            let index = c.u16("global heap object index")?;
            if index == 0 {
                break;
            }
            c.skip(6, "reference count")?;
            let len = c.length("global heap object size")?;
            let Ok(len) = usize::try_from(len) else { break };
            let start = c.consumed();
            if c.skip(len, "global heap object").is_err() {
                break;
            }
            c.align8();
            objects.push((index.into(), start, len));
        }
        objects.sort_by_key(|(index, ..)| *index);
        Ok(Self { address, block, objects })
    }

    fn object(&self, index: u32) -> Option<&[u8]> {
        let found = self.objects.binary_search_by_key(&index, |(i, ..)| *i).ok()?;
        let (_, start, len) = self.objects.get(found)?;
        self.block.bytes.get(*start..start.checked_add(*len)?)
    }
}

/// A copy of object `index` of the collection at `address`.
pub(super) fn global(file: &File, address: u64, index: u32) -> Result<Vec<u8>, FormatError> {
    let mut cached = file.collection.borrow_mut();
    if cached.as_ref().is_none_or(|c| c.address != address) {
        *cached = Some(Collection::read(file, address)?);
    }
    cached
        .as_ref()
        .and_then(|c| c.object(index))
        .map(<[u8]>::to_vec)
        .ok_or_else(|| FormatError::malformed("global heap object", file.offset(address), format!("no object {index}")))
}
