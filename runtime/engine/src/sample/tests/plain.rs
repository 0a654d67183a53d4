//! Drawing the plain way, to hold ours against: whole rows, copied and looked
//! through as often as it takes.

use weighbridge_inference_wire::Failure;

use super::super::Sampler;
use super::super::select::exp;
use crate::failure::model;

/// Numbers looked at side by side, so that the compiler uses vectors.
const LANES: usize = 16;

/// The largest logit and its first place.
///
/// # Errors
/// A logit that is no number or positively infinite, or all negatively so.
pub(in crate::sample) fn likeliest(row: &[f32]) -> Result<(u32, f32), Failure> {
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
pub(in crate::sample) fn keep(row: &mut [f32], mask: &[u32]) {
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

/// The `count` largest of `row`, unsorted, in `found`.
pub(in crate::sample) fn best(row: &[f32], count: usize, found: &mut Vec<(u32, f32)>) {
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
pub(in crate::sample) fn likelier(a: &(u32, f32), b: &(u32, f32)) -> std::cmp::Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

/// Turns logits into weights relative to the likeliest; their sum.
pub(in crate::sample) fn weigh(candidates: &mut [(u32, f32)], top: f32, spread: f32) -> f64 {
    let mut total = 0.0;
    for (_, weight) in candidates {
        *weight = exp((*weight - top) * spread);
        total += f64::from(*weight);
    }
    total
}

/// Sum of all weights of a row.
pub(in crate::sample) fn total(row: &[f32], top: f32, spread: f32) -> f64 {
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
pub(in crate::sample) fn nucleus(row: &[f32], top: f32, spread: f32, top_p: f32, found: &mut Vec<(u32, f32)>) -> f64 {
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
pub(in crate::sample) fn draw(candidates: &mut Vec<(u32, f32)>, wanted: f64, floor: f32, uniform: f64) -> Option<u32> {
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
pub(in crate::sample) fn draw_all(
    row: &[f32],
    best: (u32, f32),
    spread: f32,
    floor: f32,
    uniform: f64,
) -> Result<u32, Failure> {
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

/// As [`Sampler::draw`].
pub(in crate::sample) fn drawn(
    sampler: &mut Sampler,
    logits: &[f32],
    mask: Option<&[u32]>,
    banned: &[u32],
) -> Result<u32, Failure> {
    likeliest(logits)?;
    let mut row = logits.to_vec();
    for &(token, bias) in &sampler.bias {
        if let Some(logit) = row.get_mut(token as usize) {
            *logit += bias;
        }
    }
    for (&token, &count) in &sampler.written {
        let Some(logit) = row.get_mut(token as usize) else { continue };
        *logit = if *logit > 0.0 { *logit / sampler.repetition } else { *logit * sampler.repetition };
        if count > 0 {
            *logit -= sampler.frequency * count as f32 + sampler.presence;
        }
    }
    if let Some(mask) = mask {
        keep(&mut row, mask);
    }
    for &token in banned {
        if let Some(logit) = row.get_mut(token as usize) {
            *logit = f32::NEG_INFINITY;
        }
    }
    let best = likeliest(&row)?;
    if sampler.temperature == 0.0 {
        return Ok(best.0);
    }
    let spread = 1.0 / sampler.temperature.max(1e-5);
    let floor = if sampler.min_p > 0.0 {
        best.1 + sampler.temperature.max(1e-5) * sampler.min_p.ln()
    } else {
        f32::NEG_INFINITY
    };
    let limited = sampler.top_k > 0 && sampler.top_k < row.len();
    let uniform = sampler.random.uniform();
    if !limited && sampler.top_p >= 1.0 {
        return draw_all(&row, best, spread, floor, uniform);
    }
    let mut candidates = Vec::new();
    let total = if limited {
        self::best(&row, sampler.top_k, &mut candidates);
        weigh(&mut candidates, best.1, spread)
    } else {
        nucleus(&row, best.1, spread, sampler.top_p, &mut candidates)
    };
    draw(&mut candidates, total * f64::from(sampler.top_p), sampler.min_p, uniform)
        .ok_or_else(|| model("no token is left to draw from the model's logits"))
}
