use std::collections::BTreeMap;
use std::io;

use proptest::prelude::*;
use weighbridge_formats::Input;
use weighbridge_kernels::layout::{Layout, unpack_row};

use super::stored::floats;
use super::{Described, Kind, Packer, Tensors, plan};
use crate::output::{Output, Sink};
use crate::{ImportError, WEIGHTS_FILE};

const KINDS: &[(Kind, bool)] = &[
    (Kind::Q4_0, true),
    (Kind::Q4_1, true),
    (Kind::Q5_0, true),
    (Kind::Q5_1, false),
    (Kind::Q8_0, true),
    (Kind::Q2K, false),
    (Kind::Q3K, true),
    (Kind::Q4K, true),
    (Kind::Q5K, false),
    (Kind::Q6K, true),
];
const INPUTS: usize = 512;

#[derive(Default)]
struct Memory(BTreeMap<&'static str, Vec<u8>>);

impl Sink for Memory {
    fn append(&mut self, file: &'static str, bytes: &[u8]) -> io::Result<()> {
        self.0.entry(file).or_default().extend_from_slice(bytes);
        Ok(())
    }
}

fn fixture(kind: Kind, extension: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/blocks/{}.{extension}", env!("CARGO_MANIFEST_DIR"), kind.name());
    std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn as_floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

fn tensors(stored: &[(&str, Kind, usize, Vec<u8>)], inputs: usize) -> Tensors {
    let mut tensors = Tensors::default();
    for (name, kind, rows, bytes) in stored {
        let part = tensors.part(name, &Input::bytes(bytes.clone()));
        let d = Described {
            name,
            kind: kind.name(),
            row: inputs as u64,
            elements: (rows * inputs) as u64,
            start: 0,
            size: bytes.len() as u64,
        };
        tensors.add(part, &d).unwrap();
    }
    tensors
}

/// Packs the named matrices on top of each other; rows unpacked again, and
/// what was rounded.
fn packed(
    tensors: &Tensors,
    names: &[(&str, usize)],
    inputs: usize,
) -> Result<(Layout, Vec<Vec<f32>>, usize), ImportError> {
    let rows: Vec<_> = names.iter().map(|(n, rows)| tensors.matrix(n, *rows, inputs).unwrap()).collect();
    let kinds: Vec<Kind> = rows.iter().map(super::Rows::kind).collect();
    let plan = plan(&kinds, Layout::F16);
    let mut sink = Memory::default();
    let mut packer = Packer::new(Output::new(&mut sink, WEIGHTS_FILE));
    let extent = packer.stacked(&rows, plan)?;
    let (_, _, rounded) = packer.finish();
    let bytes = &sink.0[WEIGHTS_FILE];
    assert_eq!((extent.offset, extent.length), (0, bytes.len() as u64));
    let total = names.iter().map(|(_, rows)| rows).sum();
    let unpacked = (0..total).map(|row| {
        let mut out = vec![0.0; inputs];
        unpack_row(plan.layout, bytes, row, inputs, &mut out).unwrap();
        out
    });
    Ok((plan.layout, unpacked.collect(), rounded.len()))
}

#[test]
fn blocks_are_what_the_reference_makes_of_them() {
    for (kind, _) in KINDS {
        let expected = as_floats(&fixture(*kind, "f32"));
        let mut out = vec![0.0; expected.len()];
        floats(*kind, &fixture(*kind, "bin"), &mut out);
        assert_eq!(out, expected, "{}", kind.name());
        assert!(out.iter().any(|v| v.abs() > 0.3), "{} is not all zero", kind.name());
    }
}

#[test]
fn exact_kinds_are_packed_exactly_and_others_are_named() {
    for (kind, exact) in KINDS {
        let expected = as_floats(&fixture(*kind, "f32"));
        let tensors = tensors(&[("t", *kind, 3, fixture(*kind, "bin"))], INPUTS);
        let (layout, rows, rounded) = packed(&tensors, &[("t", 3)], INPUTS).unwrap();
        let differences = rows.iter().flatten().zip(&expected).map(|(a, b)| (a - b).abs());
        let most = differences.fold(0.0, f32::max);
        let largest = expected.iter().fold(0f32, |m, v| m.max(v.abs()));
        println!("{} in {}: {most:e} of {largest}", kind.name(), layout.name());
        assert_eq!(rounded, usize::from(!exact), "{}", kind.name());
        // Affine weights are one rounding where ggml has two.
        let allowed = match (exact, layout) {
            (true, Layout::Q4A) => largest * 1e-6,
            (true, _) => 0.0,
            (false, _) => largest / 250.0,
        };
        assert!(most <= allowed, "{}: {most}", kind.name());
    }
}

#[test]
fn parts_share_the_smallest_layout_that_holds_them_all() {
    for (kinds, layout, repacked) in [
        (&[Kind::Q4_0, Kind::Q4_0][..], Layout::Q4, true),
        (&[Kind::Q4_0, Kind::Q4K], Layout::Q4A, true),
        (&[Kind::Q4_0, Kind::Q8_0], Layout::Q8, true),
        (&[Kind::Q8_0, Kind::Q6K, Kind::Q4_0], Layout::Q8H, true),
        (&[Kind::Q4K, Kind::Q6K], Layout::Q8H, false),
        (&[Kind::Q5K], Layout::Q8H, false),
        (&[Kind::Q8_0, Kind::F16], Layout::F16, false),
        (&[Kind::F16, Kind::Bf16], Layout::Q4, false),
    ] {
        let names: Vec<_> = kinds.iter().map(|k| k.name()).collect();
        let plan = plan(kinds, Layout::Q4);
        assert_eq!((plan.layout, plan.is_exact()), (layout, repacked), "{names:?}");
    }
    let all = [
        ("a", Kind::Q4_0, 3, fixture(Kind::Q4_0, "bin")),
        ("b", Kind::Q4K, 3, fixture(Kind::Q4K, "bin")),
        ("c", Kind::Q8_0, 3, fixture(Kind::Q8_0, "bin")),
        ("d", Kind::Q6K, 3, fixture(Kind::Q6K, "bin")),
    ];
    let tensors = tensors(&all, INPUTS);
    for pair in [["a", "b"], ["a", "c"], ["c", "d"]] {
        let (_, rows, rounded) = packed(&tensors, &pair.map(|n| (n, 3)), INPUTS).unwrap();
        let expected = pair.iter().flat_map(|n| {
            let kind = all.iter().find(|(name, ..)| name == n).unwrap().1;
            as_floats(&fixture(kind, "f32"))
        });
        for (a, b) in rows.iter().flatten().zip(expected) {
            assert!((a - b).abs() <= b.abs().max(1.0) * 1e-6, "{pair:?}: {a} {b}");
        }
        assert_eq!(rounded, 0);
    }
}

#[test]
fn scales_that_are_not_finite_are_refused() {
    for (kind, at) in [(Kind::Q4_0, 0), (Kind::Q4K, 2), (Kind::Q6K, 208), (Kind::Q5K, 0), (Kind::Q8_0, 34)] {
        let mut bytes = fixture(kind, "bin");
        bytes[at..at + 2].copy_from_slice(&[0xff, 0x7f]);
        let tensors = tensors(&[("t", kind, 3, bytes)], INPUTS);
        let error = packed(&tensors, &[("t", 3)], INPUTS).map(|_| ()).unwrap_err();
        assert!(matches!(error, ImportError::Pack { .. }), "{}: {error}", kind.name());
    }
    let nan = f32::NAN.to_le_bytes().repeat(INPUTS);
    let tensors = tensors(&[("t", Kind::F32, 1, nan)], INPUTS);
    assert!(packed(&tensors, &[("t", 1)], INPUTS).is_err());
    assert!(tensors.vector("t", INPUTS).is_err());
}

#[test]
fn half_precision_says_when_it_was_not_enough() {
    for (value, rounded) in [(0.5f32, 0), (0.1, 1), (1e-9, 1)] {
        let tensors = tensors(&[("t", Kind::F32, 1, value.to_le_bytes().repeat(INPUTS))], INPUTS);
        assert_eq!(packed(&tensors, &[("t", 1)], INPUTS).unwrap().2, rounded, "{value}");
    }
    let tensors = tensors(&[("t", Kind::F32, 1, 1e9f32.to_le_bytes().repeat(INPUTS))], INPUTS);
    assert!(packed(&tensors, &[("t", 1)], INPUTS).is_err(), "too large for half precision");
}

proptest! {
    /// Whatever the split of rows over parts, the matrix is the parts.
    #[test]
    fn stacked_parts_are_one_matrix(counts in proptest::collection::vec(1usize..40, 1..4), seed in 0u32..1000) {
        let mut number = seed;
        let mut halves = |rows: usize| -> Vec<u8> {
            (0..rows * 32).flat_map(|_| {
                number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                half::f16::from_f32(f32::from((number >> 20) as u16) - 2048.0).to_le_bytes()
            }).collect()
        };
        let names: Vec<String> = (0..counts.len()).map(|n| n.to_string()).collect();
        let stored: Vec<_> =
            names.iter().zip(&counts).map(|(n, rows)| (n.as_str(), Kind::F16, *rows, halves(*rows))).collect();
        let expected: Vec<u8> = stored.iter().flat_map(|(.., bytes)| bytes.clone()).collect();
        let tensors = tensors(&stored, 32);
        let parts: Vec<_> = names.iter().map(String::as_str).zip(counts).collect();
        let (layout, rows, rounded) = packed(&tensors, &parts, 32).unwrap();
        prop_assert_eq!((layout, rounded), (Layout::F16, 0));
        let again: Vec<u8> = rows.iter().flatten().flat_map(|v| half::f16::from_f32(*v).to_le_bytes()).collect();
        prop_assert_eq!(again, expected);
    }
}
