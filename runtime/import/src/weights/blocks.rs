//! Block formats of ggml (`ggml-common.h`, `ggml-quants.c`): integers, scales
//! and minima of each 32 weights, all numbers little-endian.
#![expect(clippy::indexing_slicing, reason = "offsets into blocks of a fixed size, which `chunks_exact` upholds")]

use half::f16;

use super::Kind;

/// 32 weights: `scale * value - minimum`, both per 16.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Block {
    pub(crate) values: [i8; 32],
    pub(crate) scales: [f32; 2],
    pub(crate) minima: [f32; 2],
    /// Whether zero lies in the middle of the values.
    pub(crate) symmetric: bool,
}

impl Block {
    fn new(scale: f32, minimum: f32, value: impl FnMut(usize) -> u8, offset: i8) -> Self {
        Self::halves([scale; 2], [minimum; 2], value, offset)
    }

    fn halves(scales: [f32; 2], minima: [f32; 2], mut value: impl FnMut(usize) -> u8, offset: i8) -> Self {
        let values = std::array::from_fn(|i| value(i).cast_signed().wrapping_sub(offset));
        Self { values, scales, minima, symmetric: offset != 0 }
    }

    fn floats(&self, out: &mut [f32]) {
        for (i, (to, value)) in out.iter_mut().zip(self.values).enumerate() {
            *to = f32::from(value) * self.scales[i / 16] - self.minima[i / 16];
        }
    }
}

/// Dequantises whole blocks as ggml does.
pub(crate) fn floats(kind: Kind, bytes: &[u8], out: &mut [f32]) {
    let mut rest = out.chunks_mut(32);
    each(kind, bytes, |block| {
        if let Some(to) = rest.next() {
            block.floats(to);
        }
    });
}

/// Calls `f` with each 32 weights of `bytes`, in order. Kinds of floats have
/// none.
pub(crate) fn each(kind: Kind, bytes: &[u8], mut f: impl FnMut(Block)) {
    let super_block: fn(&[u8], usize) -> Block = match kind {
        Kind::F32 | Kind::F16 | Kind::Bf16 => return,
        Kind::Q4_0 => |b, _| Block::new(half(b, 0), 0.0, |i| nibble(&b[2..], i), 8),
        Kind::Q4_1 => |b, _| Block::new(half(b, 0), -half(b, 2), |i| nibble(&b[4..], i), 0),
        Kind::Q5_0 => |b, _| Block::new(half(b, 0), 0.0, |i| nibble(&b[6..], i) | bit(&b[2..], i) << 4, 16),
        Kind::Q5_1 => |b, _| Block::new(half(b, 0), -half(b, 2), |i| nibble(&b[8..], i) | bit(&b[4..], i) << 4, 0),
        Kind::Q8_0 => |b, _| Block::new(half(b, 0), 0.0, |i| b[2 + i], 0),
        Kind::Q2K => q2_k,
        Kind::Q3K => q3_k,
        Kind::Q4K => |b, n| {
            let (scale, minimum) = six_bits(b, n);
            Block::new(scale, minimum, |i| b[16 + n / 2 * 32 + i] >> (n % 2 * 4) & 15, 0)
        },
        Kind::Q5K => |b, n| {
            let (scale, minimum) = six_bits(b, n);
            let value = |i: usize| b[48 + n / 2 * 32 + i] >> (n % 2 * 4) & 15 | (b[16 + i] >> n & 1) << 4;
            Block::new(scale, minimum, value, 0)
        },
        Kind::Q6K => q6_k,
    };
    let (elements, size) = kind.block();
    for stored in bytes.chunks_exact(size) {
        for n in 0..elements / 32 {
            f(super_block(stored, n));
        }
    }
}

fn half(bytes: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([bytes[at], bytes[at + 1]]).to_f32()
}

/// Low nibbles hold the first 16, high ones the rest.
fn nibble(bytes: &[u8], i: usize) -> u8 {
    if i < 16 { bytes[i] & 15 } else { bytes[i - 16] >> 4 }
}

fn bit(bytes: &[u8], i: usize) -> u8 {
    bytes[i / 8] >> (i % 8) & 1
}

/// Scale and minimum of block `n` of Q4_K and Q5_K: eight of six bits each in
/// twelve bytes.
fn six_bits(b: &[u8], n: usize) -> (f32, f32) {
    let s = &b[4..16];
    let (scale, minimum) = if n < 4 {
        (s[n] & 63, s[n + 4] & 63)
    } else {
        (s[n + 4] & 15 | s[n - 4] >> 6 << 4, s[n + 4] >> 4 | s[n] >> 6 << 4)
    };
    (half(b, 0) * f32::from(scale), half(b, 2) * f32::from(minimum))
}

fn q2_k(b: &[u8], n: usize) -> Block {
    let (scale, least) = (half(b, 80), half(b, 82));
    let scales = [0, 1].map(|h| scale * f32::from(b[2 * n + h] & 15));
    let minima = [0, 1].map(|h| least * f32::from(b[2 * n + h] >> 4));
    Block::halves(scales, minima, |i| b[16 + n / 4 * 32 + i] >> (n % 4 * 2) & 3, 0)
}

fn q3_k(b: &[u8], n: usize) -> Block {
    let scales = [0, 1].map(|h| {
        let s = 2 * n + h;
        let low = if s < 8 { b[96 + s] & 15 } else { b[96 + s - 8] >> 4 };
        let high = b[104 + s % 4] >> (s / 4 * 2) & 3;
        half(b, 108) * (f32::from(low | high << 4) - 32.0)
    });
    let value = |i: usize| b[32 + n / 4 * 32 + i] >> (n % 4 * 2) & 3 | (b[i] >> n & 1) << 2;
    Block::halves(scales, [0.0; 2], value, 4)
}

fn q6_k(b: &[u8], n: usize) -> Block {
    let (half_of, quarter) = (n / 4, n % 4);
    let scales = [0, 1].map(|h| half(b, 208) * f32::from(b[192 + half_of * 8 + quarter * 2 + h].cast_signed()));
    let value = |i: usize| {
        let low = b[half_of * 64 + quarter % 2 * 32 + i] >> (quarter / 2 * 4) & 15;
        let high = b[128 + half_of * 32 + i] >> (quarter * 2) & 3;
        low | high << 4
    };
    Block::halves(scales, [0.0; 2], value, 32)
}
