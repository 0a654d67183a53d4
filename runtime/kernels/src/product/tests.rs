use super::*;
use crate::{layout, testing::Random};
use proptest::prelude::*;

struct Case {
    layout: Layout,
    rows: usize,
    inputs: usize,
    m: usize,
    packed: Vec<u8>,
    x: Vec<f32>,
    bias: Vec<f32>,
}

fn case(layout: Layout, rows: usize, blocks: usize, m: usize, seed: u64) -> Case {
    let (inputs, mut next) = (blocks * 32, Random(seed));
    let weights: Vec<f32> = (0..rows * inputs).map(|_| next.unit()).collect();
    let mut packed = vec![0; layout.packed_bytes(rows, inputs).unwrap()];
    layout::quantise_rows(layout, &weights, rows, inputs, &mut packed).unwrap();
    let x = (0..m * inputs).map(|_| next.unit() * 3.0).collect();
    Case { layout, rows, inputs, m, packed, x, bias: (0..rows).map(|_| next.unit()).collect() }
}

impl Case {
    fn run(&self, threads: usize, isa: Isa, x: &[f32], finish: Finish<'_>) -> Vec<f32> {
        let weights = Weights { layout: self.layout, rows: self.rows, inputs: self.inputs, bytes: &self.packed };
        let mut out = vec![f32::NAN; x.len() / self.inputs * self.rows];
        matmul(&Pool::new(threads).unwrap(), isa, weights, x, finish, &mut out, &mut Scratch::default()).unwrap();
        out
    }

    /// The product in f64 and, per output, the sum of magnitudes.
    fn exact(&self) -> Vec<(f64, f64)> {
        let mut row = vec![0f32; self.inputs];
        let mut out = vec![(0.0, 0.0); self.m * self.rows];
        for r in 0..self.rows {
            layout::unpack_row(self.layout, &self.packed, r, self.inputs, &mut row).unwrap();
            for i in 0..self.m {
                let terms = self.x[i * self.inputs..][..self.inputs]
                    .iter()
                    .zip(&row)
                    .map(|(a, b)| f64::from(*a) * f64::from(*b));
                out[i * self.rows + r] = terms.fold((0.0, 0.0), |(s, a), t| (s + t, a + t.abs()));
            }
        }
        out
    }
}

fn bits(v: &[f32]) -> Vec<u32> {
    v.iter().map(|v| v.to_bits()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn instruction_sets_and_batches_agree_to_the_bit(
        which in 0usize..5, rows in 1usize..70, blocks in 1usize..8, m in 1usize..40, seed: u64, threads in 1usize..4,
        bias: bool, cap: bool,
    ) {
        let case = case(Layout::ALL[which], rows, blocks, m, seed);
        let finish = Finish { bias: bias.then_some(&case.bias), softcap: if cap { 3.0 } else { 0.0 }, ..Finish::default() };
        let want = case.run(1, Isa::SCALAR, &case.x, finish);
        for isa in Isa::available() {
            let got = case.run(threads, isa, &case.x, finish);
            prop_assert_eq!(bits(&got), bits(&want), "{}", isa.name());
            for i in [0, m / 2, m - 1] {
                let alone = case.run(1, isa, &case.x[i * case.inputs..][..case.inputs], finish);
                prop_assert_eq!(bits(&alone), bits(&want[i * rows..][..rows]), "{} row {}", isa.name(), i);
            }
        }
    }

    /// An input is off by at most half a step: 1/254 of its block's largest
    /// magnitude, hence the sum by 0.004 of block maxima times weights; f32
    /// rounding adds 1e-6 of the magnitudes.
    #[test]
    fn the_reference_is_near_exact_arithmetic(which in 0usize..5, rows in 1usize..20, blocks in 1usize..8, m in 1usize..6, seed: u64) {
        let case = case(Layout::ALL[which], rows, blocks, m, seed);
        let got = case.run(1, Isa::SCALAR, &case.x, Finish::default());
        let share = if case.layout == Layout::F16 { 1e-6 } else { 0.0 };
        let mut row = vec![0f32; case.inputs];
        for (at, (value, magnitude)) in case.exact().into_iter().enumerate() {
            let (i, r) = (at / rows, at % rows);
            layout::unpack_row(case.layout, &case.packed, r, case.inputs, &mut row).unwrap();
            let x = &case.x[i * case.inputs..][..case.inputs];
            let step: f64 = if share > 0.0 { 0.0 } else {
                x.chunks(32).zip(row.chunks(32)).map(|(x, w)| {
                    let most = x.iter().fold(0f32, |m, v| m.max(v.abs()));
                    f64::from(most) / 254.0 * w.iter().map(|v| f64::from(v.abs())).sum::<f64>()
                }).sum()
            };
            let tolerance = step * 1.001 + magnitude * 1e-6 + 1e-6 * x.len() as f64;
            prop_assert!((f64::from(got[at]) - value).abs() <= tolerance, "{}: {} for {value}, tolerance {tolerance}", case.layout.name(), got[at]);
        }
    }

    #[test]
    fn activations_bend_the_product(rows in 1usize..50, blocks in 1usize..5, m in 1usize..20, seed: u64) {
        let case = case(Layout::Q8, rows, blocks, m, seed);
        let plain = case.run(1, Isa::SCALAR, &case.x, Finish::default());
        for name in ["relu", "silu", "gelu", "gelu_tanh"] {
            let activation = Activation::from_name(name);
            let want = case.run(1, Isa::SCALAR, &case.x, Finish { activation, ..Finish::default() });
            for (x, y) in plain.iter().zip(&want) {
                // All lie between 0 and x, but for a dip below 0.28.
                let (least, greatest) = (x.clamp(-0.28, 0.0) - 1e-6, x.max(0.0) + 1e-6);
                prop_assert!((least..=greatest).contains(y), "{name}: {y} of {x}");
            }
            for isa in Isa::available() {
                let got = case.run(2, isa, &case.x, Finish { activation, ..Finish::default() });
                prop_assert_eq!(bits(&got), bits(&want), "{} {}", isa.name(), name);
            }
        }
        prop_assert_eq!(Activation::from_name("tanh"), None);
    }

    #[test]
    fn gates_are_the_two_products_joined(which in 0usize..5, rows in 1usize..50, blocks in 1usize..5, m in 1usize..20, seed: u64, gelu: bool) {
        let layout = Layout::ALL[which];
        let (gate, up) = (case(layout, rows, blocks, m, seed), case(layout, rows, blocks, m, !seed));
        let group = layout.group_bytes(gate.inputs).unwrap();
        let bytes: Vec<u8> = gate.packed.chunks(group).zip(up.packed.chunks(group)).flat_map(|(g, u)| [g, u].concat()).collect();
        let weights = Weights { layout, rows, inputs: gate.inputs, bytes: &bytes };
        let activation = if gelu { Activation::GeluTanh } else { Activation::Silu };
        let (g, u) = (gate.run(1, Isa::SCALAR, &gate.x, Finish::default()), up.run(1, Isa::SCALAR, &gate.x, Finish::default()));
        let mut first = None;
        for isa in Isa::available() {
            let mut out = vec![f32::NAN; m * rows];
            gated_feed_forward(&Pool::new(2).unwrap(), isa, weights, activation, &gate.x, &mut out, &mut Scratch::default()).unwrap();
            for (i, got) in out.iter().enumerate() {
                let x = f64::from(g[i]);
                let gated = if gelu { 0.5 * x * (1.0 + (0.797_884_560_8 * (x + 0.044_715 * x * x * x)).tanh()) } else { x / (1.0 + (-x).exp()) };
                let want = gated * f64::from(u[i]);
                prop_assert!((f64::from(*got) - want).abs() <= 1e-5 * (1.0 + want.abs()), "{got} for {want}");
            }
            prop_assert_eq!(first.get_or_insert_with(|| bits(&out)), &bits(&out), "{}", isa.name());
        }
    }
}

#[test]
fn many_rows_cross_panels() {
    // 300 rows of 12,288 inputs do not fit one panel.
    let case = case(Layout::Q4, 33, 384, 300, 5);
    let isa = Isa::detect();
    let all = case.run(2, isa, &case.x, Finish::default());
    for i in [0, 15, 16, 31, 32, 200, 299] {
        let alone = case.run(1, isa, &case.x[i * case.inputs..][..case.inputs], Finish::default());
        assert_eq!(bits(&alone), bits(&all[i * 33..][..33]));
    }
}

#[test]
fn refuses_lengths_that_do_not_fit() {
    let case = case(Layout::Q4, 20, 2, 3, 1);
    let (pool, isa, mut scratch) = (Pool::new(1).unwrap(), Isa::detect(), Scratch::default());
    let good = Weights { layout: Layout::Q4, rows: 20, inputs: 64, bytes: &case.packed };
    let mut out = vec![0.0; 60];
    let mut go =
        |weights, x: &[f32], finish, out: &mut [f32]| matmul(&pool, isa, weights, x, finish, out, &mut scratch);
    assert!(go(good, &case.x, Finish::default(), &mut out).is_ok());
    assert!(go(Weights { rows: 33, ..good }, &case.x, Finish::default(), &mut out).is_err());
    assert!(go(Weights { inputs: 96, ..good }, &case.x, Finish::default(), &mut out).is_err());
    assert!(go(Weights { inputs: 0, ..good }, &case.x, Finish::default(), &mut out).is_err());
    assert!(go(Weights { rows: usize::MAX, ..good }, &case.x, Finish::default(), &mut out).is_err());
    assert!(go(good, &case.x[1..], Finish::default(), &mut out).is_err());
    assert!(go(good, &case.x, Finish::default(), &mut out[1..]).is_err());
    assert!(go(good, &case.x, Finish { bias: Some(&[0.0; 19]), ..Finish::default() }, &mut out).is_err());
    assert!(go(good, &[], Finish::default(), &mut []).is_ok());
    let halves = gated_feed_forward(&pool, isa, good, Activation::Silu, &case.x, &mut out, &mut scratch);
    assert!(halves.is_err(), "one matrix where two are needed");
}

#[test]
fn extreme_inputs_stay_defined() {
    let mut case = case(Layout::Q8, 16, 1, 4, 9);
    case.x[0] = f32::INFINITY;
    case.x[33] = f32::NAN;
    case.x[64..96].fill(1e-38);
    case.x[96..128].fill(0.0);
    let out = case.run(1, Isa::SCALAR, &case.x, Finish::default());
    for isa in Isa::available() {
        let got = case.run(1, isa, &case.x, Finish::default());
        assert_eq!(bits(&got)[32..], bits(&out)[32..], "{}", isa.name());
        assert!(got[..32].iter().all(|v| v.is_nan()) && got[32..].iter().all(|v| *v == 0.0));
    }
}
