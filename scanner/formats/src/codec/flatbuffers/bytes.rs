use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use crate::core::{FormatError, Input};

/// Bytes of one page.
const PAGE_BYTES: u64 = 4096;
/// Pages kept: 8 MiB.
const PAGES_MAX: usize = 2048;
/// Reads of one buffer.
const READS_MAX: u64 = 20_000_000;

/// Small reads anywhere in an input, through a bounded cache: tables and
/// their vtables lie far apart.
pub struct Bytes {
    input: Input,
    pages: RefCell<HashMap<u64, Vec<u8>>>,
    reads: Cell<u64>,
    end: Cell<u64>,
}

impl Bytes {
    pub fn new(input: &Input) -> Self {
        Self { input: input.clone(), pages: RefCell::default(), reads: Cell::new(0), end: Cell::new(0) }
    }

    pub fn input(&self) -> &Input {
        &self.input
    }

    /// End of the last byte that anything refers to.
    pub fn end(&self) -> u64 {
        self.end.get()
    }

    /// Holds `[at, at + len)` against the content.
    ///
    /// # Errors
    /// [`FormatError::Truncated`] naming `field`.
    pub fn check(&self, at: u64, len: u64, field: &'static str) -> Result<(), FormatError> {
        match at.checked_add(len) {
            Some(end) if end <= self.input.len() => {
                self.end.set(self.end.get().max(end));
                Ok(())
            }
            _ => Err(FormatError::truncated(field, at)),
        }
    }

    /// `N` bytes at `at`.
    ///
    /// # Errors
    /// [`FormatError::Truncated`] naming `field`, [`FormatError::Limit`] after
    /// too many reads.
    pub fn array<const N: usize>(&self, at: u64, field: &'static str) -> Result<[u8; N], FormatError> {
        self.check(at, N as u64, field)?;
        self.reads.set(self.reads.get() + 1);
        if self.reads.get() > READS_MAX {
            return Err(FormatError::limit("flatbuffer_reads_max", READS_MAX));
        }
        let mut out = [0; N];
        for (i, byte) in (at..).zip(out.iter_mut()) {
            *byte = self.byte(i, field)?;
        }
        Ok(out)
    }

    /// Up to `max` bytes of `[at, at + len)`, which was checked.
    ///
    /// # Errors
    /// [`FormatError::Limit`] beyond `max`.
    pub fn blob(&self, at: u64, len: u64, max: usize, field: &'static str) -> Result<Vec<u8>, FormatError> {
        self.check(at, len, field)?;
        let len = usize::try_from(len).ok().filter(|n| *n <= max).ok_or(FormatError::limit(field, max as u64))?;
        self.input.read_vec(at, len).map_err(|source| FormatError::Io { offset: at, source })
    }

    fn byte(&self, at: u64, field: &'static str) -> Result<u8, FormatError> {
        let (page, within) = (at / PAGE_BYTES, usize::try_from(at % PAGE_BYTES).unwrap_or(0));
        let mut pages = self.pages.borrow_mut();
        if !pages.contains_key(&page) {
            if pages.len() >= PAGES_MAX {
                pages.clear();
            }
            let start = page * PAGE_BYTES;
            let content = self.input.read_vec(start, usize::try_from(PAGE_BYTES).unwrap_or(0));
            pages.insert(page, content.map_err(|source| FormatError::Io { offset: start, source })?);
        }
        let byte = pages.get(&page).and_then(|p| p.get(within)).copied();
        byte.ok_or_else(|| FormatError::truncated(field, at))
    }
}
