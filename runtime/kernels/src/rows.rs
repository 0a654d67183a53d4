//! Rows of a table, and the greatest of a row.

use crate::{
    Isa, KernelError, Pool, Weights,
    error::length,
    lanes::{Lanes, dispatch},
    layout::unpack_row,
    pool::Shareable,
};

/// Writes the weights' row of each token, times `scale`, to `out[T][inputs]`.
///
/// # Errors
/// [`KernelError::Index`] for a token that is not a row, and where lengths do
/// not fit each other; `out` may then be half written.
pub fn embed(
    pool: &Pool,
    weights: Weights<'_>,
    tokens: &[i64],
    scale: f32,
    out: &mut [f32],
) -> Result<(), KernelError> {
    let Weights { layout, rows, inputs, bytes } = weights;
    length("packed weights", bytes.len(), layout.packed_bytes(rows, inputs)?)?;
    length(
        "out",
        out.len(),
        tokens.len().checked_mul(inputs).ok_or(KernelError::TooLarge { rows: tokens.len(), inputs })?,
    )?;
    let row = |token: i64| usize::try_from(token).ok().filter(|row| *row < rows);
    if let Some(&index) = tokens.iter().find(|t| row(**t).is_none()) {
        return Err(KernelError::Index { what: "token", index, count: rows });
    }
    let to = Shareable::new(out.as_mut_ptr());
    pool.run(tokens.len(), |i| {
        // SAFETY: `out` holds `inputs` numbers for each token; each chunk has
        // its own.
        let out = unsafe { std::slice::from_raw_parts_mut(to.get().add(i * inputs), inputs) };
        if let Some(row) = tokens.get(i).copied().and_then(row) {
            // Cannot fail: lengths and row were checked.
            let _ = unpack_row(layout, bytes, row, inputs, out);
        }
        if scale != 1.0 {
            out.iter_mut().for_each(|v| *v *= scale);
        }
    });
    Ok(())
}

/// The first of the greatest numbers; what is no number does not count. `None`
/// where there is none.
#[must_use]
pub fn argmax(isa: Isa, row: &[f32]) -> Option<usize> {
    /// Numbers looked through again to find the place.
    const STRIDE: usize = 1024;
    let mut best: Option<(usize, f32)> = None;
    for (i, part) in row.chunks(STRIDE).enumerate() {
        // SAFETY: reads the slice.
        let most = unsafe { most(isa, part) };
        if best.is_none_or(|(_, b)| most > b) {
            best = Some((i * STRIDE, most));
        }
    }
    let (start, most) = best?;
    // Greatest minus infinity may be the start value of nothing but "no number".
    row.iter().skip(start).position(|v| *v == most).map(|at| start + at)
}

dispatch! { unsafe fn most(row: &[f32]) -> f32 = most_of }

#[inline(always)]
unsafe fn most_of<S: Lanes>(row: &[f32]) -> f32 {
    let (whole, rest) = row.as_chunks::<64>();
    let mut last = [f32::NEG_INFINITY; 64];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    // SAFETY: chunks of 64.
    unsafe {
        let mut most = [S::splat(f32::NEG_INFINITY); 4];
        for chunk in whole.iter().chain([&last]) {
            for (i, most) in most.iter_mut().enumerate() {
                *most = S::max(S::load(chunk.as_ptr().add(i * 16)), *most);
            }
        }
        let [a, b, c, d] = most;
        S::most(S::max(S::max(a, b), S::max(c, d)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Layout, layout, testing::Random};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn argmax_is_the_first_greatest(len in 0usize..5000, seed: u64, steps in 1u8..100, holes: bool) {
            let mut next = Random(seed);
            let row: Vec<f32> = (0..len).map(|_| if holes && next.byte() < 9 { f32::NAN } else { f32::from(next.byte() % steps) - 3.0 }).collect();
            let mut want = None::<(usize, f32)>;
            for (i, v) in row.iter().enumerate().filter(|(_, v)| !v.is_nan()) {
                if want.is_none_or(|(_, w)| *v > w) { want = Some((i, *v)); }
            }
            for isa in Isa::available() {
                prop_assert_eq!(argmax(isa, &row), want.map(|w| w.0));
            }
        }
    }

    #[test]
    fn argmax_of_hard_rows() {
        for isa in Isa::available() {
            assert_eq!(argmax(isa, &[]), None);
            assert_eq!(argmax(isa, &[f32::NAN; 3]), None);
            assert_eq!(argmax(isa, &[f32::NAN, f32::NEG_INFINITY]), Some(1));
            assert_eq!(argmax(isa, &[0.0, f32::INFINITY]), Some(1));
        }
    }

    #[test]
    fn rows_are_embedded_and_scaled() {
        let (rows, inputs, mut next) = (37, 64, Random(3));
        let values: Vec<f32> = (0..rows * inputs).map(|_| next.unit()).collect();
        let pool = Pool::new(2).unwrap();
        for layout in Layout::ALL {
            let mut bytes = vec![0; layout.packed_bytes(rows, inputs).unwrap()];
            layout::quantise_rows(layout, &values, rows, inputs, &mut bytes).unwrap();
            let weights = Weights { layout, rows, inputs, bytes: &bytes };
            let mut out = vec![0.0; 3 * inputs];
            embed(&pool, weights, &[36, 0, 36], 8.0, &mut out).unwrap();
            let mut row = vec![0.0; inputs];
            unpack_row(layout, &bytes, 36, inputs, &mut row).unwrap();
            assert!(out[..inputs].iter().zip(&row).all(|(a, b)| *a == b * 8.0));
            assert_eq!(out[..inputs], out[2 * inputs..]);
            for bad in [37, -1, i64::MAX, i64::MIN] {
                assert!(embed(&pool, weights, &[0, bad, 0], 1.0, &mut out).is_err(), "{bad}");
            }
            assert!(embed(&pool, weights, &[0, 1], 1.0, &mut out).is_err());
        }
    }
}
