//! Keys and values of all sequences, in pages of 32 tokens.

use crate::{KernelError, Memory};

/// Tokens of one page.
pub const PAGE_TOKENS: usize = 32;
/// Largest head: twice the largest that models have.
pub(super) const HEAD_SIZE_MAX: usize = 512;

/// Sizes of a [`PageStore`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreShape {
    /// Layers with attention.
    pub layers: usize,
    /// Key and value heads of each layer.
    pub kv_heads: usize,
    /// Numbers in a head, a multiple of 16 up to 512.
    pub head_size: usize,
    /// Pages; page `p` of every layer belongs to the same 32 tokens.
    pub pages: usize,
}

impl StoreShape {
    /// Bytes of one page over all layers, keys and values.
    ///
    /// # Errors
    /// [`KernelError::Parameter`] for a head size outside its range,
    /// [`KernelError::Memory`] beyond the address space.
    pub fn page_bytes(&self) -> Result<usize, KernelError> {
        if self.head_size == 0 || !self.head_size.is_multiple_of(16) || self.head_size > HEAD_SIZE_MAX {
            let expected = "a multiple of 16 up to 512";
            return Err(KernelError::Parameter { what: "head size", value: self.head_size, expected });
        }
        let numbers = [2, self.layers, self.kv_heads, self.head_size, PAGE_TOKENS];
        let bytes = numbers.into_iter().try_fold(2usize, usize::checked_mul);
        bytes.filter(|b| *b > 0).ok_or(KernelError::Memory(usize::MAX))
    }

    /// Bytes of the whole store.
    ///
    /// # Errors
    /// As [`StoreShape::page_bytes`].
    pub fn bytes(&self) -> Result<usize, KernelError> {
        self.page_bytes()?.checked_mul(self.pages).ok_or(KernelError::Memory(usize::MAX))
    }

    /// f16 numbers of one page's keys (as many as its values) of one layer.
    const fn page(&self) -> usize {
        self.kv_heads * self.head_size * PAGE_TOKENS
    }

    /// f16 numbers from a page to the next.
    pub(super) const fn stride(&self) -> usize {
        2 * self.layers * self.page()
    }
}

/// Keys and values as f16, page after page and within a page layer after layer,
/// so that memory is backed as pages are first used and not for every layer by
/// itself. Keys of a layer lie `[kv_head][head_size][32]`, values
/// `[kv_head][32][head_size]`.
#[derive(Debug)]
pub struct PageStore {
    memory: Memory,
    shape: StoreShape,
}

impl PageStore {
    /// Takes memory for the shape.
    ///
    /// # Errors
    /// As [`StoreShape::page_bytes`].
    pub fn new(shape: StoreShape) -> Result<Self, KernelError> {
        Ok(Self { memory: Memory::zeroed(shape.bytes()?)?, shape })
    }

    /// Its sizes.
    #[must_use]
    pub const fn shape(&self) -> StoreShape {
        self.shape
    }

    /// Copies a page of all layers, for a sequence that forks within it.
    ///
    /// # Errors
    /// [`KernelError::Index`] for a page that is not there.
    pub fn copy_page(&mut self, from: u32, to: u32) -> Result<(), KernelError> {
        let (from, to) = (self.page_index(from)?, self.page_index(to)?);
        let bytes = self.shape.stride() * 2;
        self.memory.as_mut_slice().copy_within(from * bytes..(from + 1) * bytes, to * bytes);
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn memory_for_tests(&mut self) -> &mut [u8] {
        self.memory.as_mut_slice()
    }

    pub(super) fn page_index(&self, page: u32) -> Result<usize, KernelError> {
        let index = usize::try_from(page).unwrap_or(usize::MAX);
        if index < self.shape.pages {
            return Ok(index);
        }
        Err(KernelError::Index { what: "page", index: page.into(), count: self.shape.pages })
    }

    /// Where a layer's keys and values of the first page begin; those of page
    /// `p` lie `p` times [`StoreShape::stride`] further on.
    pub(super) fn layer(&mut self, layer: usize) -> Result<(*mut u16, *mut u16), KernelError> {
        if layer >= self.shape.layers || self.shape.pages == 0 {
            let index = i64::try_from(layer).unwrap_or(i64::MAX);
            return Err(KernelError::Index { what: "layer", index, count: self.shape.layers });
        }
        let numbers = self.shape.page();
        let start = self.memory.as_mut_slice().as_mut_ptr().cast::<u16>();
        // SAFETY: a page holds, per layer, `numbers` keys then as many values, the
        // layer is one of them and there is a page; a mapping is aligned to one.
        Ok(unsafe { (start.add(2 * layer * numbers), start.add((2 * layer + 1) * numbers)) })
    }
}
