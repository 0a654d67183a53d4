//! NEON, with or without the dot-product instruction: four registers are
//! sixteen lanes.

use std::arch::aarch64::*;

use super::{Lanes, lanes};

/// `DOT`: the four-product instruction is there.
pub(crate) struct Neon<const DOT: bool>;

type F = [float32x4_t; 4];
type I = [int32x4_t; 4];
type W = [int8x16_t; 4];

/// Applies an operation to each of the four registers.
macro_rules! four {
    ($f:expr; $a:expr) => {
        [$f($a[0]), $f($a[1]), $f($a[2]), $f($a[3])]
    };
    ($f:expr; $a:expr, $b:expr) => {
        [$f($a[0], $b[0]), $f($a[1], $b[1]), $f($a[2], $b[2]), $f($a[3], $b[3])]
    };
    ($f:expr; $a:expr, $b:expr, $c:expr) => {
        [$f($a[0], $b[0], $c[0]), $f($a[1], $b[1], $c[1]), $f($a[2], $b[2], $c[2]), $f($a[3], $b[3], $c[3])]
    };
}

impl<const DOT: bool> Neon<DOT> {
    lanes! {
        fn dot(acc: int32x4_t, w: int8x16_t, x: int8x16_t) -> int32x4_t {
            if DOT {
                let mut acc = acc;
                // The intrinsic is not stable yet; the instruction touches no memory.
                std::arch::asm!(
                    ".arch_extension dotprod",
                    "sdot {acc:v}.4s, {w:v}.16b, {x:v}.16b",
                    acc = inout(vreg) acc, w = in(vreg) w, x = in(vreg) x,
                    options(pure, nomem, nostack, preserves_flags)
                );
                acc
            } else {
                let low = vpaddlq_s16(vmull_s8(vget_low_s8(w), vget_low_s8(x)));
                let high = vpaddlq_s16(vmull_high_s8(w, x));
                vaddq_s32(acc, vpaddq_s32(low, high))
            }
        }
        fn fold(a: float32x4_t) -> float32x2_t { vadd_f32(vget_low_f32(a), vget_high_f32(a)) }
    }
}

impl<const DOT: bool> Lanes for Neon<DOT> {
    type F = F;
    type I = I;
    type W = W;
    type X = int8x16_t;
    const TILE: usize = 4;
    const TILE_HALF: usize = 2;
    const QUERIES: usize = 2;

    lanes! {
        fn splat(a: f32) -> F { [vdupq_n_f32(a); 4] }
        fn load(from: *const f32) -> F {
            [vld1q_f32(from), vld1q_f32(from.add(4)), vld1q_f32(from.add(8)), vld1q_f32(from.add(12))]
        }
        fn store(to: *mut f32, a: F) {
            vst1q_f32(to, a[0]);
            vst1q_f32(to.add(4), a[1]);
            vst1q_f32(to.add(8), a[2]);
            vst1q_f32(to.add(12), a[3])
        }
        fn load_half(from: *const u16) -> F {
            let part = |at: *const u16| vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(at)));
            [part(from), part(from.add(4)), part(from.add(8)), part(from.add(12))]
        }
        fn store_half(to: *mut u16, a: F) {
            let part = |at: *mut u16, v| vst1_u16(at, vreinterpret_u16_f16(vcvt_f16_f32(v)));
            part(to, a[0]);
            part(to.add(4), a[1]);
            part(to.add(8), a[2]);
            part(to.add(12), a[3])
        }
        fn add(a: F, b: F) -> F { four!(vaddq_f32; a, b) }
        fn sub(a: F, b: F) -> F { four!(vsubq_f32; a, b) }
        fn mul(a: F, b: F) -> F { four!(vmulq_f32; a, b) }
        fn div(a: F, b: F) -> F { four!(vdivq_f32; a, b) }
        fn fma(a: F, b: F, c: F) -> F { four!(vfmaq_f32; c, a, b) }
        fn fnma(a: F, b: F, c: F) -> F { four!(vfmsq_f32; c, a, b) }
        fn max(a: F, b: F) -> F {
            let part = |a, b| vbslq_f32(vcgtq_f32(a, b), a, b);
            four!(part; a, b)
        }
        fn min(a: F, b: F) -> F {
            let part = |a, b| vbslq_f32(vcltq_f32(a, b), a, b);
            four!(part; a, b)
        }
        fn abs(a: F) -> F { four!(vabsq_f32; a) }
        fn round(a: F) -> F { four!(vrndnq_f32; a) }
        fn pow2(a: F) -> F {
            let part = |a| vreinterpretq_f32_s32(vshlq_n_s32::<23>(vaddq_s32(vcvtnq_s32_f32(a), vdupq_n_s32(127))));
            four!(part; a)
        }
        fn keep_from(x: F, bound: F, a: F) -> F {
            let part = |x, bound, a| vbslq_f32(vcgeq_f32(x, bound), a, vdupq_n_f32(0.0));
            four!(part; x, bound, a)
        }
        fn sum(a: F) -> f32 {
            let a = vaddq_f32(vaddq_f32(a[0], a[2]), vaddq_f32(a[1], a[3]));
            let a = Self::fold(a);
            vget_lane_f32::<0>(a) + vget_lane_f32::<1>(a)
        }
        fn most(a: F) -> f32 { vmaxvq_f32(vmaxq_f32(vmaxq_f32(a[0], a[1]), vmaxq_f32(a[2], a[3]))) }

        fn splat_int(a: i32) -> I { [vdupq_n_s32(a); 4] }
        fn add_int(a: I, b: I) -> I { four!(vaddq_s32; a, b) }
        fn to_float(a: I) -> F { four!(vcvtq_f32_s32; a) }
        fn to_int(a: F) -> I { four!(vcvtnq_s32_f32; a) }
        fn sum_int(a: I) -> i32 { vaddvq_s32(vaddq_s32(vaddq_s32(a[0], a[1]), vaddq_s32(a[2], a[3]))) }
        fn store_bytes(to: *mut i8, a: I) {
            let words = |a, b| vcombine_s16(vmovn_s32(a), vmovn_s32(b));
            let bytes = vcombine_s8(vmovn_s16(words(a[0], a[1])), vmovn_s16(words(a[2], a[3])));
            vst1q_s8(to, bytes)
        }

        fn nibbles(from: *const u8) -> (W, W) {
            let all = [vld1q_u8(from), vld1q_u8(from.add(16)), vld1q_u8(from.add(32)), vld1q_u8(from.add(48))];
            let low = |v| vreinterpretq_s8_u8(vandq_u8(v, vdupq_n_u8(15)));
            let high = |v| vreinterpretq_s8_u8(vshrq_n_u8::<4>(v));
            (four!(low; all), four!(high; all))
        }
        fn spread(from: *const i8) -> int8x16_t { vreinterpretq_s8_s32(vdupq_n_s32(from.cast::<i32>().read_unaligned())) }
        fn dot_nibbles(acc: I, w: W, x: int8x16_t) -> I { Self::dot_bytes(acc, w, x) }
        fn bytes(from: *const u8) -> W {
            let part = |at: *const u8| vreinterpretq_s8_u8(veorq_u8(vld1q_u8(at), vdupq_n_u8(0x80)));
            [part(from), part(from.add(16)), part(from.add(32)), part(from.add(48))]
        }
        fn start_bytes(_correction: i32) -> I { [vdupq_n_s32(0); 4] }
        fn dot_bytes(acc: I, w: W, x: int8x16_t) -> I {
            [Self::dot(acc[0], w[0], x), Self::dot(acc[1], w[1], x), Self::dot(acc[2], w[2], x), Self::dot(acc[3], w[3], x)]
        }
        fn prefetch(_at: *const u8) {}
    }
}
