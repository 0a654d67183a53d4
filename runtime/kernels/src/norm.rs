//! Sums of rows, normed: what stands between the halves of an encoder's layer.

use crate::{
    Isa, KernelError, Pool,
    error::length,
    lanes::{Lanes, dispatch},
    pool::{Shareable, part},
};

/// Most addends.
const PARTS_MAX: usize = 4;

/// Layer norm of a row: less its mean, over its standard deviation.
#[derive(Debug, Clone, Copy)]
pub struct Norm<'a> {
    /// Multiplies each number; as many as a row has, a multiple of 16.
    pub scale: &'a [f32],
    /// Added to each number.
    pub bias: &'a [f32],
    /// Added to the variance under the root.
    pub epsilon: f32,
}

/// `out` becomes the normed sum of `parts`, row by row. A part is as long as
/// `out`, or one row that is added to all.
///
/// Sums have one order, so a row's result depends neither on the instruction
/// set nor on the rows beside it.
///
/// # Errors
/// Where lengths do not fit each other.
pub fn add_norm(pool: &Pool, isa: Isa, parts: &[&[f32]], norm: Norm<'_>, out: &mut [f32]) -> Result<(), KernelError> {
    let width = norm.scale.len();
    if width == 0 || !width.is_multiple_of(16) {
        let expected = "a positive multiple of 16";
        return Err(KernelError::Parameter { what: "the length of a normed row", value: width, expected });
    }
    length("bias", norm.bias.len(), width)?;
    let rows = out.len() / width;
    length("out", out.len(), rows * width)?;
    if parts.is_empty() || parts.len() > PARTS_MAX {
        return Err(KernelError::Parameter { what: "the number of addends", value: parts.len(), expected: "1 to 4" });
    }
    let mut addends = [(std::ptr::null(), 0); PARTS_MAX];
    for (to, part) in addends.iter_mut().zip(parts) {
        let step = if part.len() == width { 0 } else { width };
        length("an addend", part.len(), if step == 0 { width } else { out.len() })?;
        *to = (part.as_ptr(), step);
    }
    let job = Job {
        addends,
        count: parts.len(),
        width,
        scale: norm.scale.as_ptr(),
        bias: norm.bias.as_ptr(),
        epsilon: norm.epsilon,
        out: out.as_mut_ptr(),
    };
    let pieces = if out.len() < 8192 { 1 } else { rows.min(pool.threads() * 8) };
    let job = Shareable::new((&raw const job).cast_mut());
    pool.run(pieces, |i| {
        for row in part(rows, pieces, i) {
            // SAFETY: lengths were checked above for every row below `rows`;
            // each row is written by one piece; `job` lives on this frame.
            unsafe { one_row(isa, &*job.get(), row) }
        }
    });
    Ok(())
}

/// A call, all sizes checked.
struct Job {
    /// Where an addend begins, and how far its rows are apart.
    addends: [(*const f32, usize); PARTS_MAX],
    count: usize,
    width: usize,
    scale: *const f32,
    bias: *const f32,
    epsilon: f32,
    out: *mut f32,
}

dispatch! { unsafe fn one_row(job: &Job, row: usize) = normed }

#[inline(always)]
#[expect(clippy::cast_precision_loss, reason = "rows are short")]
unsafe fn normed<S: Lanes>(job: &Job, row: usize) {
    let &Job { addends, count, width, scale, bias, epsilon, out } = job;
    // SAFETY: each addend has this row, or one for all; `width` is a multiple
    // of 16.
    unsafe {
        let out = out.add(row * width);
        let mut sum = S::splat(0.0);
        for d in (0..width).step_by(16) {
            let mut v = S::splat(0.0);
            for (i, (from, step)) in addends.iter().take(count).enumerate() {
                let more = S::load(from.add(row * step + d));
                v = if i == 0 { more } else { S::add(v, more) };
            }
            S::store(out.add(d), v);
            sum = S::add(sum, v);
        }
        let mean = S::splat(S::sum(sum) / width as f32);
        let mut square = S::splat(0.0);
        for d in (0..width).step_by(16) {
            let off = S::sub(S::load(out.add(d)), mean);
            square = S::fma(off, off, square);
        }
        let factor = S::splat(1.0 / (S::sum(square) / width as f32 + epsilon).sqrt());
        for d in (0..width).step_by(16) {
            let off = S::mul(S::sub(S::load(out.add(d)), mean), factor);
            S::store(out.add(d), S::fma(off, S::load(scale.add(d)), S::load(bias.add(d))));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Random;
    use proptest::prelude::*;

    fn naive(parts: &[Vec<f32>], scale: &[f32], bias: &[f32], rows: usize) -> Vec<f64> {
        let width = scale.len();
        let mut out = Vec::new();
        for row in 0..rows {
            let sum = |d: usize| -> f64 {
                parts.iter().map(|p| f64::from(p[if p.len() == width { d } else { row * width + d }])).sum()
            };
            let values: Vec<f64> = (0..width).map(sum).collect();
            let mean = values.iter().sum::<f64>() / width as f64;
            let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / width as f64;
            let factor = 1.0 / (variance + 1e-5).sqrt();
            out.extend((0..width).map(|d| (values[d] - mean) * factor * f64::from(scale[d]) + f64::from(bias[d])));
        }
        out
    }

    proptest! {
        #[test]
        fn agrees_with_plain_arithmetic_and_to_the_bit_among_instruction_sets(
            rows in 1usize..60, sixteenths in 1usize..20, count in 1usize..5, one_for_all: bool, threads in 1usize..4, seed: u64
        ) {
            let (width, mut next) = (sixteenths * 16, Random(seed));
            let mut numbers = |n: usize| (0..n).map(|_| next.unit() * 3.0).collect::<Vec<f32>>();
            let mut parts: Vec<Vec<f32>> = (0..count).map(|_| numbers(rows * width)).collect();
            if one_for_all {
                parts[count - 1] = numbers(width);
            }
            let (scale, bias) = (numbers(width), numbers(width));
            let norm = Norm { scale: &scale, bias: &bias, epsilon: 1e-5 };
            let pool = Pool::new(threads).unwrap();
            let slices: Vec<&[f32]> = parts.iter().map(Vec::as_slice).collect();
            let mut whole = vec![0.0; rows * width];
            add_norm(&pool, Isa::SCALAR, &slices, norm, &mut whole).unwrap();
            for (got, want) in whole.iter().zip(naive(&parts, &scale, &bias, rows)) {
                prop_assert!((f64::from(*got) - want).abs() < 1e-4, "{got} for {want}");
            }
            for isa in Isa::available() {
                let mut out = vec![0.0; rows * width];
                add_norm(&pool, isa, &slices, norm, &mut out).unwrap();
                prop_assert!(out.iter().zip(&whole).all(|(a, b)| a.to_bits() == b.to_bits()), "{}", isa.name());
                // The last row alone.
                let last: Vec<&[f32]> = slices.iter().map(|s| &s[s.len() - width..]).collect();
                let mut alone = vec![0.0; width];
                add_norm(&pool, isa, &last, norm, &mut alone).unwrap();
                prop_assert!(alone.iter().zip(&whole[(rows - 1) * width..]).all(|(a, b)| a.to_bits() == b.to_bits()));
            }
        }
    }

    #[test]
    fn refuses_what_does_not_fit() {
        let (pool, isa, row) = (Pool::new(1).unwrap(), Isa::detect(), [1.0; 32]);
        let norm = Norm { scale: &row, bias: &row, epsilon: 0.0 };
        let mut out = [0.0; 64];
        assert!(add_norm(&pool, isa, &[&[1.0; 64], &row], norm, &mut out).is_ok());
        assert!(add_norm(&pool, isa, &[&[1.0; 63]], norm, &mut out).is_err());
        assert!(add_norm(&pool, isa, &[&[1.0; 64]], norm, &mut out[1..]).is_err());
        assert!(add_norm(&pool, isa, &[&[1.0; 64]], Norm { bias: &row[1..], ..norm }, &mut out).is_err());
        assert!(
            add_norm(&pool, isa, &[&[1.0; 64]], Norm { scale: &row[..8], bias: &row[..8], ..norm }, &mut out).is_err()
        );
        assert!(add_norm(&pool, isa, &[], norm, &mut out).is_err());
        assert!(add_norm(&pool, isa, &[&row as &[f32]; 5], norm, &mut out).is_err());
        assert!(add_norm(&pool, isa, &[&[]], norm, &mut []).is_ok());
    }
}
