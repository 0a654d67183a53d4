//! Choosing among many logits without sorting them all.

use super::row::{CHUNK, LANES, Room, Row};

/// Chunks whose weights are summed before they are added up.
const SUMMED: usize = 16;
/// Below this [`exp`] is 0.
const LOWEST: f32 = -87.0;

/// e to the power of `x` for x at most 0, to 2e-7 of itself, from additions and
/// multiplications alone: the same on every machine, and vectorised.
pub(super) fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23: adding it rounds to whole numbers
    let lowered = if x > LOWEST { x } else { LOWEST };
    let whole = lowered * std::f32::consts::LOG2_E + ROUND;
    let power = whole - ROUND;
    // ln 2 in two parts, so that the difference is exact.
    let rest = (lowered - power * 0.693_359_4) - power * -2.121_944_4e-4;
    let series = 1.0
        + rest
            * (1.0
                + rest * (0.5 + rest * (0.166_666_66 + rest * (0.041_666_4 + rest * (0.008_333_6 + rest * 0.001_39)))));
    let scale = f32::from_bits((whole.to_bits() << 23).wrapping_add(0x3F80_0000));
    if x > LOWEST { series * scale } else { 0.0 }
}

/// The `count` largest of `row`, unsorted, in the room for candidates.
pub(super) fn best(row: &Row<'_>, count: usize, room: &mut Room) {
    let Room { candidates: found, tops, .. } = room;
    found.clear();
    // So many chunks have at least one as large as this.
    let mut floor = f32::NEG_INFINITY;
    if let Some(last) = count.checked_sub(1).filter(|&last| last < row.tops.len()) {
        tops.clear();
        tops.extend_from_slice(row.tops);
        floor = *tops.select_nth_unstable_by(last, |a, b| b.total_cmp(a)).1;
    }
    gather(row, floor.max(f32::MIN), found);
    cut(found, count);
}

/// All tokens whose logit is at least `floor`, in their order.
fn gather(row: &Row<'_>, floor: f32, found: &mut Vec<(u32, f32)>) {
    for (first, chunk) in row.above(floor) {
        found.extend((first..).zip(chunk).filter(|&(_, &logit)| logit >= floor).map(|(token, &logit)| (token, logit)));
    }
}

fn cut(found: &mut Vec<(u32, f32)>, count: usize) {
    if count > 0 && found.len() > count {
        found.select_nth_unstable_by(count - 1, likelier);
        found.truncate(count);
    }
}

/// Likelier first, then the smaller number.
pub(super) fn likelier(a: &(u32, f32), b: &(u32, f32)) -> std::cmp::Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

/// Turns logits into weights relative to the likeliest; their sum.
pub(super) fn weigh(candidates: &mut [(u32, f32)], top: f32, spread: f32) -> f64 {
    let mut total = 0.0;
    for (_, weight) in candidates {
        *weight = exp((*weight - top) * spread);
        total += f64::from(*weight);
    }
    total
}

/// Sum of all weights of a row.
pub(super) fn total(row: &Row<'_>, top: f32, spread: f32) -> f64 {
    (0..row.tops.len()).step_by(SUMMED).map(|first| sum(row, first, top, spread)).fold(0.0, |all, sum| all + sum)
}

/// Sum of the weights of [`SUMMED`] chunks from `first` on.
fn sum(row: &Row<'_>, first: usize, top: f32, spread: f32) -> f64 {
    let mut lanes = [0.0f32; LANES];
    for (number, &largest) in row.tops.iter().enumerate().skip(first).take(SUMMED) {
        if (largest - top) * spread > LOWEST {
            let (parts, rest) = row.chunk(number).as_chunks::<LANES>();
            for part in parts {
                for (lane, &logit) in lanes.iter_mut().zip(part) {
                    *lane += exp((logit - top) * spread);
                }
            }
            for (lane, &logit) in lanes.iter_mut().zip(rest) {
                *lane += exp((logit - top) * spread);
            }
        }
    }
    lanes.iter().map(|&lane| f64::from(lane)).sum()
}

/// The likeliest tokens that together have at least `top_p` of all weight, and
/// perhaps some more, by token, as weights; the sum over all tokens.
pub(super) fn nucleus(row: &Row<'_>, top: f32, spread: f32, top_p: f32, found: &mut Vec<(u32, f32)>) -> f64 {
    let all = total(row, top, spread);
    let wanted = all * f64::from(top_p);
    // Natural logarithm of the smallest weight looked at; each round a hundredth.
    let mut depth = -7.0f32;
    loop {
        let floor = top + depth / spread;
        found.clear();
        gather(row, floor, found);
        if weigh(found, top, spread) >= wanted || depth < -88.0 {
            return all;
        }
        depth -= 4.6;
    }
}

/// Draws among the likeliest that make `wanted` of weight together and whose
/// weight is at least `floor`, by token; always the likeliest.
pub(super) fn draw(room: &mut Room, wanted: f64, floor: f32, uniform: f64) -> Option<u32> {
    let Room { candidates, ordered, .. } = room;
    candidates.sort_unstable_by_key(|&(token, _)| token);
    ordered.clear();
    ordered.extend_from_slice(candidates);
    let last = cut_by_weight(ordered, wanted)?;
    let best = candidates.iter().copied().min_by(likelier)?;
    candidates.retain(|one| likelier(one, &last).is_le() && (one.1 >= floor && one.1 > 0.0 || one.0 == best.0));
    let mut left = uniform * candidates.iter().map(|&(_, weight)| f64::from(weight)).sum::<f64>();
    for &(token, weight) in candidates.iter() {
        left -= f64::from(weight);
        if left < 0.0 {
            return Some(token);
        }
    }
    candidates.last().map(|&(token, _)| token)
}

/// The least likely of those that make `wanted` of weight together. Halves are
/// parted where it must lie, so that few are ever sorted.
fn cut_by_weight(candidates: &mut [(u32, f32)], wanted: f64) -> Option<(u32, f32)> {
    const SORTED: usize = 64;
    let mut rest = candidates;
    let mut before = 0.0f64;
    while rest.len() > SORTED {
        let middle = rest.len() / 2;
        rest.select_nth_unstable_by(middle, likelier);
        let (likely, unlikely) = rest.split_at_mut(middle);
        let sum: f64 = likely.iter().map(|&(_, weight)| f64::from(weight)).sum();
        if before + sum >= wanted {
            rest = likely;
        } else {
            before += sum;
            rest = unlikely;
        }
    }
    rest.sort_unstable_by(likelier);
    for one in rest.iter() {
        before += f64::from(one.1);
        if before >= wanted {
            return Some(*one);
        }
    }
    rest.last().copied()
}

/// Draws from all tokens whose logit is at least `floor`, in their own order.
pub(super) fn draw_all(
    row: &Row<'_>,
    best: (u32, f32),
    spread: f32,
    floor: f32,
    uniform: f64,
    sums: &mut Vec<f64>,
) -> u32 {
    let weight = |logit: f32| if logit >= floor { exp((logit - best.1) * spread) } else { 0.0 };
    // Chunks without weight add nothing.
    let weighs = |number: usize| row.tops.get(number).is_some_and(|&top| weight(top) > 0.0);
    let inside = |first: usize| (first..row.tops.len().min(first + SUMMED)).filter(|&number| weighs(number));
    sums.clear();
    for first in (0..row.tops.len()).step_by(SUMMED) {
        sums.push(if floor == f32::NEG_INFINITY {
            sum(row, first, best.1, spread)
        } else {
            inside(first).flat_map(|number| row.chunk(number)).map(|&logit| f64::from(weight(logit))).sum()
        });
    }
    let mut left = uniform * sums.iter().sum::<f64>();
    let mut last = best.0;
    for (first, &sum) in (0..).step_by(SUMMED).zip(sums.iter()) {
        if left >= sum {
            left -= sum;
            continue;
        }
        for number in inside(first) {
            for (offset, &logit) in row.chunk(number).iter().enumerate() {
                let weight = f64::from(weight(logit));
                if weight > 0.0 {
                    last = u32::try_from(number * CHUNK + offset).unwrap_or(best.0);
                    left -= weight;
                    if left < 0.0 {
                        return last;
                    }
                }
            }
        }
        return last;
    }
    last
}
