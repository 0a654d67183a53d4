//! Chunked storage (sections III.A, VII.A to VII.C): where the chunks are,
//! and the elements of small datasets out of them.

use std::io::Read;
use std::ops::Range;

use super::btree1::{self, Keys};
use super::btree2::{self, record};
use super::cursor::Cursor;
use super::dataset::{Dataset, Filter, Storage};
use super::file::File;
use crate::core::{FormatError, Inspection};

/// Most chunks looked at in one dataset.
const CHUNKS_MAX: usize = 1 << 20;
/// Largest page of a fixed array, as a power of two.
const PAGE_BITS_MAX: u8 = 24;

/// How a dataset is cut into chunks, and the index that finds them.
#[derive(Debug, Clone)]
pub struct Chunks {
    /// Extents of one chunk, then the bytes of one element.
    shape: Vec<u64>,
    index: Index,
}

/// The index of chunks; addresses are `None` before anything is written.
#[derive(Debug, Clone)]
pub(super) enum Index {
    Tree1(Option<u64>),
    Single {
        address: Option<u64>,
        stored: Option<u64>,
    },
    Implicit(Option<u64>),
    FixedArray(Option<u64>),
    Tree2(Option<u64>),
    /// An extensible array; its chunks are not looked up.
    Other,
}

/// Where one chunk is stored.
struct Chunk {
    address: u64,
    stored: u64,
    /// Bit *n* is set if filter *n* was skipped.
    skipped: u32,
}

impl Chunks {
    pub(super) fn new(shape: Vec<u64>, index: Index) -> Self {
        Self { shape, index }
    }

    /// The rest of a version 4 or 5 layout message of class chunked.
    pub(super) fn parse(mut c: Cursor<'_>) -> Result<Self, FormatError> {
        let flags = c.u8("chunk flags")?;
        let rank = c.u8("chunk rank")?;
        let width = c.u8("chunk dimension width")?;
        let shape = (0..rank).map(|_| c.uint(width, "chunk dimension")).collect::<Result<_, _>>()?;
        let index = match c.u8("chunk index type")? {
            1 => {
                let mut stored = None;
                if flags & 2 != 0 {
                    stored = Some(c.length("filtered chunk size")?);
                    c.skip(4, "filter mask")?;
                }
                Index::Single { address: c.address("chunk address")?, stored }
            }
            2 => Index::Implicit(c.address("chunk address")?),
            3 => {
                c.skip(1, "page bits")?;
                Index::FixedArray(c.address("fixed array address")?)
            }
            5 => {
                c.skip(6, "b-tree parameters")?;
                Index::Tree2(c.address("chunk b-tree")?)
            }
            _ => Index::Other,
        };
        Ok(Self { shape, index })
    }

    /// Bytes of one chunk before filters; `None` if it overflows.
    fn bytes(&self) -> Option<u64> {
        self.shape.iter().try_fold(1u64, |n, d| n.checked_mul(*d))
    }
}

impl File {
    /// Ranges of the whole file that hold chunks of `dataset`, as far as its
    /// index could be read.
    ///
    /// # Errors
    /// Why the index could not be read to its end.
    pub fn chunk_ranges(&self, dataset: &Dataset) -> (Vec<Range<u64>>, Option<FormatError>) {
        let (chunks, stopped) = self.chunks(dataset);
        let ranges = chunks.iter().map(|c| {
            let start = self.offset(c.address);
            start..start.saturating_add(c.stored)
        });
        (ranges.collect(), stopped)
    }

    /// Elements of `dataset` as stored, filters undone, if they take at most
    /// `max` bytes and are stored in a way that is read here. Those of several
    /// dimensions come chunk by chunk.
    ///
    /// # Errors
    /// [`FormatError::Truncated`] if they lie beyond the end, and limits.
    pub fn small_data(
        &self,
        ctx: &mut Inspection<'_>,
        dataset: &Dataset,
        max: usize,
    ) -> Result<Option<Vec<u8>>, FormatError> {
        if dataset.bytes().is_none_or(|n| n == 0 || n > max as u64) || !dataset.external.is_empty() {
            return Ok(None);
        }
        let bytes = dataset.bytes().unwrap_or(0);
        match &dataset.storage {
            Storage::Compact(data) => Ok(Some(data.clone())),
            Storage::Contiguous { address: Some(address), .. } => {
                self.block(*address, bytes, "dataset").map(|block| Some(block.bytes))
            }
            Storage::Chunked(chunks) => {
                let Some(chunk_bytes) = chunks.bytes().filter(|n| *n <= max as u64) else { return Ok(None) };
                let mut out = Vec::new();
                let (places, stopped) = self.chunks(dataset);
                for chunk in places {
                    ctx.work(1)?;
                    if chunk.stored > max as u64 || out.len() as u64 > bytes.saturating_add(chunk_bytes) {
                        return Ok(None);
                    }
                    let raw = self.block(chunk.address, chunk.stored, "chunk")?.bytes;
                    let Some(data) = unfiltered(ctx, raw, &dataset.filters, chunk.skipped, chunk_bytes)? else {
                        return Ok(None);
                    };
                    out.extend_from_slice(&data);
                }
                if dataset.shape.as_ref().is_some_and(|dims| dims.len() < 2) {
                    out.truncate(usize::try_from(bytes).unwrap_or(usize::MAX));
                }
                stopped.map_or(Ok(Some(out)), Err)
            }
            _ => Ok(None),
        }
    }

    fn chunks(&self, dataset: &Dataset) -> (Vec<Chunk>, Option<FormatError>) {
        let Storage::Chunked(chunks) = &dataset.storage else { return (Vec::new(), None) };
        let mut out = Vec::new();
        let mut push = |chunk| {
            if out.len() >= CHUNKS_MAX {
                return Err(FormatError::limit("hdf5_chunks_max", CHUNKS_MAX as u64));
            }
            out.push(chunk);
            Ok(())
        };
        let whole = chunks.bytes().unwrap_or(u64::MAX);
        let stopped = match &chunks.index {
            Index::Single { address: Some(address), stored } => {
                push(Chunk { address: *address, stored: stored.unwrap_or(whole), skipped: 0 })
            }
            Index::Implicit(Some(address)) => {
                let stored = dataset.bytes().unwrap_or(u64::MAX);
                push(Chunk { address: *address, stored, skipped: 0 })
            }
            Index::Tree1(Some(root)) => {
                let rank = u8::try_from(chunks.shape.len()).unwrap_or(u8::MAX);
                btree1::walk(self, *root, Keys::Chunks(rank), |address, mut key| {
                    let stored = u64::from(key.u32("chunk size")?);
                    push(Chunk { address, stored, skipped: key.u32("filter mask")? })
                })
            }
            Index::Tree2(Some(tree)) => btree2::records(self, *tree, |kind, mut c| {
                let address = c.defined("chunk address")?;
                match kind {
                    record::CHUNK => push(Chunk { address, stored: whole, skipped: 0 }),
                    record::FILTERED_CHUNK => {
                        let offsets = 8 * chunks.shape.len().saturating_sub(1);
                        let width = c.remaining().saturating_sub(4 + offsets);
                        let stored = c.uint(u8::try_from(width).unwrap_or(u8::MAX), "chunk size")?;
                        push(Chunk { address, stored, skipped: c.u32("filter mask")? })
                    }
                    _ => Err(FormatError::malformed("chunk index", c.position(), "another kind of tree")),
                }
            }),
            Index::FixedArray(Some(address)) => fixed_array(self, *address, whole, &mut push),
            _ => Ok(()),
        };
        (out, stopped.err())
    }
}

/// A fixed array index (section VII.C).
fn fixed_array(
    file: &File,
    address: u64,
    whole: u64,
    push: &mut dyn FnMut(Chunk) -> Result<(), FormatError>,
) -> Result<(), FormatError> {
    let sizes = file.sizes();
    let len = 8 + u64::from(sizes.length) + u64::from(sizes.offset);
    let header = file.block(address, len, "fixed array")?;
    let mut c = header.cursor();
    c.signature(b"FAHD")?;
    c.version(0, "fixed array version")?;
    let filtered = c.u8("fixed array client")? == 1;
    let entry_bytes = c.u8("fixed array entry size")?;
    let page_bits = c.u8("fixed array page bits")?.min(PAGE_BITS_MAX);
    let entries = c.length("fixed array entries")?;
    let Some(block) = c.address("fixed array data block")? else { return Ok(()) };
    if entries > CHUNKS_MAX as u64 {
        return Err(FormatError::limit("hdf5_chunks_max", CHUNKS_MAX as u64));
    }
    let page = 1u64 << page_bits;
    let prefix = 6 + u64::from(sizes.offset);
    let paged = entries > page;
    // A bitmap of used pages and a checksum precede the pages.
    let mut at = block + prefix + if paged { entries.div_ceil(page).div_ceil(8) + 4 } else { 0 };
    let mut left = entries;
    while left > 0 {
        let here = left.min(page);
        let body = file.block(at, here * u64::from(entry_bytes), "fixed array entries")?;
        let mut c = body.cursor();
        for _ in 0..here {
            let address = c.address("chunk address")?;
            let mut chunk = Chunk { address: address.unwrap_or(0), stored: whole, skipped: 0 };
            if filtered {
                let width = entry_bytes.saturating_sub(sizes.offset).saturating_sub(4);
                chunk.stored = c.uint(width, "chunk size")?;
                chunk.skipped = c.u32("filter mask")?;
            }
            if address.is_some_and(|a| a != 0) {
                push(chunk)?;
            }
        }
        at = at.saturating_add(body.bytes.len() as u64 + 4);
        left -= here;
    }
    Ok(())
}

/// `raw` with the filters undone, last one first; `None` if one of them is
/// not read here.
fn unfiltered(
    ctx: &mut Inspection<'_>,
    mut raw: Vec<u8>,
    filters: &[Filter],
    skipped: u32,
    bytes: u64,
) -> Result<Option<Vec<u8>>, FormatError> {
    for (n, filter) in filters.iter().enumerate().rev() {
        if u32::try_from(n).ok().and_then(|n| skipped.checked_shr(n)).unwrap_or(0) & 1 == 1 {
            continue;
        }
        raw = match filter.id {
            1 => inflated(ctx, &raw, bytes)?,
            2 => unshuffled(&raw, filter.parameters.first().copied().unwrap_or(1)),
            // The checksum (Fletcher 32) follows the data.
            3 => {
                raw.truncate(raw.len().saturating_sub(4));
                raw
            }
            _ => return Ok(None),
        };
    }
    Ok(Some(raw))
}

fn inflated(ctx: &mut Inspection<'_>, raw: &[u8], bytes: u64) -> Result<Vec<u8>, FormatError> {
    ctx.expand(bytes)?;
    let mut out = Vec::new();
    // What a damaged stream gave before it broke off is looked at all the same.
    let _ = flate2::read::ZlibDecoder::new(raw).take(bytes.saturating_add(4)).read_to_end(&mut out);
    Ok(out)
}

/// Undoes the shuffle filter: all first bytes, then all second bytes…
fn unshuffled(raw: &[u8], size: u32) -> Vec<u8> {
    let size = usize::try_from(size).unwrap_or(1).max(1);
    let count = raw.len() / size;
    let mut out = Vec::with_capacity(raw.len());
    for element in 0..count {
        out.extend((0..size).filter_map(|byte| raw.get(byte * count + element)));
    }
    out.extend_from_slice(raw.get(count * size..).unwrap_or_default());
    out
}
