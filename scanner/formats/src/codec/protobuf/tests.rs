use super::testing::{bytes, int, varint};
use super::text::{Event, Events};
use super::*;
use crate::core::{FormatError, Input, Reader, testing::with_inspection};

fn walk(content: &[u8]) -> Result<Vec<(u32, Value)>, FormatError> {
    let input = Input::bytes(content.to_vec());
    let mut r = Reader::new(&input);
    with_inspection(|ctx| {
        let mut fields = Message::whole(&input).fields();
        let mut out = Vec::new();
        while let Some(field) = fields.next(ctx, &mut r)? {
            out.push((field.number, field.value));
        }
        Ok(out)
    })
}

fn events(text: &str) -> Result<Vec<Event>, FormatError> {
    let input = Input::bytes(text.into());
    let mut r = Reader::new(&input);
    with_inspection(|ctx| {
        let mut events = Events::new(&mut r);
        let mut out = Vec::new();
        while let Some(event) = events.next(ctx)? {
            out.push(event);
        }
        Ok(out)
    })
}

#[test]
fn reads_every_wire_type() {
    let mut content = int(1, -1);
    content.extend([0x11, 1, 0, 0, 0, 0, 0, 0, 0]);
    content.extend(bytes(3, "abc"));
    content.extend([0x23, 0x08, 0x01, 0x2b, 0x2c, 0x24]);
    content.extend([0x2d, 2, 0, 0, 0]);
    assert_eq!(
        walk(&content).unwrap(),
        [
            (1, Value::Varint(u64::MAX)),
            (2, Value::Fixed64(1)),
            (3, Value::Bytes(Message { start: 22, end: 25 })),
            (4, Value::Group(Message { start: 26, end: 30 })),
            (5, Value::Fixed32(2)),
        ]
    );
}

#[test]
fn rejects_field_zero_unknown_wire_types_and_long_varints() {
    let eleven = [&[0x08][..], &[0xff; 10], &[1]].concat();
    for bad in [&[0x00, 1][..], &[0x0e], &[0x0f], &[0x0c], &eleven, &[0x0b], &[0x0b, 0x14]] {
        assert!(matches!(walk(bad), Err(FormatError::Malformed { .. })), "{bad:x?}");
    }
}

#[test]
fn rejects_bodies_beyond_the_end() {
    for bad in [
        &[0x0a, 2, 0][..],
        &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
        &[0x09, 0],
        &[0x0d],
        &[0x08],
    ] {
        assert!(matches!(walk(bad), Err(FormatError::Truncated { .. })), "{bad:x?}");
    }
}

#[test]
fn nested_groups_stop_at_the_depth_limit() {
    assert!(matches!(walk(&[0x0b; 5000]), Err(FormatError::Limit { .. })));
}

#[test]
fn large_bodies_are_stepped_over_unread() {
    struct Nothing;
    impl crate::ReadAt for Nothing {
        fn read_at(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<usize> {
            let head = [vec![0x0a], varint(1 << 40)].concat();
            assert!(offset == 0 || offset > 1 << 40, "read inside the body");
            buf.fill(0);
            if offset == 0 {
                buf[..head.len()].copy_from_slice(&head);
            } else {
                buf[0] = 0x10;
            }
            Ok(buf.len())
        }
    }
    let len = 1 + 6 + (1 << 40) + 2;
    let input = Input::file(Nothing, len);
    let mut r = Reader::new(&input);
    with_inspection(|ctx| {
        let mut fields = Message::whole(&input).fields();
        assert!(matches!(fields.next(ctx, &mut r).unwrap().unwrap().value, Value::Bytes(m) if m.len() == 1 << 40));
        assert_eq!(fields.next(ctx, &mut r).unwrap().unwrap().value, Value::Varint(0));
        assert!(fields.next(ctx, &mut r).unwrap().is_none());
    });
}

#[test]
fn packed_and_unpacked_numbers_read_alike() {
    let content = [int(1, 7), bytes(1, [8, 0xac, 2])].concat();
    let input = Input::bytes(content);
    let mut r = Reader::new(&input);
    let mut seen = Vec::new();
    with_inspection(|ctx| {
        let mut fields = Message::whole(&input).fields();
        while let Some(field) = fields.next(ctx, &mut r).unwrap() {
            field.value.varints(ctx, &mut r, |n| seen.push(n)).unwrap();
        }
    });
    assert_eq!(seen, [7, 8, 300]);
}

#[test]
fn peeking_ends_where_the_head_ends() {
    let content = [int(1, 8), bytes(2, "pytorch"), bytes(7, [0; 100])].concat();
    let seen: Vec<_> = Peek::new(&content[..20]).collect();
    assert_eq!(seen.len(), 3);
    assert_eq!(seen[1].whole(2), Some(&b"pytorch"[..]));
    assert!(seen[2].whole(7).is_none() && seen[2].body(7).is_some());
}

#[test]
fn text_messages_read_as_events() {
    let text = "# c\nnode { name: \"a\" 'b\\n\\x41\\101' op: Add } list: [1, 2] empty: [] m < k: -1 >;";
    let scalar = |n: &str, v: &str| Event::Scalar(n.into(), v.into());
    assert_eq!(
        events(text).unwrap(),
        [
            Event::Open("node".into()),
            scalar("name", "ab\nAA"),
            scalar("op", "Add"),
            Event::Close,
            scalar("list", "1"),
            scalar("list", "2"),
            scalar("empty", ""),
            Event::Open("m".into()),
            scalar("k", "-1"),
            Event::Close,
        ]
    );
    assert_eq!(events("n: [{a: 1}, {}]").unwrap().len(), 5);
}

#[test]
fn text_that_is_not_a_message_is_refused() {
    for bad in ["a {", "}", "a: ", "a: \"x", "\u{1}", "a: [1"] {
        assert!(events(bad).is_err(), "{bad}");
    }
    assert!(matches!(events(&"a{".repeat(5000)), Err(FormatError::Limit { .. })));
}
