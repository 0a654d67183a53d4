//! Choosing among many logits without sorting them all.

use weighbridge_inference_wire::Failure;

use crate::failure::model;

/// Numbers looked at side by side, so that the compiler uses vectors.
const LANES: usize = 16;

/// The largest logit and its first place.
///
/// # Errors
/// A logit that is no number or positively infinite, or all negatively so.
pub(super) fn likeliest(row: &[f32]) -> Result<(u32, f32), Failure> {
    let mut tops = [f32::NEG_INFINITY; LANES];
    let mut sound = [true; LANES];
    let chunks = row.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for ((top, sound), &logit) in tops.iter_mut().zip(&mut sound).zip(chunk) {
            *top = if logit > *top { logit } else { *top };
            // False for NaN and for positive infinity.
            *sound &= logit < f32::INFINITY;
        }
    }
    for ((top, sound), &logit) in tops.iter_mut().zip(&mut sound).zip(rest) {
        *top = if logit > *top { logit } else { *top };
        *sound &= logit < f32::INFINITY;
    }
    if sound.contains(&false) {
        return Err(model("the model's logits are not numbers; its weights or its graph are damaged"));
    }
    let best = tops.into_iter().fold(f32::NEG_INFINITY, f32::max);
    if best == f32::NEG_INFINITY {
        return Err(model("no token may be drawn: all logits are minus infinity"));
    }
    let place = row.iter().position(|&logit| logit == best).and_then(|place| u32::try_from(place).ok());
    place.map(|place| (place, best)).ok_or_else(|| model("the model gave no logits"))
}

/// Sets all logits to minus infinity whose bit in `mask` is clear.
pub(super) fn keep(row: &mut [f32], mask: &[u32]) {
    let mut words = mask.iter().copied();
    for chunk in row.chunks_mut(32) {
        match words.next().unwrap_or(0) {
            u32::MAX => {}
            0 => chunk.fill(f32::NEG_INFINITY),
            word => {
                for (bit, logit) in chunk.iter_mut().enumerate() {
                    if word >> bit & 1 == 0 {
                        *logit = f32::NEG_INFINITY;
                    }
                }
            }
        }
    }
}

/// e to the power of `x` for x at most 0, to 2e-7 of itself, from additions and
/// multiplications alone: the same on every machine, and vectorised.
pub(super) fn exp(x: f32) -> f32 {
    const LOWEST: f32 = -87.0;
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

/// The `count` largest of `row`, unsorted, in `found`.
pub(super) fn best(row: &[f32], count: usize, found: &mut Vec<(u32, f32)>) {
    found.clear();
    let Ok(end) = u32::try_from(row.len()) else { return };
    let mut floor = f32::NEG_INFINITY;
    let room = count.saturating_mul(2).max(64);
    for (token, &logit) in (0..end).zip(row) {
        if logit > floor {
            found.push((token, logit));
            if found.len() >= room {
                cut(found, count);
                floor = found.iter().map(|&(_, logit)| logit).fold(f32::INFINITY, f32::min);
            }
        }
    }
    cut(found, count);
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
pub(super) fn total(row: &[f32], top: f32, spread: f32) -> f64 {
    let mut sum = 0.0f64;
    for chunk in row.chunks(1024) {
        let mut lanes = [0.0f32; LANES];
        let parts = chunk.chunks_exact(LANES);
        let rest = parts.remainder();
        for part in parts {
            for (lane, &logit) in lanes.iter_mut().zip(part) {
                *lane += exp((logit - top) * spread);
            }
        }
        for (lane, &logit) in lanes.iter_mut().zip(rest) {
            *lane += exp((logit - top) * spread);
        }
        sum += lanes.iter().map(|&lane| f64::from(lane)).sum::<f64>();
    }
    sum
}

/// The likeliest tokens that together have at least `top_p` of all weight, and
/// perhaps some more, by token, as weights; the sum over all tokens.
pub(super) fn nucleus(row: &[f32], top: f32, spread: f32, top_p: f32, found: &mut Vec<(u32, f32)>) -> f64 {
    let all = total(row, top, spread);
    let wanted = all * f64::from(top_p);
    let Ok(end) = u32::try_from(row.len()) else { return all };
    // Natural logarithm of the smallest weight looked at; each round a hundredth.
    let mut depth = -7.0f32;
    loop {
        let floor = top + depth / spread;
        found.clear();
        found.extend((0..end).zip(row).filter(|&(_, &logit)| logit >= floor).map(|(token, &logit)| (token, logit)));
        if weigh(found, top, spread) >= wanted || depth < -88.0 {
            return all;
        }
        depth -= 4.6;
    }
}

/// Draws among the likeliest that make `wanted` of weight together and whose
/// weight is at least `floor`, by token; always the likeliest.
pub(super) fn draw(candidates: &mut Vec<(u32, f32)>, wanted: f64, floor: f32, uniform: f64) -> Option<u32> {
    candidates.sort_unstable_by_key(|&(token, _)| token);
    let mut ordered = candidates.clone();
    let last = cut_by_weight(&mut ordered, wanted)?;
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
///
/// # Errors
/// Never for a row that [`likeliest`] accepted.
pub(super) fn draw_all(row: &[f32], best: (u32, f32), spread: f32, floor: f32, uniform: f64) -> Result<u32, Failure> {
    const CHUNK: usize = 1024;
    let weight = |logit: f32| if logit >= floor { exp((logit - best.1) * spread) } else { 0.0 };
    let sums: Vec<f64> = row
        .chunks(CHUNK)
        .map(|chunk| {
            if floor == f32::NEG_INFINITY {
                total(chunk, best.1, spread)
            } else {
                chunk.iter().map(|&logit| f64::from(weight(logit))).sum()
            }
        })
        .collect();
    let mut left = uniform * sums.iter().sum::<f64>();
    let mut last = best.0;
    for ((number, chunk), &sum) in row.chunks(CHUNK).enumerate().zip(&sums) {
        if left >= sum {
            left -= sum;
            continue;
        }
        for (offset, &logit) in chunk.iter().enumerate() {
            let weight = f64::from(weight(logit));
            if weight > 0.0 {
                last = u32::try_from(number * CHUNK + offset).unwrap_or(best.0);
                left -= weight;
                if left < 0.0 {
                    return Ok(last);
                }
            }
        }
        return Ok(last);
    }
    Ok(last)
}
