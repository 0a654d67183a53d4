//! Attention of some queries to one head's pages, page by page.
//!
//! A running greatest score, sum and weighted values are corrected at each page
//! (Milakov and Gimelshein 2018; Dao et al. 2022). Each query takes its pages in
//! order, whoever is computed beside it, so its result has one order of sums.
#![expect(clippy::indexing_slicing, clippy::needless_range_loop, reason = "constant loops over arrays of registers")]

use super::{Item, Plan, rope::turn, store::PAGE_TOKENS};
use crate::{lanes::Lanes, math};

/// Greatest f16; keys and values beyond are held to it.
const HALF_MAX: f32 = 65_504.0;

/// What a query knows so far.
#[derive(Clone, Copy)]
struct Running {
    most: f32,
    sum: f32,
}

/// Norms, rotates and stores keys, stores values: rows `first..first + rows` of
/// the item's segment, one head.
#[inline(always)]
pub(super) unsafe fn append<S: Lanes>(plan: &Plan<'_>, item: &Item, kv_head: usize) {
    let (shape, size) = (plan.shape, plan.shape.head_size);
    let (half, width) = (shape.inv_freq.len(), (shape.heads + 2 * shape.kv_heads) * size);
    let mut key = [0f32; super::store::HEAD_SIZE_MAX];
    let mut halves = [0u16; 16];
    for row in item.first..item.first + item.rows {
        let (token, position) = (item.row + row, item.past + row);
        // SAFETY: the plan was checked: the token's row lies in `qkv`, its
        // angles in `angles`, its page in the store, and nobody else has this
        // head of this slot.
        unsafe {
            let from = plan.qkv.add(token * width + (shape.heads + kv_head) * size);
            let angles = plan.angles.add(token * half * 2);
            turn::<S>(
                from,
                key.as_mut_ptr(),
                size,
                plan.k_norm,
                shape.norm_epsilon,
                angles,
                half,
                shape.interleaved,
                1.0,
            );
            let (keys, values) = plan.page(item.segment, position / PAGE_TOKENS, kv_head);
            let (keys, values) = (keys.add(position % PAGE_TOKENS), values.add(position % PAGE_TOKENS * size));
            let from = from.add(shape.kv_heads * size);
            for d in (0..size).step_by(16) {
                S::store_half(halves.as_mut_ptr(), held::<S>(S::load(key.as_ptr().add(d))));
                for (i, half) in halves.into_iter().enumerate() {
                    keys.add((d + i) * PAGE_TOKENS).write(half);
                }
                S::store_half(values.add(d), held::<S>(S::load(from.add(d))));
            }
        }
    }
}

/// Into the range of f16, so that one large number does not become infinite.
#[inline(always)]
unsafe fn held<S: Lanes>(v: S::F) -> S::F {
    // SAFETY: the caller's.
    unsafe { S::min(S::max(v, S::splat(-HALF_MAX)), S::splat(HALF_MAX)) }
}

/// Attends the item's rows, all queries of one key head, using `memory` of
/// [`memory_bytes`].
#[inline(always)]
pub(super) unsafe fn attend<S: Lanes>(plan: &Plan<'_>, item: &Item, kv_head: usize, memory: *mut u8) {
    let (shape, size) = (plan.shape, plan.shape.head_size);
    let group = shape.heads / shape.kv_heads;
    let (half, width) = (shape.inv_freq.len(), (shape.heads + 2 * shape.kv_heads) * size);
    let count = item.rows * group;
    // SAFETY: as in `append`; `memory` is laid out as `memory_bytes` counts it;
    // the output rows of these heads are this item's alone.
    unsafe {
        let last = (item.past + item.first + item.rows - 1) / PAGE_TOKENS;
        let first =
            if shape.window == 0 { 0 } else { (item.past + item.first + 1).saturating_sub(shape.window) / PAGE_TOKENS };
        ask_for::<S>(plan.page(item.segment, first, kv_head), size);
        let queries = memory.cast::<f32>();
        let values = queries.add(count * size);
        let running = values.add(count * size).cast::<Running>();
        for q in 0..count {
            let (token, head) = (item.row + item.first + q / group, kv_head * group + q % group);
            let from = plan.qkv.add(token * width + head * size);
            let angles = plan.angles.add(token * half * 2);
            turn::<S>(
                from,
                queries.add(q * size),
                size,
                plan.q_norm,
                shape.norm_epsilon,
                angles,
                half,
                shape.interleaved,
                shape.scale,
            );
            values.add(q * size).write_bytes(0, size);
            running.add(q).write(Running { most: f32::NEG_INFINITY, sum: 0.0 });
        }
        for page in first..=last {
            let (keys, page_values) = plan.page(item.segment, page, kv_head);
            // Pages lie anywhere: no hardware guesses the next one.
            if page < last {
                ask_for::<S>(plan.page(item.segment, page + 1, kv_head), size);
            }
            let mut q = 0;
            while q < count {
                let n = (count - q).min(S::QUERIES);
                let part = Part {
                    keys,
                    page_values,
                    size,
                    queries: queries.add(q * size),
                    values: values.add(q * size),
                    running: running.add(q),
                    page_start: page * PAGE_TOKENS,
                    window: shape.window,
                    softcap: shape.softcap,
                    position: item.past + item.first,
                    q,
                    group,
                };
                match n {
                    8 => part.page::<S, 8>(),
                    7 => part.page::<S, 7>(),
                    6 => part.page::<S, 6>(),
                    5 => part.page::<S, 5>(),
                    4 => part.page::<S, 4>(),
                    3 => part.page::<S, 3>(),
                    2 => part.page::<S, 2>(),
                    _ => part.page::<S, 1>(),
                }
                q += n;
            }
        }
        for q in 0..count {
            let (token, head) = (item.row + item.first + q / group, kv_head * group + q % group);
            let to = plan.out.add((token * shape.heads + head) * size);
            let inverse = S::splat(1.0 / (*running.add(q)).sum);
            for d in (0..size).step_by(16) {
                S::store(to.add(d), S::mul(S::load(values.add(q * size + d)), inverse));
            }
        }
    }
}

/// Asks memory for the keys and values of a page.
#[inline(always)]
unsafe fn ask_for<S: Lanes>((keys, values): (*mut u16, *mut u16), size: usize) {
    for numbers in (0..size * PAGE_TOKENS).step_by(32) {
        // SAFETY: a hint takes any address.
        unsafe {
            S::prefetch(keys.wrapping_add(numbers).cast_const().cast());
            S::prefetch(values.wrapping_add(numbers).cast_const().cast());
        }
    }
}

/// Bytes that [`attend`] wants for that many queries.
pub(super) const fn memory_bytes(queries: usize, size: usize) -> usize {
    queries * (2 * size * 4 + size_of::<Running>())
}

/// Up to eight queries and a page.
struct Part {
    keys: *const u16,
    page_values: *const u16,
    size: usize,
    queries: *const f32,
    values: *mut f32,
    running: *mut Running,
    /// Position of the page's first token.
    page_start: usize,
    window: usize,
    softcap: f32,
    /// Position of the item's first row.
    position: usize,
    /// Number of the first query in the item; `group` of them per row.
    q: usize,
    group: usize,
}

impl Part {
    /// Slots of the page that query `i` sees.
    #[inline(always)]
    fn seen(&self, i: usize) -> (usize, usize) {
        let end = self.position + (self.q + i) / self.group + 1;
        let begin = if self.window == 0 { 0 } else { end.saturating_sub(self.window) };
        let within = |p: usize| p.saturating_sub(self.page_start).min(PAGE_TOKENS);
        (within(begin), within(end))
    }

    #[inline(always)]
    unsafe fn page<S: Lanes, const Q: usize>(&self) {
        let (mut from, mut to) = (PAGE_TOKENS, 0);
        for i in 0..Q {
            let (begin, end) = self.seen(i);
            if begin < end {
                (from, to) = (from.min(begin), to.max(end));
            }
        }
        if from >= to {
            return;
        }
        let mut weights = [[0f32; PAGE_TOKENS]; Q];
        // SAFETY: `attend` made the part from `Q` queries of the item.
        unsafe {
            self.scores::<S, Q>(&mut weights);
            let corrections = self.soften::<S, Q>(&mut weights);
            let mut d = 0;
            if Q <= 2 {
                while self.size - d >= 64 {
                    self.gather::<S, Q, 4>(d, from, to, &weights, &corrections);
                    d += 64;
                }
            }
            while self.size - d >= 32 {
                self.gather::<S, Q, 2>(d, from, to, &weights, &corrections);
                d += 32;
            }
            if d < self.size {
                self.gather::<S, Q, 1>(d, from, to, &weights, &corrections);
            }
        }
    }

    /// Queries times keys, number by number in order.
    #[inline(always)]
    unsafe fn scores<S: Lanes, const Q: usize>(&self, out: &mut [[f32; PAGE_TOKENS]; Q]) {
        // SAFETY: keys are `size` times 32 numbers, queries `Q` times `size`.
        unsafe {
            let (mut low, mut high) = ([S::splat(0.0); Q], [S::splat(0.0); Q]);
            for d in 0..self.size {
                let (a, b) =
                    (S::load_half(self.keys.add(d * PAGE_TOKENS)), S::load_half(self.keys.add(d * PAGE_TOKENS + 16)));
                for i in 0..Q {
                    let query = S::splat(self.queries.add(i * self.size + d).read());
                    low[i] = S::fma(query, a, low[i]);
                    high[i] = S::fma(query, b, high[i]);
                }
            }
            for (i, out) in out.iter_mut().enumerate() {
                if self.softcap > 0.0 {
                    low[i] = math::soft_cap::<S>(low[i], self.softcap);
                    high[i] = math::soft_cap::<S>(high[i], self.softcap);
                }
                S::store(out.as_mut_ptr(), low[i]);
                S::store(out.as_mut_ptr().add(16), high[i]);
            }
        }
    }

    /// Scores to weights under the new greatest score; what the sums before
    /// must be multiplied with.
    #[inline(always)]
    unsafe fn soften<S: Lanes, const Q: usize>(&self, weights: &mut [[f32; PAGE_TOKENS]; Q]) -> [f32; 16] {
        let mut fallen = [0f32; 16];
        let mut mosts = [f32::NEG_INFINITY; 16];
        // SAFETY: `running` has `Q` entries; rows of `weights` are 32 numbers.
        unsafe {
            for (i, scores) in weights.iter_mut().enumerate() {
                let (begin, end) = self.seen(i);
                let (unseen, tail) = scores.split_at_mut(begin);
                unseen.fill(f32::NEG_INFINITY);
                if let Some(unseen) = tail.get_mut(end.max(begin) - begin..) {
                    unseen.fill(f32::NEG_INFINITY);
                }
                let (a, b) = (S::load(scores.as_ptr()), S::load(scores.as_ptr().add(16)));
                let (before, most) = ((*self.running.add(i)).most, S::most(S::max(a, b)));
                let most = if most > before { most } else { before };
                if let (Some(m), Some(f)) = (mosts.get_mut(i), fallen.get_mut(i)) {
                    *m = most;
                    // A query that sees nothing here keeps its sums as they are.
                    *f = if begin < end { before - most } else { 0.0 };
                }
            }
            let mut corrections = [0f32; 16];
            S::store(corrections.as_mut_ptr(), math::exp::<S>(S::load(fallen.as_ptr())));
            for (i, ((scores, most), correction)) in weights.iter_mut().zip(mosts).zip(corrections).enumerate() {
                let at = scores.as_mut_ptr();
                let a = math::exp::<S>(S::sub(S::load(at), S::splat(most)));
                let b = math::exp::<S>(S::sub(S::load(at.add(16)), S::splat(most)));
                S::store(at, a);
                S::store(at.add(16), b);
                let running = &mut *self.running.add(i);
                running.sum = running.sum.mul_add(correction, S::sum(S::add(a, b)));
                running.most = most;
            }
            corrections
        }
    }

    /// Adds weighted values of slots `from..to`, numbers `d` to `d + 16 V`.
    #[inline(always)]
    unsafe fn gather<S: Lanes, const Q: usize, const V: usize>(
        &self,
        d: usize,
        from: usize,
        to: usize,
        weights: &[[f32; PAGE_TOKENS]; Q],
        corrections: &[f32; 16],
    ) {
        // SAFETY: `d + 16 V` is at most `size`; values are 32 times `size`.
        unsafe {
            let mut sums = [[S::splat(0.0); V]; Q];
            for i in 0..Q {
                let correction = S::splat(corrections.as_ptr().add(i).read());
                for v in 0..V {
                    sums[i][v] = S::mul(S::load(self.values.add(i * self.size + d + v * 16)), correction);
                }
            }
            for t in from..to {
                let mut value = [S::splat(0.0); V];
                for v in 0..V {
                    value[v] = S::load_half(self.page_values.add(t * self.size + d + v * 16));
                }
                for i in 0..Q {
                    let weight = S::splat(weights.as_ptr().cast::<f32>().add(i * PAGE_TOKENS + t).read());
                    for v in 0..V {
                        sums[i][v] = S::fma(weight, value[v], sums[i][v]);
                    }
                }
            }
            for i in 0..Q {
                for v in 0..V {
                    S::store(self.values.add(i * self.size + d + v * 16), sums[i][v]);
                }
            }
        }
    }
}
