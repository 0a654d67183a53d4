//! The reference: arrays of sixteen.
#![expect(clippy::indexing_slicing, reason = "indices into arrays of sixteen, by constant loops")]
#![expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the trait names the ranges")]

use super::{Lanes, lanes};
use half::f16;

pub(crate) struct Scalar;

type F = [f32; 16];
type I = [i32; 16];

fn each(f: impl Fn(usize) -> f32) -> F {
    std::array::from_fn(f)
}

fn fold(a: F, f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut a = a;
    for half in [8, 4, 2, 1] {
        for i in 0..half {
            a[i] = f(a[i], a[i + half]);
        }
    }
    a[0]
}

impl Lanes for Scalar {
    type F = F;
    type I = I;
    type W = [i8; 64];
    type X = [i8; 4];
    const TILE: usize = 4;
    const TILE_HALF: usize = 4;
    const QUERIES: usize = 2;

    lanes! {
        fn splat(a: f32) -> F { [a; 16] }
        fn load(from: *const f32) -> F { from.cast::<F>().read_unaligned() }
        fn store(to: *mut f32, a: F) { to.cast::<F>().write_unaligned(a) }
        fn load_half(from: *const u16) -> F {
            let bits = from.cast::<[u16; 16]>().read_unaligned();
            each(|i| f16::from_bits(bits[i]).to_f32())
        }
        fn store_half(to: *mut u16, a: F) {
            to.cast::<[u16; 16]>().write_unaligned(a.map(|v| f16::from_f32(v).to_bits()))
        }
        fn add(a: F, b: F) -> F { each(|i| a[i] + b[i]) }
        fn sub(a: F, b: F) -> F { each(|i| a[i] - b[i]) }
        fn mul(a: F, b: F) -> F { each(|i| a[i] * b[i]) }
        fn div(a: F, b: F) -> F { each(|i| a[i] / b[i]) }
        fn fma(a: F, b: F, c: F) -> F { each(|i| a[i].mul_add(b[i], c[i])) }
        fn fnma(a: F, b: F, c: F) -> F { each(|i| (-a[i]).mul_add(b[i], c[i])) }
        fn max(a: F, b: F) -> F { each(|i| if a[i] > b[i] { a[i] } else { b[i] }) }
        fn min(a: F, b: F) -> F { each(|i| if a[i] < b[i] { a[i] } else { b[i] }) }
        fn abs(a: F) -> F { a.map(f32::abs) }
        fn round(a: F) -> F { a.map(f32::round_ties_even) }
        fn pow2(a: F) -> F { a.map(|v| f32::from_bits(((v as i32 + 127) << 23) as u32)) }
        fn keep_from(x: F, bound: F, a: F) -> F { each(|i| if x[i] >= bound[i] { a[i] } else { 0.0 }) }
        fn sum(a: F) -> f32 { fold(a, |x, y| x + y) }
        fn most(a: F) -> f32 { fold(a, |x, y| if x > y { x } else { y }) }

        fn splat_int(a: i32) -> I { [a; 16] }
        fn add_int(a: I, b: I) -> I { std::array::from_fn(|i| a[i].wrapping_add(b[i])) }
        fn to_float(a: I) -> F { each(|i| a[i] as f32) }
        fn to_int(a: F) -> I { a.map(|v| v.round_ties_even() as i32) }
        fn sum_int(a: I) -> i32 { a.iter().fold(0, |s, v| s.wrapping_add(*v)) }
        fn store_bytes(to: *mut i8, a: I) { to.cast::<[i8; 16]>().write_unaligned(a.map(|v| v as i8)) }

        fn nibbles(from: *const u8) -> ([i8; 64], [i8; 64]) {
            let both = from.cast::<[u8; 64]>().read_unaligned();
            (both.map(|v| (v & 15) as i8), both.map(|v| (v >> 4) as i8))
        }
        fn spread(from: *const i8) -> [i8; 4] { from.cast::<[i8; 4]>().read_unaligned() }
        fn dot_nibbles(acc: I, w: [i8; 64], x: [i8; 4]) -> I { Self::dot_bytes(acc, w, x) }
        fn bytes(from: *const u8) -> [i8; 64] {
            from.cast::<[u8; 64]>().read_unaligned().map(|v| (v ^ 0x80) as i8)
        }
        fn start_bytes(_correction: i32) -> I { [0; 16] }
        fn dot_bytes(acc: I, w: [i8; 64], x: [i8; 4]) -> I {
            std::array::from_fn(|r| (0..4).fold(acc[r], |s, j| s.wrapping_add(i32::from(w[r * 4 + j]) * i32::from(x[j]))))
        }
        fn prefetch(_at: *const u8) {}
    }
}
