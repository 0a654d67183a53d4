use super::{Event, Scalar, Walker};
use crate::core::{FormatError, Input, Reader};

fn read(content: &[u8]) -> Result<Vec<(Event, usize, bool)>, FormatError> {
    let input = Input::bytes(content.to_vec());
    let mut walker = Walker::new(Reader::new(&input));
    let mut out = Vec::new();
    while let Some(step) = walker.step()? {
        out.push((step.event, step.depth, step.is_key));
    }
    Ok(out)
}

#[test]
fn keys_are_told_from_values() {
    let got = read(b"\x82\xa1a\x01\xa1b\x92\xff\xc0").unwrap();
    assert_eq!(got.len(), 7);
    assert_eq!(got.iter().filter(|(_, _, is_key)| *is_key).count(), 2);
    assert_eq!(got[2], (Event::Scalar(Scalar::Unsigned(1)), 1, false));
    assert_eq!(got[6].1, 2);
}

#[test]
fn every_length_is_held_against_the_content() {
    for bomb in [
        b"\xdd\xff\xff\xff\xff\x01".as_slice(),
        b"\xdf\xff\xff\xff\xffa",
        b"\xc6\xff\xff\xff\xff",
        b"\xc9\xff\xff\xff\xff\x01",
    ] {
        assert!(matches!(read(bomb), Err(FormatError::Truncated { .. })), "{bomb:x?}");
    }
}

#[test]
fn deep_nesting_is_refused() {
    assert!(matches!(read(&[0x91; 20_000]), Err(FormatError::Limit { .. })));
}

#[test]
fn the_reserved_byte_is_refused() {
    assert!(matches!(read(b"\xc1"), Err(FormatError::Malformed { .. })));
}
