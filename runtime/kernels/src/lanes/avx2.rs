//! AVX2 with FMA, with or without AVX-VNNI: two registers are sixteen lanes.

use std::arch::x86_64::*;

use super::{Lanes, lanes};

/// `VNNI`: the four-product instruction is there.
pub(crate) struct Avx2<const VNNI: bool>;

type F = (__m256, __m256);
type I = (__m256i, __m256i);

impl<const VNNI: bool> Avx2<VNNI> {
    lanes! {
        fn four(acc: __m256i, w: __m256i, x: __m256i) -> __m256i {
            if VNNI {
                _mm256_dpbusd_avx_epi32(acc, w, x)
            } else {
                // Two products of at most 15 * 127 stay far below 16 bits.
                let pairs = _mm256_maddubs_epi16(w, x);
                _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
            }
        }
        fn four_signed(acc: __m256i, w: __m256i, x: __m256i) -> __m256i {
            // |w| * (x with w's sign): two of at most 128 * 127 fit 16 bits.
            let pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
            _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
        }
        fn raise(a: __m256) -> __m256 {
            let bits = _mm256_add_epi32(_mm256_cvtps_epi32(a), _mm256_set1_epi32(127));
            _mm256_castsi256_ps(_mm256_slli_epi32::<23>(bits))
        }
    }
}

impl<const VNNI: bool> Lanes for Avx2<VNNI> {
    type F = F;
    type I = I;
    type W = I;
    type X = __m256i;
    const TILE: usize = 4;
    const TILE_HALF: usize = 2;
    const QUERIES: usize = 2;

    lanes! {
        fn splat(a: f32) -> F { (_mm256_set1_ps(a), _mm256_set1_ps(a)) }
        fn load(from: *const f32) -> F { (_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))) }
        fn store(to: *mut f32, a: F) {
            _mm256_storeu_ps(to, a.0);
            _mm256_storeu_ps(to.add(8), a.1)
        }
        fn load_half(from: *const u16) -> F {
            let second = from.add(8);
            (_mm256_cvtph_ps(_mm_loadu_si128(from.cast())), _mm256_cvtph_ps(_mm_loadu_si128(second.cast())))
        }
        fn store_half(to: *mut u16, a: F) {
            _mm_storeu_si128(to.cast(), _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(a.0));
            _mm_storeu_si128(to.add(8).cast(), _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(a.1))
        }
        fn add(a: F, b: F) -> F { (_mm256_add_ps(a.0, b.0), _mm256_add_ps(a.1, b.1)) }
        fn sub(a: F, b: F) -> F { (_mm256_sub_ps(a.0, b.0), _mm256_sub_ps(a.1, b.1)) }
        fn mul(a: F, b: F) -> F { (_mm256_mul_ps(a.0, b.0), _mm256_mul_ps(a.1, b.1)) }
        fn div(a: F, b: F) -> F { (_mm256_div_ps(a.0, b.0), _mm256_div_ps(a.1, b.1)) }
        fn fma(a: F, b: F, c: F) -> F { (_mm256_fmadd_ps(a.0, b.0, c.0), _mm256_fmadd_ps(a.1, b.1, c.1)) }
        fn fnma(a: F, b: F, c: F) -> F { (_mm256_fnmadd_ps(a.0, b.0, c.0), _mm256_fnmadd_ps(a.1, b.1, c.1)) }
        fn max(a: F, b: F) -> F { (_mm256_max_ps(a.0, b.0), _mm256_max_ps(a.1, b.1)) }
        fn min(a: F, b: F) -> F { (_mm256_min_ps(a.0, b.0), _mm256_min_ps(a.1, b.1)) }
        fn abs(a: F) -> F {
            let sign = _mm256_set1_ps(-0.0);
            (_mm256_andnot_ps(sign, a.0), _mm256_andnot_ps(sign, a.1))
        }
        fn round(a: F) -> F {
            const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
            (_mm256_round_ps::<NEAREST>(a.0), _mm256_round_ps::<NEAREST>(a.1))
        }
        fn pow2(a: F) -> F { (Self::raise(a.0), Self::raise(a.1)) }
        fn keep_from(x: F, bound: F, a: F) -> F {
            (
                _mm256_and_ps(_mm256_cmp_ps::<_CMP_GE_OQ>(x.0, bound.0), a.0),
                _mm256_and_ps(_mm256_cmp_ps::<_CMP_GE_OQ>(x.1, bound.1), a.1),
            )
        }
        fn sum(a: F) -> f32 {
            let a = _mm256_add_ps(a.0, a.1);
            let a = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let a = _mm_add_ps(a, _mm_movehl_ps(a, a));
            _mm_cvtss_f32(_mm_add_ss(a, _mm_movehdup_ps(a)))
        }
        fn most(a: F) -> f32 {
            let a = _mm256_max_ps(a.0, a.1);
            let a = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let a = _mm_max_ps(a, _mm_movehl_ps(a, a));
            _mm_cvtss_f32(_mm_max_ss(a, _mm_movehdup_ps(a)))
        }

        fn splat_int(a: i32) -> I { (_mm256_set1_epi32(a), _mm256_set1_epi32(a)) }
        fn add_int(a: I, b: I) -> I { (_mm256_add_epi32(a.0, b.0), _mm256_add_epi32(a.1, b.1)) }
        fn to_float(a: I) -> F { (_mm256_cvtepi32_ps(a.0), _mm256_cvtepi32_ps(a.1)) }
        fn to_int(a: F) -> I { (_mm256_cvtps_epi32(a.0), _mm256_cvtps_epi32(a.1)) }
        fn sum_int(a: I) -> i32 {
            let a = _mm256_add_epi32(a.0, a.1);
            let a = _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256::<1>(a));
            let a = _mm_add_epi32(a, _mm_shuffle_epi32::<0b01_00_11_10>(a));
            _mm_cvtsi128_si32(_mm_add_epi32(a, _mm_shuffle_epi32::<0b10_11_00_01>(a)))
        }
        fn store_bytes(to: *mut i8, a: I) {
            // Packing works within halves of 128 bits; the permutation undoes it.
            let words = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi32(a.0, a.1));
            let bytes = _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
            _mm_storeu_si128(to.cast(), bytes)
        }

        fn nibbles(from: *const u8) -> (I, I) {
            let low = _mm256_set1_epi8(15);
            let (a, b) = (_mm256_loadu_si256(from.cast()), _mm256_loadu_si256(from.add(32).cast()));
            let (c, d) = (_mm256_srli_epi16::<4>(a), _mm256_srli_epi16::<4>(b));
            ((_mm256_and_si256(a, low), _mm256_and_si256(b, low)), (_mm256_and_si256(c, low), _mm256_and_si256(d, low)))
        }
        fn spread(from: *const i8) -> __m256i { _mm256_set1_epi32(from.cast::<i32>().read_unaligned()) }
        fn dot_nibbles(acc: I, w: I, x: __m256i) -> I {
            (Self::four(acc.0, w.0, x), Self::four(acc.1, w.1, x))
        }
        fn bytes(from: *const u8) -> I {
            let (a, b) = (_mm256_loadu_si256(from.cast()), _mm256_loadu_si256(from.add(32).cast()));
            let flip = _mm256_set1_epi8(-128);
            if VNNI { (a, b) } else { (_mm256_xor_si256(a, flip), _mm256_xor_si256(b, flip)) }
        }
        fn start_bytes(correction: i32) -> I { Self::splat_int(if VNNI { correction } else { 0 }) }
        fn dot_bytes(acc: I, w: I, x: __m256i) -> I {
            if VNNI {
                (Self::four(acc.0, w.0, x), Self::four(acc.1, w.1, x))
            } else {
                (Self::four_signed(acc.0, w.0, x), Self::four_signed(acc.1, w.1, x))
            }
        }
        fn prefetch(at: *const u8) { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
    }
}
