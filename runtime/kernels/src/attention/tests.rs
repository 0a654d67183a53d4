use super::*;
use crate::testing::Random;
use proptest::prelude::*;

/// A model's attention and the tokens of some sequences.
#[derive(Debug, Clone)]
struct Model {
    heads: usize,
    kv_heads: usize,
    size: usize,
    inv_freq: Vec<f32>,
    interleaved: bool,
    norms: Option<(Vec<f32>, Vec<f32>)>,
    window: usize,
    softcap: f32,
}

impl Model {
    fn shape(&self) -> AttentionShape<'_> {
        AttentionShape {
            heads: self.heads,
            kv_heads: self.kv_heads,
            head_size: self.size,
            inv_freq: &self.inv_freq,
            interleaved: self.interleaved,
            rope_scale: 1.25,
            q_norm: self.norms.as_ref().map(|n| &*n.0),
            k_norm: self.norms.as_ref().map(|n| &*n.1),
            norm_epsilon: 1e-6,
            scale: 1.0 / (self.size as f32).sqrt(),
            window: self.window,
            softcap: self.softcap,
        }
    }

    fn width(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.size
    }

    fn store(&self, pages: usize) -> PageStore {
        PageStore::new(StoreShape { layers: 2, kv_heads: self.kv_heads, head_size: self.size, pages }).unwrap()
    }

    /// Attention in f64 of one whole sequence, keys and values rounded to f16.
    fn naive(&self, qkv: &[f32]) -> Vec<f64> {
        let (n, size, group) = (qkv.len() / self.width(), self.size, self.heads / self.kv_heads);
        let half = |v: f64| f64::from(half::f16::from_f64(v.clamp(-65504.0, 65504.0)).to_f32());
        let head = |t: usize, h: usize| -> Vec<f64> {
            qkv[t * self.width() + h * size..][..size].iter().map(|v| f64::from(*v)).collect()
        };
        let turned = |t: usize, h: usize, norm: Option<&Vec<f32>>| {
            let mut v = head(t, h);
            if let Some(norm) = norm {
                let factor = 1.0 / (v.iter().map(|x| x * x).sum::<f64>() / size as f64 + 1e-6).sqrt();
                v.iter_mut().zip(norm).for_each(|(x, n)| *x *= factor * f64::from(*n));
            }
            let r = self.inv_freq.len();
            for (i, frequency) in self.inv_freq.iter().enumerate() {
                let (s, c) = f64::from(t as f32 * frequency).sin_cos();
                let (a, b) = if self.interleaved { (2 * i, 2 * i + 1) } else { (i, i + r) };
                let (x, y) = (v[a], v[b]);
                (v[a], v[b]) = ((x * c - y * s) * 1.25, (y * c + x * s) * 1.25);
            }
            v
        };
        let mut out = Vec::new();
        for t in 0..n {
            for h in 0..self.heads {
                let q = turned(t, h, self.norms.as_ref().map(|n| &n.0));
                let first = if self.window == 0 { 0 } else { (t + 1).saturating_sub(self.window) };
                let scores: Vec<f64> = (first..=t)
                    .map(|u| {
                        let k = turned(u, self.heads + h / group, self.norms.as_ref().map(|n| &n.1));
                        let s = q.iter().zip(&k).map(|(a, b)| a * half(*b)).sum::<f64>() / (size as f64).sqrt();
                        if self.softcap > 0.0 {
                            f64::from(self.softcap) * (s / f64::from(self.softcap)).tanh()
                        } else {
                            s
                        }
                    })
                    .collect();
                let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = scores.iter().map(|s| (s - most).exp()).sum();
                let mut row = vec![0.0; size];
                for (u, s) in (first..=t).zip(&scores) {
                    for (o, v) in row.iter_mut().zip(head(u, self.heads + self.kv_heads + h / group)) {
                        *o += (s - most).exp() / sum * half(v);
                    }
                }
                out.extend(row);
            }
        }
        out
    }

    /// Runs the sequences through a store, in batches that take up to
    /// `chunk(sequence, step)` tokens of each until all are done.
    fn run(
        &self,
        pool: &Pool,
        isa: Isa,
        sequences: &[Vec<f32>],
        mut chunk: impl FnMut(usize, usize) -> usize,
    ) -> Vec<Vec<f32>> {
        let width = self.width();
        let each = sequences.iter().map(|s| (s.len() / width).div_ceil(PAGE_TOKENS)).max().unwrap_or(0);
        let each = u32::try_from(each).unwrap();
        let count = u32::try_from(sequences.len()).unwrap();
        let mut store = self.store((each * count) as usize);
        // What a page held before must not matter.
        store.memory_for_tests().fill(0xff);
        let pages: Vec<Vec<u32>> =
            (0..count).map(|s| (0..each).map(|p| (each - 1 - p) * count + s).collect()).collect();
        let mut outs = vec![Vec::new(); sequences.len()];
        let mut past = vec![0usize; sequences.len()];
        let mut scratch = Scratch::default();
        for step in 0.. {
            let (mut segments, mut qkv, mut which) = (Vec::new(), Vec::new(), Vec::new());
            for (i, sequence) in sequences.iter().enumerate() {
                let rows = chunk(i, step).min(sequence.len() / width - past[i]);
                if rows > 0 {
                    segments.push(Segment { first_row: qkv.len() / width, rows, past: past[i], pages: &pages[i] });
                    qkv.extend_from_slice(&sequence[past[i] * width..][..rows * width]);
                    which.push((i, rows));
                    past[i] += rows;
                }
            }
            if segments.is_empty() && sequences.iter().zip(&past).all(|(s, p)| s.len() / width == *p) {
                return outs;
            }
            let mut out = vec![f32::NAN; qkv.len() / width * self.heads * self.size];
            attention(pool, isa, &self.shape(), &mut store, 1, &segments, &qkv, &mut out, &mut scratch).unwrap();
            let mut rest = &out[..];
            for (i, rows) in which {
                let (mine, after) = rest.split_at(rows * self.heads * self.size);
                outs[i].extend_from_slice(mine);
                rest = after;
            }
        }
        outs
    }
}

fn numbers(next: &mut Random, count: usize, scale: f32) -> Vec<f32> {
    (0..count).map(|_| next.unit() * scale).collect()
}

prop_compose! {
    fn model()(group in 1usize..10, kv_heads in 1usize..4, sixteenths in 1usize..9, part in 0usize..3, interleaved: bool, norms: bool, window in prop_oneof![Just(0usize), 1usize..100], cap: bool, seed: u64) -> Model {
        let (size, mut next) = (sixteenths * 16, Random(seed));
        let rotated = [0, size / 4, size / 2][part];
        Model {
            heads: group * kv_heads, kv_heads, size, interleaved, window,
            inv_freq: (0..rotated).map(|i| 10_000f32.powf(-(i as f32) / rotated as f32)).collect(),
            norms: norms.then(|| (numbers(&mut next, size, 1.5), numbers(&mut next, size, 1.5))),
            softcap: if cap { 4.0 } else { 0.0 },
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Tolerance: f32 scores are off by 1e-5 at these sizes, weights by as
    /// much relatively, and values are below 1; keys may round to the other
    /// neighbour in f16 (5e-4 of one number of a score).
    #[test]
    fn agrees_with_plain_arithmetic(model in model(), tokens in 1usize..140, seed: u64) {
        let mut next = Random(seed);
        let qkv = numbers(&mut next, tokens * model.width(), 1.0);
        let want = model.naive(&qkv);
        let got = model.run(&Pool::new(2).unwrap(), Isa::detect(), &[qkv], |_, _| usize::MAX);
        for (i, (g, w)) in got[0].iter().zip(&want).enumerate() {
            prop_assert!((f64::from(*g) - w).abs() < 4e-4, "{i}: {g} for {w}");
        }
        prop_assert_eq!(got[0].len(), want.len());
    }

    #[test]
    fn batches_chunks_and_instruction_sets_agree_to_the_bit(model in model(), lengths in prop::collection::vec(1usize..120, 1..5), seed: u64, threads in 1usize..4) {
        let mut next = Random(seed);
        let sequences: Vec<_> = lengths.iter().map(|n| numbers(&mut next, n * model.width(), 2.0)).collect();
        let one = Pool::new(1).unwrap();
        // Each alone, token by token, by the reference.
        let want: Vec<_> = sequences.iter().flat_map(|s| model.run(&one, Isa::SCALAR, std::slice::from_ref(s), |_, _| 1)).collect();
        let pool = Pool::new(threads).unwrap();
        for isa in Isa::available() {
            let together = model.run(&pool, isa, &sequences, |_, _| usize::MAX);
            let ragged = model.run(&pool, isa, &sequences, |i, step| (i * 7 + step * 13) % 45);
            for (got, name) in [(together, "together"), (ragged, "ragged")] {
                for (g, w) in got.iter().flatten().zip(want.iter().flatten()) {
                    prop_assert!(g.to_bits() == w.to_bits(), "{} {name}: {g} for {w}", isa.name());
                }
            }
        }
    }
}

fn small() -> Model {
    Model {
        heads: 4,
        kv_heads: 2,
        size: 32,
        inv_freq: vec![1.0, 0.1],
        interleaved: false,
        norms: None,
        window: 0,
        softcap: 0.0,
    }
}

#[test]
fn two_segments_may_share_what_neither_writes() {
    let (model, pool, mut scratch, mut next) = (small(), Pool::new(2).unwrap(), Scratch::default(), Random(4));
    let mut store = model.store(4);
    let qkv = numbers(&mut next, 33 * model.width(), 1.0);
    let mut out = vec![0.0; 33 * 4 * 32];
    let whole = [Segment { first_row: 0, rows: 33, past: 0, pages: &[0, 1] }];
    attention(&pool, Isa::detect(), &model.shape(), &mut store, 0, &whole, &qkv, &mut out, &mut scratch).unwrap();
    let want = out[32 * 128..].to_vec();
    // The first page is a prefix of both; the 33rd token is new to each.
    let last = qkv[32 * model.width()..].repeat(2);
    let both = [
        Segment { first_row: 0, rows: 1, past: 32, pages: &[0, 2] },
        Segment { first_row: 1, rows: 1, past: 32, pages: &[0, 3] },
    ];
    let mut out = vec![0.0; 2 * 128];
    attention(&pool, Isa::detect(), &model.shape(), &mut store, 0, &both, &last, &mut out, &mut scratch).unwrap();
    assert_eq!(out, [&want[..], &want[..]].concat());
    // A copy of a page serves as well as the page.
    store.copy_page(0, 1).unwrap();
    let copied = [Segment { first_row: 0, rows: 1, past: 32, pages: &[1, 2] }];
    attention(
        &pool,
        Isa::detect(),
        &model.shape(),
        &mut store,
        0,
        &copied,
        &last[..model.width()],
        &mut out[..128],
        &mut scratch,
    )
    .unwrap();
    assert_eq!(out[..128], want);
    assert!(store.copy_page(0, 4).is_err());
}

#[test]
fn refuses_what_does_not_fit() {
    let (model, pool, mut scratch) = (small(), Pool::new(2).unwrap(), Scratch::default());
    let mut store = model.store(4);
    let qkv = vec![0.5; 3 * model.width()];
    let mut out = vec![0.0; 3 * 128];
    let good = Segment { first_row: 0, rows: 3, past: 0, pages: &[0] };
    let mut go = |shape: AttentionShape<'_>, layer, segments: &[Segment<'_>], qkv: &[f32]| {
        attention(&pool, Isa::detect(), &shape, &mut store, layer, segments, qkv, &mut out, &mut scratch)
    };
    let shape = model.shape();
    assert!(go(shape, 1, &[good], &qkv).is_ok());
    assert!(go(shape, 2, &[good], &qkv).is_err(), "layer");
    assert!(go(shape, 0, &[good], &qkv[1..]).is_err(), "length");
    assert!(go(shape, 0, &[Segment { rows: 2, ..good }], &qkv).is_err(), "rows left over");
    assert!(go(shape, 0, &[Segment { rows: 0, ..good }, good], &qkv).is_err(), "no rows");
    assert!(go(shape, 0, &[Segment { first_row: 1, ..good }], &qkv).is_err(), "a gap");
    assert!(go(shape, 0, &[Segment { past: 30, ..good }], &qkv).is_err(), "too few pages");
    assert!(go(shape, 0, &[Segment { past: usize::MAX, ..good }], &qkv).is_err(), "overflow");
    assert!(go(shape, 0, &[Segment { past: usize::MAX - 3, ..good }], &qkv).is_err(), "far away");
    assert!(go(shape, 0, &[Segment { pages: &[4], ..good }], &qkv).is_err(), "page");
    assert!(go(shape, 0, &[Segment { past: 32, pages: &[9, 0], ..good }], &qkv).is_err(), "page of the past");
    assert!(go(shape, 0, &[Segment { past: 30, pages: &[1, 1], ..good }], &qkv).is_err(), "a page twice");
    assert!(go(shape, 0, &[Segment { past: 32, pages: &[1, 1], ..good }], &qkv).is_err(), "a page of the past written");
    let two = [Segment { rows: 1, ..good }, Segment { first_row: 1, rows: 2, past: 32, pages: &[0, 1] }];
    assert_eq!(go(shape, 0, &two, &qkv), Err(KernelError::SharedPage(0)));
    assert!(go(AttentionShape { heads: 3, ..shape }, 0, &[good], &qkv).is_err(), "heads");
    assert!(go(AttentionShape { heads: 0, ..shape }, 0, &[good], &qkv).is_err(), "no heads");
    assert!(go(AttentionShape { kv_heads: 1, ..shape }, 0, &[good], &qkv).is_err(), "key heads");
    assert!(go(AttentionShape { head_size: 16, ..shape }, 0, &[good], &qkv).is_err(), "head size");
    assert!(go(AttentionShape { inv_freq: &[1.0; 17], ..shape }, 0, &[good], &qkv).is_err(), "frequencies");
    assert!(go(AttentionShape { q_norm: Some(&[1.0; 31]), ..shape }, 0, &[good], &qkv).is_err(), "norm");
    assert!(go(shape, 0, &[], &[]).is_err(), "out is not empty");
    let odd = StoreShape { layers: 1, kv_heads: 1, head_size: 40, pages: 1 };
    assert!(PageStore::new(odd).is_err());
    assert!(PageStore::new(StoreShape { head_size: 64, pages: usize::MAX, ..odd }).is_err());
    assert!(PageStore::new(StoreShape { head_size: 64, kv_heads: 0, ..odd }).is_err());
}

#[test]
fn large_numbers_stay_finite() {
    let (model, pool) = (small(), Pool::new(1).unwrap());
    let mut next = Random(6);
    let qkv = numbers(&mut next, 40 * model.width(), 1e6);
    for isa in Isa::available() {
        let got = model.run(&pool, isa, std::slice::from_ref(&qkv), |_, _| usize::MAX);
        assert!(got[0].iter().all(|v| v.is_finite()), "{}", isa.name());
    }
}
