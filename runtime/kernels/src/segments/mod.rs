//! Attention within texts that are read whole: every token sees all tokens of
//! its own text, before it and behind it.
//!
//! Everything is f32. Keys are turned once per text and head, so that sixteen
//! scores are one chain of multiply and add; each query's sums have one order,
//! whatever the batch, the threads, or the instruction set.

mod kernel;

#[cfg(test)]
mod tests;

use crate::{Isa, KernelError, Pool, Scratch, error::length, lanes::dispatch, pool::Shareable};

/// Queries of one piece: few enough that threads end together, enough that
/// claiming a piece costs nothing beside it.
const QUERIES: usize = 64;
/// Keys that are turned together: as many as there are lanes.
pub(crate) const BLOCK: usize = 16;
/// Most heads.
const HEADS_MAX: usize = 4096;
/// Largest head.
const HEAD_SIZE_MAX: usize = 1024;

/// One layer's attention.
#[derive(Debug, Clone, Copy)]
pub struct SegmentShape {
    /// Heads of queries, keys and values alike.
    pub heads: usize,
    /// Numbers in a head, a multiple of 16.
    pub head_size: usize,
    /// Multiplies scores.
    pub scale: f32,
}

/// Writes what the queries of each text gather from its values
/// (`[T][heads][head_size]`) to `out`. Rows of `qk` are queries and keys
/// (`[T][2][heads][head_size]`), those of `values` as `out`; `counts` says how
/// many rows each text has, one text after the other.
///
/// # Errors
/// Where lengths do not fit each other; `out` is then as it was.
#[expect(clippy::too_many_arguments, reason = "the operator's inputs, one by one")]
pub fn segment_attention(
    pool: &Pool,
    isa: Isa,
    shape: SegmentShape,
    counts: &[usize],
    qk: &[f32],
    values: &[f32],
    out: &mut [f32],
    scratch: &mut Scratch,
) -> Result<(), KernelError> {
    let SegmentShape { heads, head_size: size, .. } = shape;
    if heads == 0 || heads > HEADS_MAX {
        return Err(KernelError::Parameter { what: "heads", value: heads, expected: "1 to 4096" });
    }
    if size == 0 || size > HEAD_SIZE_MAX || !size.is_multiple_of(BLOCK) {
        let expected = "a multiple of 16, at most 1024";
        return Err(KernelError::Parameter { what: "head size", value: size, expected });
    }
    let width = heads * size;
    let mut longest = 0;
    scratch.pieces.clear();
    let (mut tokens, mut blocks) = (0usize, 0usize);
    for &count in counts {
        let too_large = KernelError::TooLarge { rows: count, inputs: width };
        let end = tokens.checked_add(count).ok_or(too_large)?;
        // It must not be split into pieces without end before lengths are held
        // against each other.
        if end > values.len() {
            return Err(KernelError::Length { what: "values", need: end, have: values.len() });
        }
        let text = Piece { row: tokens, count, block: blocks, first: 0, rows: 0 };
        let starts = (0..count).step_by(QUERIES);
        scratch.pieces.extend(starts.map(|first| Piece { first, rows: (count - first).min(QUERIES), ..text }));
        (tokens, blocks, longest) = (end, blocks + count.div_ceil(BLOCK), longest.max(count));
    }
    let numbers = |rows: usize, of: usize| {
        rows.checked_mul(of).ok_or(KernelError::TooLarge { rows, inputs: width }).and_then(|n| {
            isize::try_from(n.saturating_mul(4)).map(|_| n).map_err(|_| KernelError::TooLarge { rows, inputs: width })
        })
    };
    length("qk", qk.len(), numbers(tokens, 2 * width)?)?;
    length("values", values.len(), numbers(tokens, width)?)?;
    length("out", out.len(), numbers(tokens, width)?)?;
    let keys = scratch.keys.reserve(numbers(blocks, BLOCK * width)? * 4)?.cast::<f32>();
    scratch.workers.resize_with(scratch.workers.len().max(pool.threads()), Default::default);
    let bytes = kernel::memory_bytes(longest);
    for lines in &mut scratch.workers {
        lines.reserve(bytes)?;
    }
    let plan =
        Plan { heads, size, scale: shape.scale, qk: qk.as_ptr(), values: values.as_ptr(), keys, out: out.as_mut_ptr() };
    let plan = Shareable::new((&raw const plan).cast_mut());
    let pieces = &scratch.pieces;
    pool.run(pieces.len(), |i| {
        if let Some(piece) = pieces.get(i) {
            // SAFETY: all was checked above. A piece turns the keys of its own
            // rows: pieces begin at multiples of a block within their text, so
            // no two write one block. `plan` lives on this frame.
            unsafe { kernel::turn(&*plan.get(), piece) }
        }
    });
    pool.run_with(pieces.len() * heads, &mut scratch.workers, |lines, i| {
        let Some(piece) = pieces.get(i / heads) else { return };
        let Ok(memory) = lines.reserve(bytes) else { return };
        // SAFETY: as above; all keys were turned by the job before. Each item
        // has its own rows and head of `out`, and `memory` is this thread's,
        // large enough for the longest text.
        unsafe { attend_rows(isa, &*plan.get(), piece, i % heads, memory.cast()) }
    })
}

dispatch! { unsafe fn attend_rows(plan: &Plan, piece: &Piece, head: usize, memory: *mut f32) = kernel::attend }

/// A call, all sizes checked.
struct Plan {
    heads: usize,
    size: usize,
    scale: f32,
    qk: *const f32,
    values: *const f32,
    /// Text by text, head by head, block by block: `size` times 16 numbers.
    keys: *mut f32,
    out: *mut f32,
}

impl Plan {
    /// The turned keys of one head of the piece's text.
    ///
    /// # Safety
    /// The piece is one of the call's.
    #[inline(always)]
    unsafe fn keys(&self, piece: &Piece, head: usize) -> *mut f32 {
        let of_head = piece.count.div_ceil(BLOCK) * BLOCK * self.size;
        // SAFETY: the text's blocks of all heads lie within the memory.
        unsafe { self.keys.add(piece.block * BLOCK * self.size * self.heads + head * of_head) }
    }
}

/// Some rows of a text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece {
    /// The text's first row of the batch, and its rows.
    row: usize,
    count: usize,
    /// Blocks of keys that texts before it have.
    block: usize,
    /// Rows of the text.
    first: usize,
    rows: usize,
}
