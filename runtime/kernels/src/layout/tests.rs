use super::*;
use proptest::prelude::*;

fn integers(layout: Layout, rows: usize, inputs: usize, seed: u64) -> (Vec<u8>, Vec<f32>, Vec<f32>) {
    let mut next = crate::testing::Random(seed);
    let nibble = matches!(layout, Layout::Q4 | Layout::Q4A);
    let values = (0..rows * inputs).map(|_| if nibble { next.byte() & 15 } else { next.byte() }).collect();
    let scales = rows * inputs / layout.inputs_per_scale();
    let exact = |v: f32| half::f16::from_f32(v).to_f32();
    let s = (0..scales).map(|_| exact(next.unit())).collect();
    let m = if layout == Layout::Q4A { (0..scales).map(|_| next.unit()).collect() } else { Vec::new() };
    (values, s, m)
}

proptest! {
    #[test]
    fn integers_come_back_exactly(rows in 1usize..40, blocks in 1usize..6, seed: u64, which in 0usize..4) {
        let (layout, inputs) = (Layout::ALL[which], blocks * 32);
        let (values, scales, minima) = integers(layout, rows, inputs, seed);
        let mut packed = vec![0xa5; layout.packed_bytes(rows, inputs).unwrap()];
        pack_rows(layout, Integers { values: &values, scales: &scales, minima: &minima }, rows, inputs, &mut packed).unwrap();
        let mut row = vec![0f32; inputs];
        for r in 0..rows.next_multiple_of(16) {
            unpack_row(layout, &packed, r, inputs, &mut row).unwrap();
            for (i, &got) in row.iter().enumerate() {
                let want = if r >= rows { 0.0 } else {
                    let (v, at) = (values[r * inputs + i], (r * inputs + i) / layout.inputs_per_scale());
                    match layout {
                        Layout::Q4 => (f32::from(v) - 8.0) * scales[at],
                        Layout::Q4A => f32::from(v).mul_add(scales[at], -minima[at]),
                        _ => f32::from(i8::from_ne_bytes([v])) * scales[at],
                    }
                };
                prop_assert!(got == want, "{layout:?} row {r} input {i}: {got} for {want}");
            }
        }
    }

    #[test]
    fn quantised_rows_stay_within_half_a_step(rows in 1usize..20, blocks in 1usize..4, seed: u64) {
        let inputs = blocks * 32;
        let mut next = crate::testing::Random(seed);
        let values: Vec<f32> = (0..rows * inputs).map(|_| next.unit() * 2.0).collect();
        // Largest error as a share of the largest magnitude of the block: Q4_0
        // clips at 7 of 8, the others round by half a step (f16 scales aside).
        for (layout, share) in [(Layout::Q4, 0.126), (Layout::Q4A, 0.067), (Layout::Q8, 0.0045), (Layout::Q8H, 0.004), (Layout::F16, 0.0005)] {
            let mut packed = vec![0; layout.packed_bytes(rows, inputs).unwrap()];
            quantise_rows(layout, &values, rows, inputs, &mut packed).unwrap();
            let mut row = vec![0f32; inputs];
            for r in 0..rows {
                unpack_row(layout, &packed, r, inputs, &mut row).unwrap();
                let source = &values[r * inputs..][..inputs];
                for (got, want) in row.chunks(32).zip(source.chunks(32)) {
                    let most = want.iter().fold(0f32, |m, v| m.max(v.abs()));
                    for (g, w) in got.iter().zip(want) {
                        prop_assert!((g - w).abs() <= most * share, "{layout:?}: {g} for {w}, most {most}");
                    }
                }
            }
        }
    }
}

#[test]
fn q4_follows_ggml() {
    // Q4_0 of a ramp: furthest value -16 becomes nibble 0 with scale 2.
    let values: Vec<f32> = (0..32).map(|i| i as f32 - 16.0).collect();
    let mut packed = vec![0; 288];
    quantise_group(Layout::Q4, &values, 1, 32, &mut packed).unwrap();
    let mut row = vec![0f32; 32];
    unpack_row(Layout::Q4, &packed, 0, 32, &mut row).unwrap();
    let want: Vec<f32> = values.iter().map(|v| ((v / 2.0 + 8.5).floor().min(15.0) - 8.0) * 2.0).collect();
    assert_eq!(row, want);
    assert_eq!(half::f16::from_le_bytes([packed[256], packed[257]]).to_f32(), 2.0);
}

#[test]
fn refuses_what_does_not_fit() {
    let mut out = vec![0; 288];
    let values = [1u8; 32];
    let source = Integers { values: &values, scales: &[1.0], minima: &[] };
    assert!(pack_group(Layout::Q4, source, 1, 32, &mut out).is_ok());
    assert!(pack_group(Layout::Q4, source, 2, 32, &mut out).is_err());
    assert!(pack_group(Layout::Q4, source, 1, 48, &mut out).is_err());
    assert!(pack_group(Layout::Q8, source, 1, 32, &mut out).is_err());
    assert!(pack_group(Layout::F16, source, 1, 32, &mut out).is_err());
    assert!(pack_group(Layout::Q4, Integers { scales: &[1e6], ..source }, 1, 32, &mut out).is_err());
    assert!(pack_group(Layout::Q4, Integers { scales: &[f32::NAN], ..source }, 1, 32, &mut out).is_err());
    assert!(pack_group(Layout::Q4, Integers { values: &[16; 32], ..source }, 1, 32, &mut out).is_err());
    assert!(quantise_group(Layout::Q4, &[f32::INFINITY; 32], 1, 32, &mut out).is_err());
    assert!(Layout::Q4.packed_bytes(usize::MAX, 1 << 20).is_err());
    assert!(Layout::Q4.packed_bytes(16, 33).is_err());
    assert!(unpack_row(Layout::Q4, &out, 16, 32, &mut [0.0; 32]).is_err());
    assert!(unpack_row(Layout::Q4, &out[..100], 0, 32, &mut [0.0; 32]).is_err());
    assert_eq!(Layout::from_name("q8h").unwrap(), Layout::Q8H);
    assert!(Layout::from_name("q9").is_err());
}
