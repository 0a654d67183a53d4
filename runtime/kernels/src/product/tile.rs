//! A tile of rows by a group of 16 outputs, for each layout.
#![expect(clippy::indexing_slicing, clippy::needless_range_loop, reason = "constant loops over arrays of registers")]

use std::ops::Range;

use super::{Activation, Job, panel};
use crate::{Layout, lanes::Lanes, layout::GROUP_ROWS, math};

/// Bytes of activations that stay in a core's second cache beside the weights.
const PANEL_BYTES: usize = 384 << 10;
/// How far ahead of a stream of weights memory is asked for.
const AHEAD: usize = 4096;

/// Computes some groups of a job, one layout's tile by tile.
#[inline(always)]
pub(super) unsafe fn groups<S: Lanes>(job: &Job<'_>, groups: Range<usize>) {
    // SAFETY: the caller's, for every group in turn.
    unsafe {
        match job.panel.layout {
            Layout::Q4 => walk::<S, Q4>(job, groups),
            Layout::Q4A => walk::<S, Q4A>(job, groups),
            Layout::Q8 => walk::<S, Q8>(job, groups),
            Layout::Q8H => walk::<S, Q8H>(job, groups),
            Layout::F16 => walk::<S, F16>(job, groups),
        }
    }
}

/// A layout's inner product.
trait Block {
    const LAYOUT: Layout;
    /// `M` rows of activations at `x` by the group at `w`, both `blocks` long.
    unsafe fn tile<S: Lanes, const M: usize>(x: *const u8, w: *const u8, blocks: usize) -> [S::F; M];
}

/// Rows in panels that the cache holds, groups within, tiles within: weights
/// come from memory once per panel and from a cache for each tile.
#[inline(always)]
unsafe fn walk<S: Lanes, B: Block>(job: &Job<'_>, groups: Range<usize>) {
    let (m, blocks) = (job.panel.m, job.panel.blocks);
    let (row, most) = (blocks * panel::row_bytes(B::LAYOUT), panel::most::<S>(B::LAYOUT));
    let rows = (PANEL_BYTES / row / most).max(1) * most;
    let mut first = 0;
    while first < m {
        let end = m.min(first + rows);
        // One group after the other: one stream is what memory likes best.
        for group in groups.clone() {
            let mut at = first;
            while at < end {
                let tile = panel::tile_rows(end - at, most);
                // SAFETY: tile and group lie within the job; no instruction set
                // has tiles of more than 8 rows.
                unsafe {
                    let x = job.panel.data.add(at * row);
                    match tile {
                        8 => some::<S, B, 8>(job, x, at, group),
                        4 => some::<S, B, 4>(job, x, at, group),
                        2 => some::<S, B, 2>(job, x, at, group),
                        _ => some::<S, B, 1>(job, x, at, group),
                    }
                }
                at += tile;
            }
        }
        first = end;
    }
}

/// One tile by a group (for a gate: by one group of each), finished and stored.
#[inline(always)]
unsafe fn some<S: Lanes, B: Block, const M: usize>(job: &Job<'_>, x: *const u8, row: usize, group: usize) {
    let blocks = job.panel.blocks;
    let bytes = blocks * B::LAYOUT.block_bytes();
    // SAFETY: the group's bytes and the tile's rows lie within what the job's
    // sizes say.
    unsafe {
        let Some(gate) = job.gate else {
            let value = B::tile::<S, M>(x, job.weights.add(group * bytes), blocks);
            finish::<S, M>(job, value, row, group * GROUP_ROWS);
            return;
        };
        let w = job.weights.add(group * 2 * bytes);
        let mut value = B::tile::<S, M>(x, w, blocks);
        let up = B::tile::<S, M>(x, w.add(bytes), blocks);
        for (v, up) in value.iter_mut().zip(up) {
            *v = S::mul(bent::<S>(gate, *v), up);
        }
        store::<S, M>(job, value, row, group * GROUP_ROWS);
    }
}

/// One activation of sixteen lanes.
#[inline(always)]
unsafe fn bent<S: Lanes>(activation: Activation, v: S::F) -> S::F {
    // SAFETY: the caller's.
    unsafe {
        match activation {
            Activation::Silu => math::silu::<S>(v),
            Activation::GeluTanh => math::gelu_tanh::<S>(v),
            Activation::Gelu => math::gelu::<S>(v),
            Activation::Relu => S::max(v, S::splat(0.0)),
        }
    }
}

/// Bias, cap and activation, then the store.
#[inline(always)]
unsafe fn finish<S: Lanes, const M: usize>(job: &Job<'_>, mut value: [S::F; M], row: usize, first: usize) {
    // SAFETY: `bias`, if there is one, holds as many as there are columns.
    unsafe {
        if !job.bias.is_null() {
            let mut bias = [0f32; GROUP_ROWS];
            job.bias.add(first).copy_to_nonoverlapping(bias.as_mut_ptr(), (job.rows - first).min(GROUP_ROWS));
            let bias = S::load(bias.as_ptr());
            for v in &mut value {
                *v = S::add(*v, bias);
            }
        }
        if job.softcap > 0.0 {
            for v in &mut value {
                *v = math::soft_cap::<S>(*v, job.softcap);
            }
        }
        if let Some(activation) = job.activation {
            for v in &mut value {
                *v = bent::<S>(activation, *v);
            }
        }
        store::<S, M>(job, value, row, first);
    }
}

/// Stores a tile's columns from `first` on; the last group may have fewer than 16.
#[inline(always)]
unsafe fn store<S: Lanes, const M: usize>(job: &Job<'_>, value: [S::F; M], row: usize, first: usize) {
    let columns = (job.rows - first).min(GROUP_ROWS);
    for (i, v) in value.into_iter().enumerate() {
        // SAFETY: rows and columns lie within `out`.
        unsafe {
            let to = job.out.add((row + i) * job.rows + first);
            if columns == GROUP_ROWS {
                S::store(to, v);
            } else {
                let mut whole = [0f32; GROUP_ROWS];
                S::store(whole.as_mut_ptr(), v);
                to.copy_from_nonoverlapping(whole.as_ptr(), columns);
            }
        }
    }
}

/// Asks for the block that comes [`AHEAD`] bytes later.
#[inline(always)]
unsafe fn ahead<S: Lanes>(w: *const u8, bytes: usize) {
    let mut at = 0;
    while at < bytes {
        // SAFETY: a hint takes any address.
        unsafe { S::prefetch(w.wrapping_add(AHEAD + at)) };
        at += 64;
    }
}

struct Q4;

impl Block for Q4 {
    const LAYOUT: Layout = Layout::Q4;

    #[inline(always)]
    unsafe fn tile<S: Lanes, const M: usize>(x: *const u8, w: *const u8, blocks: usize) -> [S::F; M] {
        // SAFETY: the caller's; see the layouts of weights and panels.
        unsafe {
            let (mut x, mut w) = (x, w);
            let mut sums = [S::splat(0.0); M];
            for _ in 0..blocks {
                let mut chunks = [S::nibbles(w); 4];
                ahead::<S>(w, 288);
                for c in 0..4 {
                    chunks[c] = S::nibbles(w.add(c * 64));
                }
                let scales = S::load_half(w.add(256).cast());
                for i in 0..M {
                    let at = x.add(i * 32).cast::<i8>();
                    let factor = S::splat(x.add(M * 32 + i * 4).cast::<f32>().read());
                    let mut low = S::splat_int(x.add(M * 36 + i * 4).cast::<i32>().read());
                    let mut high = S::splat_int(0);
                    for c in 0..4 {
                        let (a, b) = (S::spread(at.add(8 * c)), S::spread(at.add(8 * c + 4)));
                        low = S::dot_nibbles(low, chunks[c].0, a);
                        high = S::dot_nibbles(high, chunks[c].1, b);
                    }
                    sums[i] = S::fma(S::to_float(S::add_int(low, high)), S::mul(scales, factor), sums[i]);
                }
                x = x.add(M * 40);
                w = w.add(288);
            }
            sums
        }
    }
}

struct Q4A;

impl Block for Q4A {
    const LAYOUT: Layout = Layout::Q4A;

    #[inline(always)]
    unsafe fn tile<S: Lanes, const M: usize>(x: *const u8, w: *const u8, blocks: usize) -> [S::F; M] {
        // SAFETY: as for `Q4`.
        unsafe {
            let (mut x, mut w) = (x, w);
            let mut sums = [S::splat(0.0); M];
            for _ in 0..blocks {
                let mut chunks = [S::nibbles(w); 4];
                ahead::<S>(w, 384);
                for c in 0..4 {
                    chunks[c] = S::nibbles(w.add(c * 64));
                }
                let scales = (S::load(w.add(256).cast()), S::load(w.add(320).cast()));
                for i in 0..M {
                    let at = x.add(i * 32).cast::<i8>();
                    let factor = S::splat(x.add(M * 32 + i * 4).cast::<f32>().read());
                    let offset = S::splat(x.add(M * 36 + i * 4).cast::<f32>().read());
                    let (mut low, mut high) = (S::splat_int(0), S::splat_int(0));
                    for c in 0..4 {
                        let (a, b) = (S::spread(at.add(8 * c)), S::spread(at.add(8 * c + 4)));
                        low = S::dot_nibbles(low, chunks[c].0, a);
                        high = S::dot_nibbles(high, chunks[c].1, b);
                    }
                    let (scale, minimum) = scales;
                    let sum = S::fma(S::to_float(S::add_int(low, high)), S::mul(scale, factor), sums[i]);
                    sums[i] = S::fnma(minimum, offset, sum);
                }
                x = x.add(M * 40);
                w = w.add(384);
            }
            sums
        }
    }
}

struct Q8;

impl Block for Q8 {
    const LAYOUT: Layout = Layout::Q8;

    #[inline(always)]
    unsafe fn tile<S: Lanes, const M: usize>(x: *const u8, w: *const u8, blocks: usize) -> [S::F; M] {
        // SAFETY: as for `Q4`.
        unsafe {
            let (mut x, mut w) = (x, w);
            let mut sums = [S::splat(0.0); M];
            for _ in 0..blocks {
                let mut chunks = [S::bytes(w); 8];
                ahead::<S>(w, 544);
                for c in 0..8 {
                    chunks[c] = S::bytes(w.add(c * 64));
                }
                let scales = S::load_half(w.add(512).cast());
                for i in 0..M {
                    let at = x.add(i * 32).cast::<i8>();
                    let factor = S::splat(x.add(M * 32 + i * 4).cast::<f32>().read());
                    let mut even = S::start_bytes(x.add(M * 36 + i * 4).cast::<i32>().read());
                    let mut odd = S::splat_int(0);
                    for c in 0..4 {
                        let (a, b) = (S::spread(at.add(8 * c)), S::spread(at.add(8 * c + 4)));
                        even = S::dot_bytes(even, chunks[2 * c], a);
                        odd = S::dot_bytes(odd, chunks[2 * c + 1], b);
                    }
                    sums[i] = S::fma(S::to_float(S::add_int(even, odd)), S::mul(scales, factor), sums[i]);
                }
                x = x.add(M * 40);
                w = w.add(544);
            }
            sums
        }
    }
}

struct Q8H;

impl Block for Q8H {
    const LAYOUT: Layout = Layout::Q8H;

    #[inline(always)]
    unsafe fn tile<S: Lanes, const M: usize>(x: *const u8, w: *const u8, blocks: usize) -> [S::F; M] {
        // SAFETY: as for `Q4`.
        unsafe {
            let (mut x, mut w) = (x, w);
            let mut sums = [S::splat(0.0); M];
            for _ in 0..blocks {
                let mut chunks = [S::bytes(w); 8];
                ahead::<S>(w, 640);
                for c in 0..8 {
                    chunks[c] = S::bytes(w.add(c * 64));
                }
                let scales = (S::load(w.add(512).cast()), S::load(w.add(576).cast()));
                for i in 0..M {
                    let at = x.add(i * 32).cast::<i8>();
                    let factor = S::splat(x.add(M * 32 + i * 4).cast::<f32>().read());
                    let corrections = x.add(M * 36 + i * 8).cast::<i32>();
                    let mut first = S::start_bytes(corrections.read());
                    let mut second = S::start_bytes(corrections.add(1).read());
                    for c in 0..4 {
                        let (a, b) = (S::spread(at.add(4 * c)), S::spread(at.add(16 + 4 * c)));
                        first = S::dot_bytes(first, chunks[c], a);
                        second = S::dot_bytes(second, chunks[4 + c], b);
                    }
                    let (low, high) = scales;
                    let sum = S::fma(S::to_float(first), S::mul(low, factor), sums[i]);
                    sums[i] = S::fma(S::to_float(second), S::mul(high, factor), sum);
                }
                x = x.add(M * 44);
                w = w.add(640);
            }
            sums
        }
    }
}

struct F16;

impl Block for F16 {
    const LAYOUT: Layout = Layout::F16;

    #[inline(always)]
    unsafe fn tile<S: Lanes, const M: usize>(x: *const u8, w: *const u8, blocks: usize) -> [S::F; M] {
        // SAFETY: as for `Q4`.
        unsafe {
            let (mut x, mut w) = (x.cast::<f32>(), w);
            let (mut even, mut odd) = ([S::splat(0.0); M], [S::splat(0.0); M]);
            for _ in 0..blocks {
                ahead::<S>(w, 1024);
                for k in 0..16 {
                    let first = S::load_half(w.add(k * 64).cast());
                    let second = S::load_half(w.add(k * 64 + 32).cast());
                    for i in 0..M {
                        even[i] = S::fma(first, S::splat(x.add(i * 32 + 2 * k).read()), even[i]);
                        odd[i] = S::fma(second, S::splat(x.add(i * 32 + 2 * k + 1).read()), odd[i]);
                    }
                }
                x = x.add(M * 32);
                w = w.add(1024);
            }
            for i in 0..M {
                even[i] = S::add(even[i], odd[i]);
            }
            even
        }
    }
}
