//! Activations as kernels read them: tiles of rows, block by block.
//!
//! A tile of R rows holds, for each block: R times 32 i8; R f32 scales; R
//! corrections (i32, for `q8h` two; f32 for `q4a`). For `f16`: R times 32 f32.
//! R is the greatest number of rows the instruction set computes together, then
//! for the rest the powers of two that make it up.

use crate::{
    Isa, KernelError, Layout, Pool,
    lanes::{Lanes, dispatch},
    layout::BLOCK_INPUTS,
    pool::{Shareable, part},
};

/// A line of a cache, for alignment.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Line([u8; 64]);

/// Memory that grows and is reused.
#[derive(Default)]
pub(crate) struct Lines(Vec<Line>);

impl Lines {
    /// At least `bytes` bytes, aligned to 64.
    pub(crate) fn reserve(&mut self, bytes: usize) -> Result<*mut u8, KernelError> {
        let lines = bytes.div_ceil(64);
        if self.0.len() < lines {
            let more = lines - self.0.len();
            self.0.try_reserve(more).map_err(|_| KernelError::Memory(bytes))?;
            self.0.resize(lines, Line([0; 64]));
        }
        Ok(self.0.as_mut_ptr().cast())
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.0.capacity() * 64
    }
}

/// Activations ready for one layout and one instruction set.
#[derive(Clone, Copy)]
pub(crate) struct Panel<'a> {
    pub(crate) layout: Layout,
    pub(crate) m: usize,
    pub(crate) blocks: usize,
    pub(crate) data: *const u8,
    lines: std::marker::PhantomData<&'a Lines>,
}

/// Bytes of one row's block.
pub(crate) const fn row_bytes(layout: Layout) -> usize {
    match layout {
        Layout::F16 => 4 * BLOCK_INPUTS,
        Layout::Q8H => BLOCK_INPUTS + 4 + 8,
        Layout::Q4 | Layout::Q4A | Layout::Q8 => BLOCK_INPUTS + 4 + 4,
    }
}

/// Rows of the tile that begins with `left` rows to go.
pub(crate) const fn tile_rows(left: usize, most: usize) -> usize {
    if left >= most { most } else { 1 << left.ilog2() }
}

/// What is quantised where.
struct Source {
    x: *const f32,
    data: *mut u8,
    layout: Layout,
    blocks: usize,
}

impl<'a> Panel<'a> {
    /// Quantises `m` rows of `x`, whose length is `m` times `blocks` times 32.
    pub(crate) fn fill(
        pool: &Pool,
        isa: Isa,
        layout: Layout,
        x: &[f32],
        m: usize,
        blocks: usize,
        lines: &'a mut Lines,
    ) -> Result<Self, KernelError> {
        debug_assert_eq!(x.len(), m * blocks * BLOCK_INPUTS);
        let too_large = KernelError::TooLarge { rows: m, inputs: x.len() };
        let bytes = m.checked_mul(blocks).and_then(|b| b.checked_mul(row_bytes(layout))).ok_or(too_large)?;
        let data = lines.reserve(bytes)?;
        // SAFETY: asks for a constant, touches nothing.
        let most = unsafe { most_rows(isa, layout) };
        let (full, rest) = (m / most, m % most);
        let source = Source { x: x.as_ptr(), data, layout, blocks };
        let parts = if x.len() < 16_384 { 1 } else { full.clamp(1, pool.threads() * 4) };
        let source = Shareable::new((&raw const source).cast_mut());
        pool.run(parts, |i| {
            let tiles = part(full, parts, i);
            // SAFETY: rows below `m` lie in `x` and `data`, whose lengths are
            // for `m`; parts are disjoint tiles, the last also has the rest.
            unsafe {
                let source = &*source.get();
                for tile in tiles {
                    quantise(isa, source, tile * most, most);
                }
                let mut left = if i + 1 == parts { rest } else { 0 };
                while left > 0 {
                    let rows = tile_rows(left, most);
                    quantise(isa, source, m - left, rows);
                    left -= rows;
                }
            }
        });
        Ok(Self { layout, m, blocks, data, lines: std::marker::PhantomData })
    }
}

/// Rows that tiles of this layout have at most.
#[inline(always)]
pub(crate) fn most<S: Lanes>(layout: Layout) -> usize {
    if layout == Layout::F16 { S::TILE_HALF } else { S::TILE }
}

#[inline(always)]
unsafe fn most_of<S: Lanes>(layout: Layout) -> usize {
    most::<S>(layout)
}

dispatch! { unsafe fn most_rows(layout: Layout) -> usize = most_of }
dispatch! { unsafe fn quantise(source: &Source, first: usize, rows: usize) = quantise_tile }

/// Quantises the tile of `rows` rows from `first` on.
#[inline(always)]
unsafe fn quantise_tile<S: Lanes>(source: &Source, first: usize, rows: usize) {
    let &Source { x, data, layout, blocks } = source;
    let inputs = blocks * BLOCK_INPUTS;
    // SAFETY: the tile's rows lie within `x` and its bytes within `data`.
    unsafe {
        let mut block = data.add(first * blocks * row_bytes(layout));
        for b in 0..blocks {
            for r in 0..rows {
                let from = x.add((first + r) * inputs + b * BLOCK_INPUTS);
                if layout == Layout::F16 {
                    let to = block.add(r * 4 * BLOCK_INPUTS).cast::<f32>();
                    S::store(to, S::load(from));
                    S::store(to.add(16), S::load(from.add(16)));
                    continue;
                }
                let (scale, low, high) = quantise_block::<S>(from, block.add(r * BLOCK_INPUTS).cast());
                block.add(rows * BLOCK_INPUTS + r * 4).cast::<f32>().write(scale);
                let correction = block.add(rows * (BLOCK_INPUTS + 4));
                match layout {
                    Layout::Q4 => correction.add(r * 4).cast::<i32>().write(-8 * (low + high)),
                    Layout::Q4A => correction.add(r * 4).cast::<f32>().write(scale * (low + high) as f32),
                    Layout::Q8H => {
                        correction.add(r * 8).cast::<i32>().write(-128 * low);
                        correction.add(r * 8 + 4).cast::<i32>().write(-128 * high);
                    }
                    Layout::Q8 | Layout::F16 => correction.add(r * 4).cast::<i32>().write(-128 * (low + high)),
                }
            }
            block = block.add(rows * row_bytes(layout));
        }
    }
}

/// 32 inputs to i8: scale, sum of the first 16, sum of the last. All become 0
/// where the greatest magnitude is below 1e-30; where an input is not finite,
/// the scale is no number, so that the result shows it.
#[inline(always)]
unsafe fn quantise_block<S: Lanes>(from: *const f32, to: *mut i8) -> (f32, i32, i32) {
    // SAFETY: 32 inputs at `from`, 32 bytes at `to`.
    unsafe {
        let (a, b) = (S::load(from), S::load(from.add(16)));
        let most = S::most(S::max(S::abs(a), S::max(S::abs(b), S::splat(0.0))));
        let nought = S::sum(S::add(S::sub(a, a), S::sub(b, b)));
        let inverse = S::splat(if (1e-30..=f32::MAX).contains(&most) { 127.0 / most } else { 0.0 });
        let (least, greatest) = (S::splat(-127.0), S::splat(127.0));
        let a = S::to_int(S::min(S::max(S::mul(a, inverse), least), greatest));
        let b = S::to_int(S::min(S::max(S::mul(b, inverse), least), greatest));
        S::store_bytes(to, a);
        S::store_bytes(to.add(16), b);
        (most / 127.0 + nought, S::sum_int(a), S::sum_int(b))
    }
}
