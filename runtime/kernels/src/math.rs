//! Functions of sixteen lanes at once.

use crate::lanes::Lanes;

/// Below this `exp` is 0: e^-87 is the last whole step above the subnormals.
const LEAST: f32 = -87.0;

/// e to the power of each lane: within 2 units in the last place, 0 below -87
/// (and where the lane is no number), e^88 above 88.
///
/// # Safety
/// As [`Lanes`].
#[inline(always)]
pub(crate) unsafe fn exp<S: Lanes>(x: S::F) -> S::F {
    // SAFETY: the caller's.
    unsafe {
        let least = S::splat(LEAST);
        let y = S::min(S::max(x, least), S::splat(88.0));
        // y = n ln 2 + r, ln 2 in two parts so that r is exact (Cody and Waite).
        let n = S::round(S::mul(y, S::splat(std::f32::consts::LOG2_E)));
        let r = S::fnma(n, S::splat(0.693_359_4), y);
        let r = S::fnma(n, S::splat(-2.121_944_4e-4), r);
        // Least-error polynomial of Cephes' expf.
        let mut p = S::splat(1.987_569_1e-4);
        for c in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5] {
            p = S::fma(p, r, S::splat(c));
        }
        let p = S::fma(S::mul(p, r), r, S::add(r, S::splat(1.0)));
        S::keep_from(x, least, S::mul(p, S::pow2(n)))
    }
}

/// x / (1 + e^-x).
///
/// # Safety
/// As [`Lanes`].
#[inline(always)]
pub(crate) unsafe fn silu<S: Lanes>(x: S::F) -> S::F {
    // SAFETY: the caller's.
    unsafe { S::div(x, S::add(S::splat(1.0), exp::<S>(S::sub(S::splat(0.0), x)))) }
}

/// GELU by its tanh form: x / (1 + e^(-2z)), z = sqrt(2/pi) (x + 0.044715 x^3).
///
/// # Safety
/// As [`Lanes`].
#[inline(always)]
pub(crate) unsafe fn gelu_tanh<S: Lanes>(x: S::F) -> S::F {
    // SAFETY: the caller's.
    unsafe {
        let cubic = S::mul(S::mul(S::mul(x, x), x), S::splat(0.044_715));
        let z = S::mul(S::add(x, cubic), S::splat(-1.595_769));
        S::div(x, S::add(S::splat(1.0), exp::<S>(z)))
    }
}

/// GELU by the error function (Abramowitz and Stegun 7.1.26): with z = |x| / sqrt(2),
/// max(x, 0) - |x| / 2 * erfc(z); absolute error below 1e-7 |x|.
///
/// # Safety
/// As [`Lanes`].
#[inline(always)]
pub(crate) unsafe fn gelu<S: Lanes>(x: S::F) -> S::F {
    // SAFETY: the caller's.
    unsafe {
        let (one, size) = (S::splat(1.0), S::abs(x));
        let z = S::mul(size, S::splat(std::f32::consts::FRAC_1_SQRT_2));
        let t = S::div(one, S::fma(z, S::splat(0.327_591_1), one));
        let mut p = S::splat(1.061_405_4);
        for c in [-1.453_152, 1.421_413_8, -0.284_496_74, 0.254_829_6] {
            p = S::fma(p, t, S::splat(c));
        }
        let tail = S::mul(S::mul(p, t), exp::<S>(S::sub(S::splat(0.0), S::mul(z, z))));
        S::fnma(S::mul(size, S::splat(0.5)), tail, S::max(x, S::splat(0.0)))
    }
}

/// cap * tanh(x / cap), absolute error below cap * 3e-7.
///
/// # Safety
/// As [`Lanes`].
#[inline(always)]
pub(crate) unsafe fn soft_cap<S: Lanes>(x: S::F, cap: f32) -> S::F {
    // SAFETY: the caller's.
    unsafe {
        // tanh y = 1 - 2 / (e^2y + 1)
        let e = exp::<S>(S::mul(x, S::splat(2.0 / cap)));
        let tanh = S::sub(S::splat(1.0), S::div(S::splat(2.0), S::add(e, S::splat(1.0))));
        S::mul(tanh, S::splat(cap))
    }
}
