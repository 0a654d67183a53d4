#![expect(clippy::cast_possible_truncation, reason = "samples are small")]

use super::low_bits::hidden;
use super::magic::{archive, program};
use super::{Element, not_numbers};
use crate::core::Input;

/// Bytes without a pattern, the same in every run.
fn noise(n: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    (0..n)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}

/// `payload` in the lowest bits of floats, most significant bit first.
fn in_lowest_bits(payload: &[u8]) -> Vec<u8> {
    let mut floats = noise(payload.len() * 32);
    let bits = payload.iter().flat_map(|byte| (0..8).rev().map(move |n| byte >> n & 1));
    for (float, bit) in floats.chunks_mut(4).zip(bits) {
        float[0] = float[0] & !1 | bit;
    }
    floats
}

#[test]
fn text_in_the_lowest_bits_is_seen() {
    let text = b"import socket; connect to the host and wait for further orders. ".repeat(8);
    assert!(hidden(&in_lowest_bits(&text), false).unwrap().contains("import socket"));
}

#[test]
fn a_program_in_the_three_low_bytes_is_seen() {
    let mut payload = b"\x7fELF\x02\x01\x01\0\0".to_vec();
    payload.extend(noise(3000));
    let floats: Vec<u8> = payload.chunks_exact(3).flat_map(|c| [c[0], c[1], c[2], 0x3c]).collect();
    assert!(hidden(&floats, false).unwrap().contains("ELF"));
}

#[test]
fn noise_zeros_and_round_numbers_hide_nothing() {
    assert_eq!(hidden(&noise(65_536), false), None);
    assert_eq!(hidden(&[0; 65_536], false), None);
    for value in [1.0f32, 0.1, 0.3, -7.25, 0.333_333_34] {
        let floats: Vec<u8> = (0..16_384u16).flat_map(|n| (value + f32::from(n % 7)).to_le_bytes()).collect();
        assert_eq!(hidden(&floats, false), None, "{value}");
        let floats: Vec<u8> = (0..16_384u16).flat_map(|n| (value * f32::from(n)).to_le_bytes()).collect();
        assert_eq!(hidden(&floats, false), None, "{value}");
        let floats: Vec<u8> = (0..16_384u16).flat_map(|n| f32::from(n).sin().to_le_bytes()).collect();
        assert_eq!(hidden(&floats, false), None, "{value}");
    }
}

#[test]
fn only_complete_signatures_count() {
    let input = |bytes: &[u8]| Input::bytes(bytes.to_vec());
    assert!(program(b"\x7fELF\x02\x01\x01\0", &input(b"")).is_some());
    assert!(program(b"\x7fELF\x09\x01\x01\0", &input(b"")).is_none());
    let mut pe = vec![0; 128];
    pe[..2].copy_from_slice(b"MZ");
    assert!(program(&pe, &input(&pe)).is_none());
    pe[60] = 64;
    pe[64..68].copy_from_slice(b"PE\0\0");
    assert!(program(&pe, &input(&pe)).is_some());
    assert!(archive(b"\x80\x04\x95\x10\0\0\0\0\0\0\0\x8c", 100).is_some());
    assert!(archive(b"\x80\x04\x95\x10\0\0\0\0\0\0\x70\x8c", 100).is_none());
    assert!(archive(b"\x80\x02cos\nsystem\n", 100).is_some());
}

#[test]
fn only_floods_of_nan_are_reported_and_infinities_are_not() {
    let nan: Vec<u8> = (0..1000).flat_map(|_| f32::NAN.to_le_bytes()).collect();
    let infinite: Vec<u8> = (0..1000).flat_map(|_| f32::NEG_INFINITY.to_le_bytes()).collect();
    assert!(not_numbers(&nan, Element::F32, false));
    assert!(!not_numbers(&infinite, Element::F32, false));
    let nan: Vec<u8> = (0..1000).flat_map(|_| f64::NAN.to_be_bytes()).collect();
    assert!(not_numbers(&nan, Element::F64, true));
    assert!(!not_numbers(&noise(8000), Element::F16, false));
}
