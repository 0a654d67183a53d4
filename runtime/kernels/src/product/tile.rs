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
    /// Two groups at once share the reads of activations and so gain.
    const PAIRS: bool = true;
    /// `M` rows of activations at `x` by `G` groups, the first at `w`, the next
    /// `apart` bytes later, all `blocks` long.
    unsafe fn tile<S: Lanes, const M: usize, const G: usize>(
        x: *const u8,
        w: *const u8,
        apart: usize,
        blocks: usize,
    ) -> [[S::F; M]; G];
}

/// Rows in panels that the cache holds, groups within, tiles within: weights
/// come from memory once per panel and from a cache for each tile.
#[inline(always)]
unsafe fn walk<S: Lanes, B: Block>(job: &Job<'_>, groups: Range<usize>) {
    let (m, blocks) = (job.panel.m, job.panel.blocks);
    let (row, most) = (blocks * panel::row_bytes(B::LAYOUT), panel::most::<S>(B::LAYOUT));
    let rows = (PANEL_BYTES / row / most).max(1) * most;
    // One row alone waits for memory, which likes one stream best.
    let pairs = B::PAIRS && S::PAIRS && job.gate.is_none() && m > 1;
    let mut first = 0;
    while first < m {
        let end = m.min(first + rows);
        let mut group = groups.start;
        while group < groups.end {
            let count = if pairs && groups.end - group > 1 { 2 } else { 1 };
            let mut at = first;
            while at < end {
                let tile = panel::tile_rows(end - at, most);
                // SAFETY: tile and groups lie within the job; no instruction
                // set has tiles of more than 8 rows, or of more than 4 in pairs.
                unsafe {
                    let x = job.panel.data.add(at * row);
                    match (tile, count) {
                        (4, 2) => some::<S, B, 4, 2>(job, x, at, group),
                        (2, 2) => some::<S, B, 2, 2>(job, x, at, group),
                        (1, 2) => some::<S, B, 1, 2>(job, x, at, group),
                        (8, _) => some::<S, B, 8, 1>(job, x, at, group),
                        (4, _) => some::<S, B, 4, 1>(job, x, at, group),
                        (2, _) => some::<S, B, 2, 1>(job, x, at, group),
                        _ => some::<S, B, 1, 1>(job, x, at, group),
                    }
                }
                at += tile;
            }
            group += count;
        }
        first = end;
    }
}

/// One tile by `G` groups (for a gate: by one group of each), finished and stored.
#[inline(always)]
unsafe fn some<S: Lanes, B: Block, const M: usize, const G: usize>(
    job: &Job<'_>,
    x: *const u8,
    row: usize,
    group: usize,
) {
    let blocks = job.panel.blocks;
    let bytes = blocks * B::LAYOUT.block_bytes();
    // SAFETY: the groups' bytes and the tile's rows lie within what the job's
    // sizes say.
    unsafe {
        let Some(gate) = job.gate else {
            let values = B::tile::<S, M, G>(x, job.weights.add(group * bytes), bytes, blocks);
            for (g, value) in values.into_iter().enumerate() {
                finish::<S, M>(job, value, row, (group + g) * GROUP_ROWS);
            }
            return;
        };
        let w = job.weights.add(group * 2 * bytes);
        let [mut value, up] = if B::PAIRS && S::PAIRS {
            B::tile::<S, M, 2>(x, w, bytes, blocks)
        } else {
            let [gate] = B::tile::<S, M, 1>(x, w, bytes, blocks);
            let [up] = B::tile::<S, M, 1>(x, w.add(bytes), bytes, blocks);
            [gate, up]
        };
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
    unsafe fn tile<S: Lanes, const M: usize, const G: usize>(
        x: *const u8,
        w: *const u8,
        apart: usize,
        blocks: usize,
    ) -> [[S::F; M]; G] {
        // SAFETY: the caller's; see the layouts of weights and panels.
        unsafe {
            let (mut x, mut w) = (x, w);
            let mut sums = [[S::splat(0.0); M]; G];
            for _ in 0..blocks {
                let zero = S::nibbles(w);
                let mut chunks = [[zero; 4]; G];
                let mut scales = [S::splat(0.0); G];
                for g in 0..G {
                    let w = w.add(g * apart);
                    ahead::<S>(w, 288);
                    for c in 0..4 {
                        chunks[g][c] = S::nibbles(w.add(c * 64));
                    }
                    scales[g] = S::load_half(w.add(256).cast());
                }
                for i in 0..M {
                    let at = x.add(i * 32).cast::<i8>();
                    let factor = S::splat(x.add(M * 32 + i * 4).cast::<f32>().read());
                    let mut low = [S::splat_int(x.add(M * 36 + i * 4).cast::<i32>().read()); G];
                    let mut high = [S::splat_int(0); G];
                    for c in 0..4 {
                        let (a, b) = (S::spread(at.add(8 * c)), S::spread(at.add(8 * c + 4)));
                        for g in 0..G {
                            low[g] = S::dot_nibbles(low[g], chunks[g][c].0, a);
                            high[g] = S::dot_nibbles(high[g], chunks[g][c].1, b);
                        }
                    }
                    for g in 0..G {
                        sums[g][i] =
                            S::fma(S::to_float(S::add_int(low[g], high[g])), S::mul(scales[g], factor), sums[g][i]);
                    }
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
    unsafe fn tile<S: Lanes, const M: usize, const G: usize>(
        x: *const u8,
        w: *const u8,
        apart: usize,
        blocks: usize,
    ) -> [[S::F; M]; G] {
        // SAFETY: as for `Q4`.
        unsafe {
            let (mut x, mut w) = (x, w);
            let mut sums = [[S::splat(0.0); M]; G];
            for _ in 0..blocks {
                let zero = S::nibbles(w);
                let mut chunks = [[zero; 4]; G];
                let mut scales = [(S::splat(0.0), S::splat(0.0)); G];
                for g in 0..G {
                    let w = w.add(g * apart);
                    ahead::<S>(w, 384);
                    for c in 0..4 {
                        chunks[g][c] = S::nibbles(w.add(c * 64));
                    }
                    scales[g] = (S::load(w.add(256).cast()), S::load(w.add(320).cast()));
                }
                for i in 0..M {
                    let at = x.add(i * 32).cast::<i8>();
                    let factor = S::splat(x.add(M * 32 + i * 4).cast::<f32>().read());
                    let offset = S::splat(x.add(M * 36 + i * 4).cast::<f32>().read());
                    let (mut low, mut high) = ([S::splat_int(0); G], [S::splat_int(0); G]);
                    for c in 0..4 {
                        let (a, b) = (S::spread(at.add(8 * c)), S::spread(at.add(8 * c + 4)));
                        for g in 0..G {
                            low[g] = S::dot_nibbles(low[g], chunks[g][c].0, a);
                            high[g] = S::dot_nibbles(high[g], chunks[g][c].1, b);
                        }
                    }
                    for g in 0..G {
                        let (scale, minimum) = scales[g];
                        let sum = S::fma(S::to_float(S::add_int(low[g], high[g])), S::mul(scale, factor), sums[g][i]);
                        sums[g][i] = S::fnma(minimum, offset, sum);
                    }
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
    unsafe fn tile<S: Lanes, const M: usize, const G: usize>(
        x: *const u8,
        w: *const u8,
        apart: usize,
        blocks: usize,
    ) -> [[S::F; M]; G] {
        // SAFETY: as for `Q4`.
        unsafe {
            let (mut x, mut w) = (x, w);
            let mut sums = [[S::splat(0.0); M]; G];
            for _ in 0..blocks {
                let mut chunks = [[S::bytes(w); 8]; G];
                let mut scales = [S::splat(0.0); G];
                for g in 0..G {
                    let w = w.add(g * apart);
                    ahead::<S>(w, 544);
                    for c in 0..8 {
                        chunks[g][c] = S::bytes(w.add(c * 64));
                    }
                    scales[g] = S::load_half(w.add(512).cast());
                }
                for i in 0..M {
                    let at = x.add(i * 32).cast::<i8>();
                    let factor = S::splat(x.add(M * 32 + i * 4).cast::<f32>().read());
                    let mut even = [S::start_bytes(x.add(M * 36 + i * 4).cast::<i32>().read()); G];
                    let mut odd = [S::splat_int(0); G];
                    for c in 0..4 {
                        let (a, b) = (S::spread(at.add(8 * c)), S::spread(at.add(8 * c + 4)));
                        for g in 0..G {
                            even[g] = S::dot_bytes(even[g], chunks[g][2 * c], a);
                            odd[g] = S::dot_bytes(odd[g], chunks[g][2 * c + 1], b);
                        }
                    }
                    for g in 0..G {
                        sums[g][i] =
                            S::fma(S::to_float(S::add_int(even[g], odd[g])), S::mul(scales[g], factor), sums[g][i]);
                    }
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
    unsafe fn tile<S: Lanes, const M: usize, const G: usize>(
        x: *const u8,
        w: *const u8,
        apart: usize,
        blocks: usize,
    ) -> [[S::F; M]; G] {
        // SAFETY: as for `Q4`.
        unsafe {
            let (mut x, mut w) = (x, w);
            let mut sums = [[S::splat(0.0); M]; G];
            for _ in 0..blocks {
                let mut chunks = [[S::bytes(w); 8]; G];
                let mut scales = [(S::splat(0.0), S::splat(0.0)); G];
                for g in 0..G {
                    let w = w.add(g * apart);
                    ahead::<S>(w, 640);
                    for c in 0..8 {
                        chunks[g][c] = S::bytes(w.add(c * 64));
                    }
                    scales[g] = (S::load(w.add(512).cast()), S::load(w.add(576).cast()));
                }
                for i in 0..M {
                    let at = x.add(i * 32).cast::<i8>();
                    let factor = S::splat(x.add(M * 32 + i * 4).cast::<f32>().read());
                    let corrections = x.add(M * 36 + i * 8).cast::<i32>();
                    let mut first = [S::start_bytes(corrections.read()); G];
                    let mut second = [S::start_bytes(corrections.add(1).read()); G];
                    for c in 0..4 {
                        let (a, b) = (S::spread(at.add(4 * c)), S::spread(at.add(16 + 4 * c)));
                        for g in 0..G {
                            first[g] = S::dot_bytes(first[g], chunks[g][c], a);
                            second[g] = S::dot_bytes(second[g], chunks[g][4 + c], b);
                        }
                    }
                    for g in 0..G {
                        let (low, high) = scales[g];
                        let sum = S::fma(S::to_float(first[g]), S::mul(low, factor), sums[g][i]);
                        sums[g][i] = S::fma(S::to_float(second[g]), S::mul(high, factor), sum);
                    }
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
    const PAIRS: bool = false;

    #[inline(always)]
    unsafe fn tile<S: Lanes, const M: usize, const G: usize>(
        x: *const u8,
        w: *const u8,
        _apart: usize,
        blocks: usize,
    ) -> [[S::F; M]; G] {
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
            // Always one group: `PAIRS` is off.
            [even; G]
        }
    }
}
