//! Attention over paged keys and values.
//!
//! Queries and keys may be normed (RMS), then are rotated; keys and values are
//! rounded to f16 (beyond its range: its greatest) and appended; scores and
//! sums are f32. Each query's sums have one order, whatever the batch, the
//! chunks of a prefill, or the instruction set.

mod kernel;
mod rope;
mod store;

#[cfg(test)]
mod tests;

pub(crate) use rope::Angles;
pub use store::{PAGE_TOKENS, PageStore, StoreShape};

use crate::{Isa, KernelError, Pool, Scratch, error::length, lanes::dispatch, pool::Shareable};

/// Queries of one item: enough that a page read once serves many.
const QUERIES: usize = 32;
/// Most query heads.
const HEADS_MAX: usize = 4096;

/// One layer's attention.
#[derive(Debug, Clone, Copy)]
pub struct AttentionShape<'a> {
    /// Query heads, a multiple of `kv_heads`.
    pub heads: usize,
    /// Key and value heads; as the store has.
    pub kv_heads: usize,
    /// Numbers in a head; as the store has.
    pub head_size: usize,
    /// Frequencies of rotation; twice as many numbers of a head are rotated,
    /// the rest are left as they are.
    pub inv_freq: &'a [f32],
    /// Rotated numbers are neighbours instead of half apart.
    pub interleaved: bool,
    /// Multiplies cosines and sines (YaRN, longrope); else 1.
    pub rope_scale: f32,
    /// RMS norm of each query head.
    pub q_norm: Option<&'a [f32]>,
    /// RMS norm of each key head.
    pub k_norm: Option<&'a [f32]>,
    /// Added to the mean square under the norms' roots.
    pub norm_epsilon: f32,
    /// Multiplies scores.
    pub scale: f32,
    /// A token sees itself and the `window - 1` before it; 0 for all.
    pub window: usize,
    /// Scores become cap * tanh(score / cap); 0 for none.
    pub softcap: f32,
}

/// One sequence's new tokens in a batch.
#[derive(Debug, Clone, Copy)]
pub struct Segment<'a> {
    /// Its first row of the batch; segments follow each other without gaps.
    pub first_row: usize,
    /// Its rows, at least one.
    pub rows: usize,
    /// Tokens it has in the store already.
    pub past: usize,
    /// Its pages in order, enough for `past + rows` tokens.
    pub pages: &'a [u32],
}

/// Norms and rotates the rows of `qkv` (`[T][heads + 2 kv_heads][head_size]`),
/// appends keys and values to the segments' pages, and writes what the queries
/// gather (`[T][heads][head_size]`) to `out`.
///
/// The exclusive borrow of the store is what makes its memory safe to write: no
/// other call reads it meanwhile. Within the call, a page that one segment
/// writes may not be used by another (checked), so a (segment, key head) pair
/// has its slots alone; longer segments are appended before any is read.
///
/// # Errors
/// Where lengths, pages or parameters do not fit each other; the store is then
/// as it was.
#[expect(clippy::too_many_arguments, reason = "the operator's inputs, one by one")]
pub fn attention(
    pool: &Pool,
    isa: Isa,
    shape: &AttentionShape<'_>,
    store: &mut PageStore,
    layer: usize,
    segments: &[Segment<'_>],
    qkv: &[f32],
    out: &mut [f32],
    scratch: &mut Scratch,
) -> Result<(), KernelError> {
    check_shape(shape, store)?;
    let tokens = check_segments(segments, store, &mut scratch.marks)?;
    let (size, group) = (shape.head_size, shape.heads / shape.kv_heads);
    let numbers =
        |heads: usize| tokens.checked_mul(heads * size).ok_or(KernelError::TooLarge { rows: tokens, inputs: size });
    length("qkv", qkv.len(), numbers(shape.heads + 2 * shape.kv_heads)?)?;
    length("out", out.len(), numbers(shape.heads)?)?;

    let rows = (QUERIES / group).max(1);
    scratch.workers.resize_with(scratch.workers.len().max(pool.threads()), Default::default);
    let bytes = kernel::memory_bytes(rows * group, size);
    for lines in &mut scratch.workers {
        lines.reserve(bytes)?;
    }
    let (keys, values) = store.layer(layer)?;
    let plan = Plan {
        shape,
        qkv: qkv.as_ptr(),
        q_norm: shape.q_norm.map_or(std::ptr::null(), <[f32]>::as_ptr),
        k_norm: shape.k_norm.map_or(std::ptr::null(), <[f32]>::as_ptr),
        angles: scratch.angles.of(pool, shape, segments).as_ptr(),
        keys,
        values,
        page_numbers: store.shape().stride(),
        out: out.as_mut_ptr(),
        segments,
    };
    let plan = Shareable::new((&raw const plan).cast_mut());
    let items = &mut scratch.items;
    items.clear();
    // A page of tokens each, so that two threads seldom write one line.
    let long = segments.iter().enumerate().filter(|(_, s)| s.rows > 1);
    items.extend(long.flat_map(|(i, s)| Item::split(i, s, PAGE_TOKENS - s.past % PAGE_TOKENS, PAGE_TOKENS)));
    let kv_heads = shape.kv_heads;
    pool.run(items.len() * kv_heads, |i| {
        if let Some(item) = items.get(i / kv_heads) {
            // SAFETY: all was checked above; items are disjoint tokens, or
            // disjoint heads of the same, and nothing is read in this job.
            unsafe { append_rows(isa, &*plan.get(), item, i % kv_heads) }
        }
    });
    items.clear();
    // The longest way back first: the last items to end are then short.
    items.extend(segments.iter().enumerate().flat_map(|(i, s)| Item::split(i, s, rows, rows)));
    items.sort_unstable_by_key(|item| std::cmp::Reverse(item.past + item.first));
    pool.run_with(items.len() * kv_heads, &mut scratch.workers, |lines, i| {
        let Some(item) = items.get(i / kv_heads) else { return };
        let Ok(memory) = lines.reserve(bytes) else { return };
        // SAFETY: all was checked above. A single row appends its own head,
        // which no other item touches; everything else was appended before.
        // Each item has its own rows and heads of `out`, and `memory` is this
        // thread's, large enough for the item's queries.
        unsafe {
            if item.alone {
                append_rows(isa, &*plan.get(), item, i % kv_heads);
            }
            attend_rows(isa, &*plan.get(), item, i % kv_heads, memory);
        }
    })
}

dispatch! { unsafe fn append_rows(plan: &Plan<'_>, item: &Item, kv_head: usize) = kernel::append }
dispatch! { unsafe fn attend_rows(plan: &Plan<'_>, item: &Item, kv_head: usize, memory: *mut u8) = kernel::attend }

/// A call, all sizes checked.
struct Plan<'a> {
    shape: &'a AttentionShape<'a>,
    qkv: *const f32,
    q_norm: *const f32,
    k_norm: *const f32,
    angles: *const f32,
    keys: *mut u16,
    values: *mut u16,
    /// From a page to the next.
    page_numbers: usize,
    out: *mut f32,
    segments: &'a [Segment<'a>],
}

impl Plan<'_> {
    /// Keys and values of one head in a segment's page.
    ///
    /// # Safety
    /// The segment and its page of that number exist.
    #[inline(always)]
    unsafe fn page(&self, segment: usize, page: usize, kv_head: usize) -> (*mut u16, *mut u16) {
        // SAFETY: the caller's; page numbers were held against the store.
        unsafe {
            let number = *self.segments.get_unchecked(segment).pages.get_unchecked(page);
            let head = kv_head * self.shape.head_size * PAGE_TOKENS;
            let at = number as usize * self.page_numbers + head;
            (self.keys.add(at), self.values.add(at))
        }
    }
}

/// Some rows of a segment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Item {
    /// The segment's number, by which its pages are found.
    segment: usize,
    /// The segment's first row of the batch, and its past.
    row: usize,
    past: usize,
    /// Rows of the segment.
    first: usize,
    rows: usize,
    /// The segment has this one row.
    alone: bool,
}

impl Item {
    /// A segment's rows: `head` of them, then `step` at a time.
    fn split(segment: usize, s: &Segment<'_>, head: usize, step: usize) -> impl Iterator<Item = Self> {
        let &Segment { first_row: row, rows: all, past, .. } = s;
        let starts = std::iter::once(0).chain((head..all).step_by(step));
        starts.map(move |first| {
            let rows = (all - first).min(if first == 0 { head } else { step });
            Self { segment, row, past, first, rows, alone: all == 1 }
        })
    }
}

fn check_shape(shape: &AttentionShape<'_>, store: &PageStore) -> Result<(), KernelError> {
    let parameter = |what, value, expected| Err(KernelError::Parameter { what, value, expected });
    let &AttentionShape { heads, kv_heads, head_size, .. } = shape;
    if kv_heads != store.shape().kv_heads {
        return parameter("key heads", kv_heads, "as many as the key-value store has");
    }
    if head_size != store.shape().head_size {
        return parameter("head size", head_size, "that of the key-value store");
    }
    if heads == 0 || heads > HEADS_MAX || !heads.is_multiple_of(kv_heads) {
        return parameter("heads", heads, "a multiple of the key heads, at most 4096");
    }
    if shape.inv_freq.len() > head_size / 2 {
        return parameter("frequencies", shape.inv_freq.len(), "at most half the head size");
    }
    for (what, norm) in [("q_norm", shape.q_norm), ("k_norm", shape.k_norm)] {
        length(what, norm.map_or(head_size, <[f32]>::len), head_size)?;
    }
    Ok(())
}

/// Holds segments against the store and each other; the rows they have.
fn check_segments(segments: &[Segment<'_>], store: &PageStore, marks: &mut Vec<bool>) -> Result<usize, KernelError> {
    marks.clear();
    marks.resize(store.shape().pages, false);
    let mut mark = |page: u32, set: bool| -> Result<bool, KernelError> {
        let slot = marks.get_mut(store.page_index(page)?);
        Ok(slot.is_some_and(|slot| std::mem::replace(slot, *slot || set)))
    };
    let mut tokens = 0usize;
    for s in segments {
        if s.first_row != tokens || s.rows == 0 {
            return Err(KernelError::Parameter {
                what: "a segment's first row",
                value: s.first_row,
                expected: "the end of the one before, and rows",
            });
        }
        let end = s.past.checked_add(s.rows).ok_or(KernelError::TooLarge { rows: s.rows, inputs: s.past })?;
        let need = end.div_ceil(PAGE_TOKENS);
        let written = s.pages.get(s.past / PAGE_TOKENS..need);
        let Some(written) = written else {
            return Err(KernelError::Length { what: "pages of a segment", need, have: s.pages.len() });
        };
        for &page in written {
            if mark(page, true)? {
                return Err(KernelError::SharedPage(page));
            }
        }
        tokens = tokens.checked_add(s.rows).ok_or(KernelError::TooLarge { rows: tokens, inputs: s.rows })?;
    }
    for s in segments {
        for &page in s.pages.iter().take(s.past / PAGE_TOKENS) {
            if mark(page, false)? {
                return Err(KernelError::SharedPage(page));
            }
        }
    }
    Ok(tokens)
}
