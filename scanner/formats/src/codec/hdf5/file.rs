use std::cell::{Cell, OnceCell, RefCell};

use super::cursor::{Cursor, Sizes};
use super::heap::Collection;
use super::shared::SharedIndex;
use super::superblock::{self, Superblock};
use crate::core::{FormatError, Input};

/// Bytes of structure read from one file: groups, headers, heaps. What a walk
/// can be made to read again and again comes out of this.
const STRUCTURE_BYTES_MAX: u64 = 256 << 20;
/// Least charge for one read, so that many tiny ones count.
const READ_CHARGE_MIN: u64 = 64;

/// An open HDF5 file.
pub struct File {
    pub(super) input: Input,
    pub(super) base: u64,
    pub(super) superblock: Superblock,
    /// Message heaps of the superblock extension, read when first needed.
    pub(super) shared: OnceCell<Vec<SharedIndex>>,
    /// The global heap collection used last; strings of one attribute lie
    /// together.
    pub(super) collection: RefCell<Option<Collection>>,
    bytes_left: Cell<u64>,
}

impl File {
    /// Finds and reads the superblock.
    ///
    /// # Errors
    /// [`FormatError::Malformed`] without one, [`FormatError::Truncated`] if
    /// it is cut.
    pub fn open(input: &Input) -> Result<Self, FormatError> {
        let base =
            superblock::locate(input).ok_or_else(|| FormatError::malformed("signature", 0, "no HDF5 superblock"))?;
        let input = input.tail_from(base);
        let superblock = superblock::read(&input, base)?;
        Ok(Self {
            input,
            base,
            superblock,
            shared: OnceCell::new(),
            collection: RefCell::default(),
            bytes_left: Cell::new(STRUCTURE_BYTES_MAX),
        })
    }

    /// Bytes before the superblock.
    #[must_use]
    pub fn user_block_bytes(&self) -> u64 {
        self.base
    }

    /// Version of the superblock.
    #[must_use]
    pub fn version(&self) -> u8 {
        self.superblock.version
    }

    /// Offset in the whole file at which it ends by its own account.
    #[must_use]
    pub fn end(&self) -> Option<u64> {
        self.superblock.end?.checked_add(self.base)
    }

    /// Offset in the whole file of `address`.
    #[must_use]
    pub fn offset(&self, address: u64) -> u64 {
        self.base.saturating_add(address)
    }

    pub(super) fn sizes(&self) -> Sizes {
        self.superblock.sizes
    }

    /// The `len` bytes at `address`, which must all be there.
    pub(super) fn block(&self, address: u64, len: u64, field: &'static str) -> Result<Block, FormatError> {
        let block = self.block_up_to(address, len, field)?;
        if (block.bytes.len() as u64) < len {
            return Err(FormatError::truncated(field, self.offset(address)));
        }
        Ok(block)
    }

    /// As [`Self::block`], fewer bytes at the end of the file.
    pub(super) fn block_up_to(&self, address: u64, len: u64, field: &'static str) -> Result<Block, FormatError> {
        let base = self.offset(address);
        let there = len.min(self.input.len().saturating_sub(address));
        if there == 0 && len > 0 {
            return Err(FormatError::truncated(field, base));
        }
        let left = self
            .bytes_left
            .get()
            .checked_sub(there.max(READ_CHARGE_MIN))
            .ok_or(FormatError::limit("hdf5_structure_bytes_max", STRUCTURE_BYTES_MAX))?;
        self.bytes_left.set(left);
        let len = usize::try_from(there).map_err(|_| FormatError::limit(field, STRUCTURE_BYTES_MAX))?;
        let bytes = self.input.read_vec(address, len).map_err(|source| FormatError::Io { offset: base, source })?;
        Ok(Block { bytes, base, sizes: self.sizes() })
    }
}

/// Bytes of one structure.
pub(super) struct Block {
    pub bytes: Vec<u8>,
    pub base: u64,
    sizes: Sizes,
}

impl Block {
    pub fn cursor(&self) -> Cursor<'_> {
        Cursor::new(&self.bytes, self.base, self.sizes)
    }
}
