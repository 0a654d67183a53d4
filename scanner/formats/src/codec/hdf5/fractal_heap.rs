//! Fractal heaps (section III.G): links and attributes of objects that have
//! many of them.

use std::cell::OnceCell;
use std::collections::HashMap;

use super::btree2::{self, record};
use super::cursor::{Cursor, width_for};
use super::file::File;
use crate::core::FormatError;

/// Largest object taken from a heap; the attribute of a large model's
/// configuration is such an object.
const OBJECT_BYTES_MAX: u64 = 32 << 20;
/// Most objects too large for the heap proper.
const HUGE_OBJECTS_MAX: usize = 65_536;
/// Longest heap id.
const ID_BYTES_MAX: u16 = 64;
/// Indirect blocks between the root and an object; each level has twice the
/// rows of the one below.
const INDIRECT_DEPTH_MAX: u8 = 16;
/// Longest id whose tiny object has a length of four bits.
const TINY_SHORT_MAX: u16 = 17;

/// A heap's header and what is needed to find objects in it.
pub(super) struct FractalHeap<'f> {
    file: &'f File,
    id_bytes: u16,
    filtered: bool,
    huge_index: Option<u64>,
    table: DoublingTable,
    huge: OnceCell<HashMap<u64, (u64, u64)>>,
}

/// Shape of the managed space (section III.G, "doubling table").
struct DoublingTable {
    width: u64,
    start_bytes: u64,
    max_direct_bytes: u64,
    offset_width: u8,
    length_width: u8,
    root: Option<u64>,
    /// Rows of the root indirect block; 0 if the root is a direct block.
    root_rows: u16,
}

impl<'f> FractalHeap<'f> {
    pub fn read(file: &'f File, address: u64) -> Result<Self, FormatError> {
        let sizes = file.sizes();
        let len = 26 + 12 * u64::from(sizes.length) + 3 * u64::from(sizes.offset);
        let block = file.block_up_to(address, len, "fractal heap")?;
        let mut c = block.cursor();
        c.signature(b"FRHP")?;
        c.version(0, "fractal heap version")?;
        let at = c.position();
        let id_bytes = c.u16("heap id length")?;
        let filtered = c.u16("filter information size")? > 0;
        c.skip(1, "fractal heap flags")?;
        let max_managed = c.u32("largest managed object")?;
        c.length("next huge id")?;
        let huge_index = c.address("huge object index")?;
        c.length("free space")?;
        c.address("free space manager")?;
        for _ in 0..8 {
            c.length("fractal heap statistics")?;
        }
        let width = u64::from(c.u16("table width")?);
        let start_bytes = c.length("starting block size")?;
        let max_direct_bytes = c.length("largest direct block")?;
        let max_bits = c.u16("heap size bits")?;
        c.skip(2, "starting rows of the root")?;
        let root = c.address("root block")?;
        let root_rows = c.u16("rows of the root")?;
        let sane = (2..=ID_BYTES_MAX).contains(&id_bytes)
            && max_bits <= 64
            && width.is_power_of_two()
            && start_bytes.is_power_of_two()
            && max_direct_bytes.is_power_of_two()
            && max_direct_bytes >= start_bytes;
        if !sane {
            return Err(FormatError::malformed("fractal heap", at, "sizes no writer chooses"));
        }
        let table = DoublingTable {
            width,
            start_bytes,
            max_direct_bytes,
            offset_width: u8::try_from(max_bits.div_ceil(8)).unwrap_or(8),
            length_width: u8::try_from(max_direct_bytes.ilog2().div_ceil(8))
                .unwrap_or(8)
                .min(width_for(max_managed.into())),
            root,
            root_rows,
        };
        Ok(Self { file, id_bytes, filtered, huge_index, table, huge: OnceCell::new() })
    }

    /// Bytes of an id in this heap.
    pub fn id_bytes(&self) -> usize {
        self.id_bytes.into()
    }

    /// The object with this id.
    pub fn object(&self, id: &[u8]) -> Result<Vec<u8>, FormatError> {
        let mut c = Cursor::new(id, 0, self.file.sizes());
        let flags = c.u8("heap id")?;
        match flags >> 4 & 3 {
            0 => self.managed(c),
            1 => self.huge(c),
            2 => self.tiny(flags, c),
            _ => Err(self.malformed("heap id of an unknown type")),
        }
    }

    fn malformed(&self, reason: &'static str) -> FormatError {
        FormatError::malformed("fractal heap", self.file.base, reason)
    }

    fn tiny(&self, flags: u8, mut c: Cursor<'_>) -> Result<Vec<u8>, FormatError> {
        let mut len = usize::from(flags & 0x0f);
        if self.id_bytes > TINY_SHORT_MAX {
            len = len << 8 | usize::from(c.u8("tiny object length")?);
        }
        Ok(c.take(len + 1, "tiny object")?.to_vec())
    }

    fn huge(&self, mut c: Cursor<'_>) -> Result<Vec<u8>, FormatError> {
        if self.filtered {
            return Err(self.malformed("filtered heaps are not read"));
        }
        let sizes = self.file.sizes();
        let direct = u16::from(sizes.offset) + u16::from(sizes.length) < self.id_bytes;
        let (address, len) = if direct {
            (c.defined("huge object address")?, c.length("huge object length")?)
        } else {
            let width = u8::try_from(c.remaining()).unwrap_or(8).min(sizes.length);
            let id = c.uint(width, "huge object id")?;
            *self.huge_objects()?.get(&id).ok_or_else(|| self.malformed("a huge object that is not indexed"))?
        };
        self.read_object(address, len)
    }

    /// Places of all huge objects by id, read once.
    fn huge_objects(&self) -> Result<&HashMap<u64, (u64, u64)>, FormatError> {
        if let Some(known) = self.huge.get() {
            return Ok(known);
        }
        let index = self.huge_index.ok_or_else(|| self.malformed("a huge object without an index"))?;
        let mut out = HashMap::new();
        btree2::records(self.file, index, |kind, mut c| {
            if kind == record::HUGE_INDIRECT && out.len() < HUGE_OBJECTS_MAX {
                let address = c.defined("huge object address")?;
                let len = c.length("huge object length")?;
                out.insert(c.length("huge object id")?, (address, len));
            }
            Ok(())
        })?;
        Ok(self.huge.get_or_init(|| out))
    }

    fn managed(&self, mut c: Cursor<'_>) -> Result<Vec<u8>, FormatError> {
        let t = &self.table;
        let offset = c.uint(t.offset_width, "managed object offset")?;
        let len = c.uint(t.length_width, "managed object length")?;
        if self.filtered {
            return Err(self.malformed("filtered heaps are not read"));
        }
        let root = t.root.ok_or_else(|| self.malformed("an object in a heap without blocks"))?;
        if t.root_rows == 0 {
            return self.read_object(root.saturating_add(offset), len);
        }
        let (block, within) = self.direct_block(root, offset)?;
        self.read_object(block.saturating_add(within), len)
    }

    /// The direct block that covers `offset` of the heap, and the offset in it.
    fn direct_block(&self, root: u64, mut offset: u64) -> Result<(u64, u64), FormatError> {
        let t = &self.table;
        let sizes = self.file.sizes();
        let mut block = root;
        for _ in 0..INDIRECT_DEPTH_MAX {
            let (row, column, within, bytes) = t.place(offset);
            let entry = row.saturating_mul(t.width).saturating_add(column);
            let header = 5 + u64::from(sizes.offset) + u64::from(t.offset_width);
            let at = block
                .checked_add(header)
                .and_then(|at| at.checked_add(entry.checked_mul(sizes.offset.into())?))
                .ok_or_else(|| self.malformed("an offset beyond the heap"))?;
            if self.file.block(block, 4, "indirect block")?.bytes != b"FHIB" {
                return Err(self.malformed("no indirect block where one must be"));
            }
            let pointer = self.file.block(at, sizes.offset.into(), "indirect block entry")?;
            block = pointer.cursor().defined("indirect block entry")?;
            offset = within;
            if bytes <= t.max_direct_bytes {
                return Ok((block, within));
            }
        }
        Err(FormatError::limit("hdf5_indirect_depth_max", INDIRECT_DEPTH_MAX.into()))
    }

    fn read_object(&self, address: u64, len: u64) -> Result<Vec<u8>, FormatError> {
        if len > OBJECT_BYTES_MAX {
            return Err(FormatError::limit("hdf5_heap_object_bytes_max", OBJECT_BYTES_MAX));
        }
        Ok(self.file.block(address, len, "heap object")?.bytes)
    }
}

impl DoublingTable {
    /// Row, column, offset inside the block, and size of the block that covers
    /// `offset` of an indirect block. Rows 0 and 1 have blocks of the starting
    /// size, each further row blocks twice as large.
    fn place(&self, offset: u64) -> (u64, u64, u64, u64) {
        let first_row = self.width.saturating_mul(self.start_bytes).max(1);
        let doublings = offset.checked_div(first_row).and_then(u64::checked_ilog2);
        let (row, row_start, bytes) = match doublings {
            None => (0, 0, self.start_bytes),
            Some(n) => {
                (u64::from(n) + 1, first_row.checked_shl(n).unwrap_or(0), self.start_bytes.checked_shl(n).unwrap_or(0))
            }
        };
        let bytes = bytes.max(1);
        let in_row = offset.saturating_sub(row_start);
        (row, in_row / bytes, in_row % bytes, bytes)
    }
}
