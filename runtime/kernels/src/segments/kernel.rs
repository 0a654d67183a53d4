//! Attention of some queries to one head's keys and values.
#![expect(clippy::indexing_slicing, clippy::needless_range_loop, reason = "constant loops over arrays of registers")]

use super::{BLOCK, Piece, Plan};
use crate::{lanes::Lanes, math};

/// Most queries that any instruction set takes together.
const TOGETHER_MAX: usize = 8;

/// Bytes that [`attend`] wants for texts of that many tokens: their scores.
pub(super) const fn memory_bytes(tokens: usize) -> usize {
    TOGETHER_MAX * tokens.next_multiple_of(BLOCK) * 4
}

/// Turns the keys of the piece's rows, all heads: sixteen keys' first numbers,
/// then their second, and so on. Keys beyond the text's end are nought.
///
/// # Safety
/// The piece is one of the plan's, and nobody else has its blocks.
pub(super) unsafe fn turn(plan: &Plan, piece: &Piece) {
    let (size, width) = (plan.size, plan.heads * plan.size);
    for head in 0..plan.heads {
        for block in piece.first / BLOCK..(piece.first + piece.rows).div_ceil(BLOCK) {
            // SAFETY: the rows lie in `qk`, the block in `keys`.
            unsafe {
                let to = plan.keys(piece, head).add(block * BLOCK * size);
                let keys = (piece.count - block * BLOCK).min(BLOCK);
                if keys < BLOCK {
                    to.write_bytes(0, BLOCK * size);
                }
                let from = plan.qk.add((piece.row + block * BLOCK) * 2 * width + width + head * size);
                for key in 0..keys {
                    let from = from.add(key * 2 * width);
                    for d in 0..size {
                        to.add(d * BLOCK + key).write(from.add(d).read());
                    }
                }
            }
        }
    }
}

/// Attends the piece's rows, one head, with `memory` of [`memory_bytes`].
#[inline(always)]
pub(super) unsafe fn attend<S: Lanes>(plan: &Plan, piece: &Piece, head: usize, memory: *mut f32) {
    let mut row = piece.first;
    let end = piece.first + piece.rows;
    while row < end {
        let n = (end - row).min(S::QUERIES);
        // SAFETY: rows of the piece; no instruction set takes more than eight.
        unsafe {
            match n {
                8 => queries::<S, 8>(plan, piece, head, row, memory),
                7 => queries::<S, 7>(plan, piece, head, row, memory),
                6 => queries::<S, 6>(plan, piece, head, row, memory),
                5 => queries::<S, 5>(plan, piece, head, row, memory),
                4 => queries::<S, 4>(plan, piece, head, row, memory),
                3 => queries::<S, 3>(plan, piece, head, row, memory),
                2 => queries::<S, 2>(plan, piece, head, row, memory),
                _ => queries::<S, 1>(plan, piece, head, row, memory),
            }
        }
        row += n;
    }
}

/// `Q` queries of a text from its row `row` on.
#[inline(always)]
unsafe fn queries<S: Lanes, const Q: usize>(plan: &Plan, piece: &Piece, head: usize, row: usize, scores: *mut f32) {
    let (size, width) = (plan.size, plan.heads * plan.size);
    let padded = piece.count.next_multiple_of(BLOCK);
    // SAFETY: the text's rows lie in `qk`, `values` and `out`, its keys in `keys`;
    // `scores` has room for `Q` rows of `padded`.
    unsafe {
        let from = plan.qk.add((piece.row + row) * 2 * width + head * size);
        let keys = plan.keys(piece, head);
        let mut at = 0;
        while padded - at >= 2 * BLOCK {
            score::<S, Q, 2>(plan, from, keys.add(at * size), scores.add(at), padded);
            at += 2 * BLOCK;
        }
        if at < padded {
            score::<S, Q, 1>(plan, from, keys.add(at * size), scores.add(at), padded);
        }
        let mut inverse = [0f32; Q];
        for i in 0..Q {
            inverse[i] = 1.0 / soften::<S>(scores.add(i * padded), piece.count, padded);
        }
        let values = plan.values.add(piece.row * width + head * size);
        let to = plan.out.add((piece.row + row) * width + head * size);
        let mut d = 0;
        while size - d >= 2 * BLOCK {
            gather::<S, Q, 2>(plan, values.add(d), piece.count, scores, &inverse, to.add(d));
            d += 2 * BLOCK;
        }
        if d < size {
            gather::<S, Q, 1>(plan, values.add(d), piece.count, scores, &inverse, to.add(d));
        }
    }
}

/// Scores of `Q` queries with `B` blocks of keys, number by number in order.
#[inline(always)]
unsafe fn score<S: Lanes, const Q: usize, const B: usize>(
    plan: &Plan,
    from: *const f32,
    keys: *const f32,
    scores: *mut f32,
    padded: usize,
) {
    let (size, step) = (plan.size, 2 * plan.heads * plan.size);
    // SAFETY: the caller's: queries are `step` apart, blocks `16 * size`.
    unsafe {
        let mut sums = [[S::splat(0.0); B]; Q];
        for d in 0..size {
            let mut key = [S::splat(0.0); B];
            for b in 0..B {
                key[b] = S::load(keys.add((b * size + d) * BLOCK));
            }
            for i in 0..Q {
                let query = S::splat(from.add(i * step + d).read());
                for b in 0..B {
                    sums[i][b] = S::fma(query, key[b], sums[i][b]);
                }
            }
        }
        let scale = S::splat(plan.scale);
        for i in 0..Q {
            for b in 0..B {
                S::store(scores.add(i * padded + b * BLOCK), S::mul(sums[i][b], scale));
            }
        }
    }
}

/// Scores to weights, the greatest becoming 1; their sum.
#[inline(always)]
unsafe fn soften<S: Lanes>(scores: *mut f32, count: usize, padded: usize) -> f32 {
    // SAFETY: `padded` scores.
    unsafe {
        for at in count..padded {
            scores.add(at).write(f32::NEG_INFINITY);
        }
        let mut most = S::splat(f32::NEG_INFINITY);
        for at in (0..padded).step_by(BLOCK) {
            most = S::max(S::load(scores.add(at)), most);
        }
        let most = S::splat(S::most(most));
        let mut sum = S::splat(0.0);
        for at in (0..padded).step_by(BLOCK) {
            let weight = math::exp::<S>(S::sub(S::load(scores.add(at)), most));
            S::store(scores.add(at), weight);
            sum = S::add(sum, weight);
        }
        S::sum(sum)
    }
}

/// Adds weighted values of all tokens in order, `V` times 16 numbers of each.
#[inline(always)]
unsafe fn gather<S: Lanes, const Q: usize, const V: usize>(
    plan: &Plan,
    values: *const f32,
    count: usize,
    weights: *const f32,
    inverse: &[f32; Q],
    to: *mut f32,
) {
    let (width, padded) = (plan.heads * plan.size, count.next_multiple_of(BLOCK));
    // SAFETY: the caller's: values and outputs are a width apart.
    unsafe {
        let mut sums = [[S::splat(0.0); V]; Q];
        for t in 0..count {
            let mut value = [S::splat(0.0); V];
            for v in 0..V {
                value[v] = S::load(values.add(t * width + v * BLOCK));
            }
            for i in 0..Q {
                let weight = S::splat(weights.add(i * padded + t).read());
                for v in 0..V {
                    sums[i][v] = S::fma(weight, value[v], sums[i][v]);
                }
            }
        }
        for i in 0..Q {
            for v in 0..V {
                S::store(to.add(i * width + v * BLOCK), S::mul(sums[i][v], S::splat(inverse[i])));
            }
        }
    }
}
