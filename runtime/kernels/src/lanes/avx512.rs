//! AVX-512 with VNNI: one register is sixteen lanes.

use std::arch::x86_64::*;

use super::{Lanes, lanes};

pub(crate) struct Avx512;

type F = __m512;
type I = __m512i;

impl Lanes for Avx512 {
    type F = F;
    type I = I;
    type W = I;
    type X = I;
    const TILE: usize = 8;
    const TILE_HALF: usize = 8;
    const QUERIES: usize = 8;

    lanes! {
        fn splat(a: f32) -> F { _mm512_set1_ps(a) }
        fn load(from: *const f32) -> F { _mm512_loadu_ps(from) }
        fn store(to: *mut f32, a: F) { _mm512_storeu_ps(to, a) }
        fn load_half(from: *const u16) -> F { _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())) }
        fn store_half(to: *mut u16, a: F) {
            const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
            _mm256_storeu_si256(to.cast(), _mm512_cvtps_ph::<NEAREST>(a))
        }
        fn add(a: F, b: F) -> F { _mm512_add_ps(a, b) }
        fn sub(a: F, b: F) -> F { _mm512_sub_ps(a, b) }
        fn mul(a: F, b: F) -> F { _mm512_mul_ps(a, b) }
        fn div(a: F, b: F) -> F { _mm512_div_ps(a, b) }
        fn fma(a: F, b: F, c: F) -> F { _mm512_fmadd_ps(a, b, c) }
        fn fnma(a: F, b: F, c: F) -> F { _mm512_fnmadd_ps(a, b, c) }
        fn max(a: F, b: F) -> F { _mm512_max_ps(a, b) }
        fn min(a: F, b: F) -> F { _mm512_min_ps(a, b) }
        fn abs(a: F) -> F { _mm512_abs_ps(a) }
        fn round(a: F) -> F { _mm512_roundscale_ps::<0>(a) }
        fn pow2(a: F) -> F {
            let bits = _mm512_add_epi32(_mm512_cvtps_epi32(a), _mm512_set1_epi32(127));
            _mm512_castsi512_ps(_mm512_slli_epi32::<23>(bits))
        }
        fn keep_from(x: F, bound: F, a: F) -> F {
            _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_GE_OQ>(x, bound), a)
        }
        fn sum(a: F) -> f32 {
            let a = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps::<1>(a));
            let a = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let a = _mm_add_ps(a, _mm_movehl_ps(a, a));
            _mm_cvtss_f32(_mm_add_ss(a, _mm_movehdup_ps(a)))
        }
        fn most(a: F) -> f32 { _mm512_reduce_max_ps(a) }

        fn splat_int(a: i32) -> I { _mm512_set1_epi32(a) }
        fn add_int(a: I, b: I) -> I { _mm512_add_epi32(a, b) }
        fn to_float(a: I) -> F { _mm512_cvtepi32_ps(a) }
        fn to_int(a: F) -> I { _mm512_cvtps_epi32(a) }
        fn sum_int(a: I) -> i32 { _mm512_reduce_add_epi32(a) }
        fn store_bytes(to: *mut i8, a: I) { _mm_storeu_si128(to.cast(), _mm512_cvtepi32_epi8(a)) }

        fn nibbles(from: *const u8) -> (I, I) {
            let (both, low) = (_mm512_loadu_si512(from.cast()), _mm512_set1_epi8(15));
            (_mm512_and_si512(both, low), _mm512_and_si512(_mm512_srli_epi16::<4>(both), low))
        }
        fn spread(from: *const i8) -> I { _mm512_set1_epi32(from.cast::<i32>().read_unaligned()) }
        fn dot_nibbles(acc: I, w: I, x: I) -> I { _mm512_dpbusd_epi32(acc, w, x) }
        fn bytes(from: *const u8) -> I { _mm512_loadu_si512(from.cast()) }
        fn start_bytes(correction: i32) -> I { _mm512_set1_epi32(correction) }
        fn dot_bytes(acc: I, w: I, x: I) -> I { _mm512_dpbusd_epi32(acc, w, x) }
        fn prefetch(at: *const u8) { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
    }
}
