//! Norm and rotation of queries and keys.

use super::{AttentionShape, Segment};
use crate::{
    Pool,
    lanes::Lanes,
    pool::{Shareable, part},
};

/// Tables kept: models have one or two sets of frequencies.
const TABLES_MAX: usize = 4;

/// Cosines and sines of one batch's positions; layers share them.
#[derive(Default)]
pub(crate) struct Angles {
    tables: Vec<Table>,
}

#[derive(Default)]
struct Table {
    positions: Vec<(usize, usize)>,
    frequencies: Vec<f32>,
    scale: f32,
    /// Per row: a cosine per frequency, then a sine per frequency.
    values: Vec<f32>,
}

impl Angles {
    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.tables.iter().map(|t| t.values.capacity() * size_of::<f32>()).sum()
    }

    /// The table for these rows, computed unless a layer before this one did.
    /// An angle is `position * frequency` in f32.
    pub(super) fn of(&mut self, pool: &Pool, shape: &AttentionShape<'_>, segments: &[Segment<'_>]) -> &[f32] {
        let same = |t: &Table| {
            t.scale == shape.rope_scale
                && t.frequencies == shape.inv_freq
                && t.positions.iter().copied().eq(segments.iter().map(|s| (s.past, s.rows)))
        };
        let table = match self.tables.iter().position(same) {
            Some(at) => self.tables.remove(at),
            None => {
                let mut table = if self.tables.len() < TABLES_MAX { Table::default() } else { self.tables.remove(0) };
                table.fill(pool, shape, segments);
                table
            }
        };
        // Most recently used last.
        self.tables.push(table);
        self.tables.last().map_or(&[], |t| &t.values)
    }
}

impl Table {
    fn fill(&mut self, pool: &Pool, shape: &AttentionShape<'_>, segments: &[Segment<'_>]) {
        self.scale = shape.rope_scale;
        self.frequencies = shape.inv_freq.to_vec();
        self.positions = segments.iter().map(|s| (s.past, s.rows)).collect();
        let rows: Vec<usize> = segments.iter().flat_map(|s| s.past..s.past + s.rows).collect();
        let half = shape.inv_freq.len();
        self.values.clear();
        self.values.resize(rows.len() * half * 2, 0.0);
        let (parts, values) = (rows.len().div_ceil(16), Shareable::new(self.values.as_mut_ptr()));
        pool.run(parts, |i| {
            for row in part(rows.len(), parts, i) {
                // SAFETY: `values` holds `2 * half` numbers for each row, and
                // parts are disjoint rows.
                let to = unsafe { std::slice::from_raw_parts_mut(values.get().add(row * half * 2), half * 2) };
                let (cosines, sines) = to.split_at_mut(half);
                let position = rows.get(row).copied().unwrap_or_default() as f32;
                for ((cosine, sine), frequency) in cosines.iter_mut().zip(sines).zip(shape.inv_freq) {
                    let (s, c) = (position * frequency).sin_cos();
                    *cosine = c * self.scale;
                    *sine = s * self.scale;
                }
            }
        });
    }
}

/// Copies a head from `from` to `to`: normed (if there is a norm), rotated,
/// multiplied by `scale`.
///
/// # Safety
/// Both of `size` numbers, a multiple of 16; `norm` null or as long; `angles`
/// of `2 * half` numbers, `2 * half <= size`; and as [`Lanes`].
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "one head and all that is done to it")]
pub(super) unsafe fn turn<S: Lanes>(
    from: *const f32,
    to: *mut f32,
    size: usize,
    norm: *const f32,
    epsilon: f32,
    angles: *const f32,
    half: usize,
    interleaved: bool,
    scale: f32,
) {
    // SAFETY: the caller's.
    unsafe {
        if norm.is_null() {
            to.copy_from_nonoverlapping(from, size);
        } else {
            let mut squares = S::splat(0.0);
            for i in (0..size).step_by(16) {
                let v = S::load(from.add(i));
                squares = S::fma(v, v, squares);
            }
            let factor = S::splat(1.0 / (S::sum(squares) / size as f32 + epsilon).sqrt());
            for i in (0..size).step_by(16) {
                S::store(to.add(i), S::mul(S::mul(S::load(from.add(i)), factor), S::load(norm.add(i))));
            }
        }
        let (first, apart) = if interleaved { (2, 1) } else { (1, half) };
        for i in 0..half {
            let (a, b) = (to.add(i * first), to.add(i * first + apart));
            let (cosine, sine) = (angles.add(i).read(), angles.add(half + i).read());
            let (x, y) = (a.read(), b.read());
            a.write(x.mul_add(cosine, -(y * sine)));
            b.write(y.mul_add(cosine, x * sine));
        }
        for i in (0..size).step_by(16) {
            S::store(to.add(i), S::mul(S::load(to.add(i)), S::splat(scale)));
        }
    }
}
