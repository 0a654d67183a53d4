use super::*;
use crate::testing::Random;

/// Everything a set of lanes computes from some numbers, as bits.
#[inline(always)]
unsafe fn all<S: Lanes>(x: &[f32], bytes: &[u8], out: &mut Vec<u32>) {
    // SAFETY: the test's slices hold 64 numbers and 64 bytes.
    unsafe {
        let (a, b, c) = (S::load(x.as_ptr()), S::load(x.as_ptr().add(16)), S::load(x.as_ptr().add(32)));
        let whole = S::round(S::mul(S::load(x.as_ptr().add(48)), S::splat(120.0)));
        let mut keep = |v: S::F| {
            let mut to = [0f32; 16];
            S::store(to.as_mut_ptr(), v);
            out.extend(to.map(f32::to_bits));
        };
        for v in [
            S::add(a, b),
            S::sub(a, b),
            S::mul(a, b),
            S::div(a, b),
            S::fma(a, b, c),
            S::fnma(a, b, c),
            S::max(a, b),
            S::min(a, b),
            S::abs(a),
            whole,
            S::pow2(whole),
            S::keep_from(a, b, c),
            S::splat(S::sum(a)),
            S::splat(S::most(a)),
            crate::math::exp::<S>(S::mul(a, S::splat(90.0))),
            crate::math::silu::<S>(a),
            crate::math::gelu_tanh::<S>(a),
            crate::math::gelu::<S>(a),
            crate::math::soft_cap::<S>(a, 2.5),
        ] {
            keep(v);
        }
        let mut halves = [0u16; 16];
        S::store_half(halves.as_mut_ptr(), a);
        keep(S::load_half(halves.as_ptr()));
        let int = S::to_int(whole);
        keep(S::to_float(int));
        keep(S::to_float(S::splat_int(S::sum_int(int))));
        let mut small = [0i8; 16];
        S::store_bytes(small.as_mut_ptr(), int);
        keep(S::splat(small.iter().map(|v| f32::from(*v)).sum()));
        let word = |i: usize| S::spread(small.as_ptr().add(4 * i));
        let (low, high) = S::nibbles(bytes.as_ptr());
        keep(S::to_float(S::dot_nibbles(S::dot_nibbles(int, low, word(0)), high, word(1))));
        let sum: i32 = small[8..12].iter().map(|v| i32::from(*v)).sum();
        keep(S::to_float(S::dot_bytes(S::start_bytes(-128 * sum), S::bytes(bytes.as_ptr()), word(2))));
    }
}

dispatch! { unsafe fn run(x: &[f32], bytes: &[u8], out: &mut Vec<u32>) = all }

#[test]
fn every_instruction_set_gives_the_bits_of_the_reference() {
    let mut next = Random(7);
    for round in 0..2000 {
        let x: Vec<f32> = (0..64).map(|_| next.unit()).collect();
        let bytes: Vec<u8> = (0..64).map(|_| if round % 3 == 0 { next.byte() | 0xf0 } else { next.byte() }).collect();
        let mut want = Vec::new();
        // SAFETY: 64 of each.
        unsafe { run(Isa::SCALAR, &x, &bytes, &mut want) };
        for isa in Isa::available() {
            let mut got = Vec::new();
            // SAFETY: as above.
            unsafe { run(isa, &x, &bytes, &mut got) };
            for (i, (g, w)) in got.iter().zip(&want).enumerate() {
                assert_eq!(
                    g,
                    w,
                    "{} result {} lane {}: {} for {}",
                    isa.name(),
                    i / 16,
                    i % 16,
                    f32::from_bits(*g),
                    f32::from_bits(*w)
                );
            }
        }
    }
}

#[test]
fn functions_are_near_the_truth() {
    let mut worst = 0f64;
    for i in -8700..8800 {
        let x = i as f32 / 100.0;
        let mut out = [0f32; 16];
        // SAFETY: the scalar set is everywhere; sixteen numbers each.
        unsafe { Scalar::store(out.as_mut_ptr(), crate::math::exp::<Scalar>(Scalar::splat(x))) };
        let want = f64::from(x).exp();
        worst = worst.max(((f64::from(out[0]) - want) / want).abs());
    }
    assert!(worst < 2.5e-7, "{worst}");
    for i in -1000..1000 {
        let x = i as f32 / 50.0;
        let (mut silu, mut gelu, mut erf, mut cap) = ([0f32; 16], [0f32; 16], [0f32; 16], [0f32; 16]);
        // SAFETY: as above.
        unsafe {
            Scalar::store(silu.as_mut_ptr(), crate::math::silu::<Scalar>(Scalar::splat(x)));
            Scalar::store(gelu.as_mut_ptr(), crate::math::gelu_tanh::<Scalar>(Scalar::splat(x)));
            Scalar::store(erf.as_mut_ptr(), crate::math::gelu::<Scalar>(Scalar::splat(x)));
            Scalar::store(cap.as_mut_ptr(), crate::math::soft_cap::<Scalar>(Scalar::splat(x), 5.0));
        }
        let d = f64::from(x);
        let tanh = (0.797_884_560_802_865_4 * (d + 0.044_715 * d * d * d)).tanh();
        assert!((f64::from(silu[0]) - d / (1.0 + (-d).exp())).abs() < 1e-6 * d.abs().max(0.1));
        assert!((f64::from(gelu[0]) - 0.5 * d * (1.0 + tanh)).abs() < 2e-6 * d.abs().max(0.1));
        assert!(
            (f64::from(erf[0]) - 0.5 * d * (1.0 + plain_erf(d / 2f64.sqrt()))).abs() < 2e-7 * d.abs().max(1.0),
            "{x}"
        );
        assert!((f64::from(cap[0]) - 5.0 * (d / 5.0).tanh()).abs() < 2e-6);
    }
}

/// The error function's Taylor series; 1 where less than 1e-8 is left.
fn plain_erf(z: f64) -> f64 {
    if z.abs() > 4.0 {
        return z.signum();
    }
    let (mut term, mut sum) = (z, z);
    for n in 1..200 {
        term *= -z * z / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * std::f64::consts::FRAC_2_SQRT_PI
}

#[test]
fn exp_ends_well() {
    let mut x = [0f32; 16];
    x[..5].copy_from_slice(&[f32::NEG_INFINITY, -88.0, f32::NAN, f32::INFINITY, 0.0]);
    // SAFETY: the scalar set is everywhere; sixteen numbers.
    unsafe { Scalar::store(x.as_mut_ptr(), crate::math::exp::<Scalar>(Scalar::load(x.as_ptr()))) };
    assert_eq!(x[..3], [0.0; 3]);
    assert!(x[3].is_finite() && x[4] == 1.0);
}
