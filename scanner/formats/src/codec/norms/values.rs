//! Elements as binary32, exactly.

use crate::codec::tensors::Element;

/// Bytes of one element of a type that binary32 holds exactly.
pub fn width(element: Element) -> Option<u64> {
    match element {
        Element::F32 => Some(4),
        Element::F16 | Element::Bf16 => Some(2),
        Element::F64 | Element::Other => None,
    }
}

/// The elements in `bytes`; what does not fill one is left out.
pub fn exact(bytes: &[u8], element: Element, big_endian: bool) -> Vec<f32> {
    let four = |b: [u8; 4]| if big_endian { u32::from_be_bytes(b) } else { u32::from_le_bytes(b) };
    let two = |b: [u8; 2]| if big_endian { u16::from_be_bytes(b) } else { u16::from_le_bytes(b) };
    match element {
        Element::F32 => bytes.as_chunks::<4>().0.iter().map(|b| f32::from_bits(four(*b))).collect(),
        Element::Bf16 => bytes.as_chunks::<2>().0.iter().map(|b| f32::from_bits(u32::from(two(*b)) << 16)).collect(),
        Element::F16 => bytes.as_chunks::<2>().0.iter().map(|b| half(two(*b))).collect(),
        Element::F64 | Element::Other => Vec::new(),
    }
}

/// A binary16 as binary32 (IEEE 754-2019, 3.6): every value has an exact one.
fn half(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let exponent = u32::from(bits >> 10 & 0x1f);
    let mantissa = u32::from(bits & 0x3ff);
    match exponent {
        // Subnormal: mantissa · 2^-24, exact in binary32.
        0 => {
            let magnitude = f32::from(bits & 0x3ff) * (1.0 / 16_777_216.0);
            f32::from_bits(sign | magnitude.to_bits())
        }
        0x1f => f32::from_bits(sign | 0x7f80_0000 | mantissa << 13),
        _ => f32::from_bits(sign | (exponent + 112) << 23 | mantissa << 13),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_exact() {
        for (bits, value) in
            [(0x3c00, 1.0), (0xc000, -2.0), (0x7bff, 65504.0), (0x0400, 6.103_515_6e-5), (0x0001, 5.960_464_5e-8)]
        {
            assert_eq!(half(bits), value, "{bits:04x}");
        }
        assert_eq!(half(0x8000).to_bits(), (-0.0f32).to_bits());
        assert!(half(0x7c00).is_infinite() && half(0x7e00).is_nan());
    }

    #[test]
    fn one_value_in_three_types_and_two_orders_is_one_value() {
        for (element, bytes) in
            [(Element::F32, vec![0, 0, 0xc0, 0x3f]), (Element::F16, vec![0, 0x3e]), (Element::Bf16, vec![0xc0, 0x3f])]
        {
            assert_eq!(exact(&bytes, element, false), [1.5]);
            let swapped: Vec<u8> = bytes.into_iter().rev().collect();
            assert_eq!(exact(&swapped, element, true), [1.5]);
        }
    }
}
