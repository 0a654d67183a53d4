//! Sixteen lanes of arithmetic, once per instruction set.
//!
//! Kernels are written once over [`Lanes`]. Every operation is exact or
//! rounded once to nearest, halves to even, and sums across lanes have one
//! order, so all instruction sets give the same bits.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod isa;
#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;

#[cfg(test)]
mod tests;

pub use isa::Isa;
pub(crate) use isa::{Kind, dispatch};
#[cfg(target_arch = "aarch64")]
pub(crate) use neon::Neon;
pub(crate) use scalar::Scalar;
#[cfg(target_arch = "x86_64")]
pub(crate) use {avx2::Avx2, avx512::Avx512};

/// Sixteen lanes. Callers of every method owe: the instruction set is present
/// on this machine ([`Isa`] is the proof), and each pointer is valid for what
/// the method names.
pub(crate) trait Lanes {
    /// 16 f32.
    type F: Copy;
    /// 16 i32.
    type I: Copy;
    /// 64 weights of 4 or 8 bits: four per lane.
    type W: Copy;
    /// Four i8 inputs, for every lane.
    type X: Copy;
    /// Rows computed together by integer products.
    const TILE: usize;
    /// Rows computed together by half-precision products.
    const TILE_HALF: usize;
    /// Queries computed together by attention.
    const QUERIES: usize;

    unsafe fn splat(a: f32) -> Self::F;
    /// Reads 16 f32.
    unsafe fn load(from: *const f32) -> Self::F;
    /// Writes 16 f32.
    unsafe fn store(to: *mut f32, a: Self::F);
    /// Reads 16 f16.
    unsafe fn load_half(from: *const u16) -> Self::F;
    /// Writes 16 f16, to nearest even.
    unsafe fn store_half(to: *mut u16, a: Self::F);
    unsafe fn add(a: Self::F, b: Self::F) -> Self::F;
    unsafe fn sub(a: Self::F, b: Self::F) -> Self::F;
    unsafe fn mul(a: Self::F, b: Self::F) -> Self::F;
    unsafe fn div(a: Self::F, b: Self::F) -> Self::F;
    /// `a * b + c`, rounded once.
    unsafe fn fma(a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// `c - a * b`, rounded once.
    unsafe fn fnma(a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// The greater; `b` where `a` is no number.
    unsafe fn max(a: Self::F, b: Self::F) -> Self::F;
    /// The lesser; `b` where `a` is no number.
    unsafe fn min(a: Self::F, b: Self::F) -> Self::F;
    unsafe fn abs(a: Self::F) -> Self::F;
    /// To the nearest integer, halves to even.
    unsafe fn round(a: Self::F) -> Self::F;
    /// 2 to the power of whole `a` in -126 to 127.
    unsafe fn pow2(a: Self::F) -> Self::F;
    /// `a` where `x >= bound`, else 0.
    unsafe fn keep_from(x: Self::F, bound: Self::F, a: Self::F) -> Self::F;
    /// Lane `i` with lane `i + 8`, then 4, 2, 1.
    unsafe fn sum(a: Self::F) -> f32;
    /// The greatest lane; no lane may be "no number".
    unsafe fn most(a: Self::F) -> f32;

    unsafe fn splat_int(a: i32) -> Self::I;
    unsafe fn add_int(a: Self::I, b: Self::I) -> Self::I;
    /// Rounded to nearest even, like the conversion in hardware.
    unsafe fn to_float(a: Self::I) -> Self::F;
    /// Of whole numbers in -127 to 127.
    unsafe fn to_int(a: Self::F) -> Self::I;
    unsafe fn sum_int(a: Self::I) -> i32;
    /// Writes 16 bytes: lanes in -127 to 127 as i8.
    unsafe fn store_bytes(to: *mut i8, a: Self::I);

    /// Reads 64 bytes: low nibbles, high nibbles.
    unsafe fn nibbles(from: *const u8) -> (Self::W, Self::W);
    /// Reads four i8, none of them -128.
    unsafe fn spread(from: *const i8) -> Self::X;
    /// Adds, per lane, four products of nibbles with four inputs.
    unsafe fn dot_nibbles(acc: Self::I, w: Self::W, x: Self::X) -> Self::I;
    /// Reads 64 bytes of weights + 128.
    unsafe fn bytes(from: *const u8) -> Self::W;
    /// Where a product of bytes starts: `correction` (-128 times the sum of
    /// the inputs) if `dot_bytes` multiplies weights + 128, else 0.
    unsafe fn start_bytes(correction: i32) -> Self::I;
    /// Adds, per lane, four products of bytes with four inputs.
    unsafe fn dot_bytes(acc: Self::I, w: Self::W, x: Self::X) -> Self::I;
    /// Hints that the line at `at` is needed soon; any address will do.
    unsafe fn prefetch(at: *const u8);
}

/// Methods of an implementation: all inlined into the entry that has the
/// instruction set switched on, all under the trait's one contract.
macro_rules! lanes {
    ($(fn $name:ident($($arg:ident: $ty:ty),*) $(-> $ret:ty)? { $($body:tt)* })*) => { $(
        #[inline(always)]
        #[allow(unused_unsafe, reason = "some bodies touch no memory")]
        unsafe fn $name($($arg: $ty),*) $(-> $ret)? {
            // SAFETY: the contract of `Lanes`: the caller holds the proof that
            // the instruction set is present and pointers reach what is named.
            unsafe { $($body)* }
        }
    )* };
}
use lanes;
