use super::*;
use crate::testing::Random;
use proptest::prelude::*;

fn numbers(next: &mut Random, count: usize, scale: f32) -> Vec<f32> {
    (0..count).map(|_| next.unit() * scale).collect()
}

/// One text in f64.
fn naive(shape: SegmentShape, qkv: &[f32]) -> Vec<f64> {
    let (size, width) = (shape.head_size, shape.heads * shape.head_size);
    let n = qkv.len() / (3 * width);
    let part = |t: usize, which: usize, h: usize| -> Vec<f64> {
        qkv[t * 3 * width + which * width + h * size..][..size].iter().map(|v| f64::from(*v)).collect()
    };
    let mut out = Vec::new();
    for t in 0..n {
        for h in 0..shape.heads {
            let q = part(t, 0, h);
            let scores: Vec<f64> = (0..n)
                .map(|u| q.iter().zip(part(u, 1, h)).map(|(a, b)| a * b).sum::<f64>() * f64::from(shape.scale))
                .collect();
            let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = scores.iter().map(|s| (s - most).exp()).sum();
            let mut row = vec![0.0; size];
            for (u, s) in scores.iter().enumerate() {
                row.iter_mut().zip(part(u, 2, h)).for_each(|(o, v)| *o += (s - most).exp() / sum * v);
            }
            out.extend(row);
        }
    }
    out
}

/// Queries and keys, and values, of rows that hold all three.
fn parted(shape: SegmentShape, qkv: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let width = shape.heads * shape.head_size;
    let rows = || qkv.chunks_exact(3 * width);
    (rows().flat_map(|r| r[..2 * width].to_vec()).collect(), rows().flat_map(|r| r[2 * width..].to_vec()).collect())
}

fn run(pool: &Pool, isa: Isa, shape: SegmentShape, counts: &[usize], qkv: &[f32]) -> Vec<f32> {
    let mut scratch = Scratch::default();
    // What the memory held before must not matter.
    let mut out = vec![f32::NAN; qkv.len() / 3];
    let ones = vec![1.0; 2 * shape.heads * shape.head_size * 40];
    let mut before = vec![0.0; ones.len() / 2];
    let half = &ones[..ones.len() / 2];
    segment_attention(pool, isa, shape, &[40], &ones, half, &mut before, &mut scratch).unwrap();
    let (qk, values) = parted(shape, qkv);
    segment_attention(pool, isa, shape, counts, &qk, &values, &mut out, &mut scratch).unwrap();
    out
}

prop_compose! {
    fn shapes()(heads in 1usize..5, sixteenths in 1usize..6) -> SegmentShape {
        let head_size = sixteenths * 16;
        SegmentShape { heads, head_size, scale: 2.0 / (head_size as f32).sqrt() }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Tolerance: values are below 1 and sums of at most 150 in f32.
    #[test]
    fn agrees_with_plain_arithmetic(shape in shapes(), tokens in 1usize..150, seed: u64) {
        let qkv = numbers(&mut Random(seed), tokens * 3 * shape.heads * shape.head_size, 1.0);
        let got = run(&Pool::new(2).unwrap(), Isa::detect(), shape, &[tokens], &qkv);
        for (i, (g, w)) in got.iter().zip(naive(shape, &qkv)).enumerate() {
            prop_assert!((f64::from(*g) - w).abs() < 1e-5, "{i}: {g} for {w}");
        }
    }

    #[test]
    fn company_threads_and_instruction_sets_change_no_bit(
        shape in shapes(), lengths in prop::collection::vec(1usize..100, 1..6), threads in 1usize..4, seed: u64
    ) {
        let (width, mut next) = (3 * shape.heads * shape.head_size, Random(seed));
        let texts: Vec<Vec<f32>> = lengths.iter().map(|n| numbers(&mut next, n * width, 2.0)).collect();
        let one = Pool::new(1).unwrap();
        let alone: Vec<f32> =
            texts.iter().zip(&lengths).flat_map(|(text, n)| run(&one, Isa::SCALAR, shape, &[*n], text)).collect();
        let pool = Pool::new(threads).unwrap();
        for isa in Isa::available() {
            let together = run(&pool, isa, shape, &lengths, &texts.concat());
            for (g, w) in together.iter().zip(&alone) {
                prop_assert!(g.to_bits() == w.to_bits(), "{}: {g} for {w}", isa.name());
            }
        }
    }
}

#[test]
fn large_scores_stay_finite() {
    let shape = SegmentShape { heads: 2, head_size: 32, scale: 1.0 };
    let qkv = numbers(&mut Random(6), 45 * 3 * 64, 1e6);
    for isa in Isa::available() {
        assert!(run(&Pool::new(1).unwrap(), isa, shape, &[45], &qkv).iter().all(|v| v.is_finite()), "{}", isa.name());
    }
}

#[test]
fn refuses_what_does_not_fit() {
    let (pool, mut scratch) = (Pool::new(2).unwrap(), Scratch::default());
    let shape = SegmentShape { heads: 2, head_size: 16, scale: 1.0 };
    let (qk, values) = (vec![0.5; 3 * 2 * 32], vec![0.5; 3 * 32]);
    let mut out = vec![0.0; 3 * 32];
    let mut go = |shape: SegmentShape, counts: &[usize], qk: &[f32], values: &[f32], out: &mut [f32]| {
        segment_attention(&pool, Isa::detect(), shape, counts, qk, values, out, &mut scratch)
    };
    assert!(go(shape, &[1, 2], &qk, &values, &mut out).is_ok());
    assert!(go(shape, &[0, 3, 0], &qk, &values, &mut out).is_ok(), "a text without tokens");
    assert!(go(shape, &[], &[], &[], &mut []).is_ok());
    for counts in [&[2][..], &[4], &[], &[usize::MAX], &[usize::MAX, 4], &[usize::MAX / 2, usize::MAX / 2, 5]] {
        assert!(go(shape, counts, &qk, &values, &mut out).is_err(), "{counts:?}");
    }
    assert!(go(shape, &[3], &qk[1..], &values, &mut out).is_err());
    assert!(go(shape, &[3], &qk, &values[1..], &mut out).is_err());
    assert!(go(shape, &[3], &qk, &values, &mut out[1..]).is_err());
    for (heads, head_size) in [(0, 16), (2, 0), (2, 8), (1, 32 * 1024), (usize::MAX, 16)] {
        assert!(
            go(SegmentShape { heads, head_size, ..shape }, &[3], &qk, &values, &mut out).is_err(),
            "{heads} {head_size}"
        );
    }
}
