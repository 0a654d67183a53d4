use super::FlatBuffer;
use super::testing::{Field, buffer};
use crate::core::{FormatError, Input};

fn sample() -> Vec<u8> {
    buffer(
        b"TEST",
        &[Field::U32(7), Field::Text("name"), Field::I32s(vec![1, -2]), Field::Tables(vec![vec![Field::U8(5)]])],
    )
}

#[test]
fn fields_vectors_and_tables_are_read() {
    let content = sample();
    let buffer = FlatBuffer::new(&Input::bytes(content.clone()));
    let root = buffer.root().unwrap();
    assert_eq!(root.u32(0, 0, "f").unwrap(), 7);
    assert_eq!(root.string(1, 99, "f").unwrap().as_deref(), Some("name"));
    let numbers: Vec<_> = root.vector(2, 4, "f").unwrap().unwrap().i32s("f").map(Result::unwrap).collect();
    assert_eq!(numbers, [1, -2]);
    let inner = root.vector(3, 4, "f").unwrap().unwrap().tables("f").next().unwrap().unwrap();
    assert_eq!(inner.u8(0, 0, "f").unwrap(), 5);
    assert_eq!(root.u32(9, 42, "f").unwrap(), 42);
    assert_eq!(buffer.end(), content.len() as u64);
}

#[test]
fn rejects_offsets_beyond_the_end() {
    for (at, value) in [(0, 0x7fff_ffffu32), (0, 9999)] {
        let mut content = sample();
        content[at..at + 4].copy_from_slice(&value.to_le_bytes());
        let buffer = FlatBuffer::new(&Input::bytes(content));
        assert!(matches!(buffer.root(), Err(FormatError::Truncated { .. })));
    }
}

#[test]
fn rejects_a_vector_longer_than_the_content() {
    let mut content = sample();
    let at = content.windows(8).position(|w| w == [2, 0, 0, 0, 1, 0, 0, 0]).unwrap();
    content[at..at + 4].copy_from_slice(&0x7fff_ffffu32.to_le_bytes());
    let buffer = FlatBuffer::new(&Input::bytes(content));
    assert!(matches!(buffer.root().unwrap().vector(2, 4, "f"), Err(FormatError::Truncated { .. })));
}

#[test]
fn rejects_an_offset_that_refers_to_itself() {
    let content = buffer(b"TEST", &[Field::U32(0)]);
    let buffer = FlatBuffer::new(&Input::bytes(content));
    assert!(buffer.root().unwrap().table(0, "f").is_err());
}
