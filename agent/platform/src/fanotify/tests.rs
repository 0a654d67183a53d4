use super::parse::{Event, Object, ParseError, Range, parse};

fn metadata(length: u32, mask: u64, fd: i32, pid: i32) -> Vec<u8> {
    let mut out = length.to_ne_bytes().to_vec();
    out.extend([3, 0]);
    out.extend(24_u16.to_ne_bytes());
    out.extend(mask.to_ne_bytes());
    out.extend(fd.to_ne_bytes());
    out.extend(pid.to_ne_bytes());
    out
}

fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![kind, 0];
    out.extend(u16::try_from(body.len() + 4).unwrap().to_ne_bytes());
    out.extend(body);
    out
}

fn event(mask: u64, fd: i32, pid: i32, records: &[Vec<u8>]) -> Vec<u8> {
    let tail = records.concat();
    let mut out = metadata(u32::try_from(24 + tail.len()).unwrap(), mask, fd, pid);
    out.extend(tail);
    out
}

fn named(handle: &[u8], name: &[u8]) -> Vec<u8> {
    let mut body = 7_u64.to_ne_bytes().to_vec();
    body.extend(u32::try_from(handle.len()).unwrap().to_ne_bytes());
    body.extend(1_i32.to_ne_bytes());
    body.extend(handle);
    body.extend(name);
    body.extend([0; 3]);
    record(2, &body)
}

/// Three events as the kernel lays them out: a question, a name, a range.
fn sample() -> Vec<u8> {
    let mut range = vec![0; 4];
    range.extend(4096_u64.to_ne_bytes());
    range.extend(100_u64.to_ne_bytes());
    [
        event(libc::FAN_OPEN_PERM, 9, 100, &[record(4, &10_i32.to_ne_bytes())]),
        event(libc::FAN_CLOSE_WRITE, -1, 101, &[named(&[1, 2, 3, 4, 5, 6, 7, 8], b"a\nb\xff.gguf")]),
        event(0x0010_0000, 11, 102, &[record(6, &range), record(200, &[1, 2, 3])]),
    ]
    .concat()
}

#[test]
fn reads_what_the_kernel_writes() {
    let bytes = sample();
    let events: Vec<Event<'_>> = parse(&bytes).map(Result::unwrap).collect();
    let [open, written, access] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((open.object, open.pid, open.pidfd), (Object::Descriptor(9), 100, Some(10)));
    let dir = written.dir.unwrap();
    assert_eq!((dir.handle, dir.kind, dir.name), (&[1, 2, 3, 4, 5, 6, 7, 8][..], 1, &b"a\nb\xff.gguf"[..]));
    assert_eq!(written.object, Object::None);
    assert_eq!(access.range, Some(Range { offset: 4096, count: 100 }));
}

#[test]
fn tells_a_failed_descriptor_from_none() {
    let bytes = event(libc::FAN_OPEN_PERM, -libc::EMFILE, 1, &[record(4, &(-libc::ESRCH).to_ne_bytes())]);
    let event = parse(&bytes).next().unwrap().unwrap();
    assert_eq!((event.object, event.pidfd), (Object::Failed(libc::EMFILE), None));
    let bytes = metadata(24, libc::FAN_Q_OVERFLOW, -1, 0);
    assert_eq!(parse(&bytes).next().unwrap().unwrap().object, Object::None);
    let bytes = metadata(24, libc::FAN_OPEN_PERM, i32::MIN, 0);
    assert_eq!(parse(&bytes).next().unwrap().unwrap().object, Object::Failed(i32::MAX));
}

#[test]
fn every_cut_yields_whole_events_then_one_error() {
    let bytes = sample();
    let whole: Vec<_> = parse(&bytes).collect();
    for cut in 0..bytes.len() {
        let events: Vec<_> = parse(&bytes[..cut]).collect();
        let good = events.iter().take_while(|e| e.is_ok()).count();
        assert_eq!(events[..good], whole[..good], "cut at {cut}");
        assert!(events.len() <= good + 1, "cut at {cut}");
        let ends_between = matches!(cut, 0 | 32) || cut == 32 + whole_length(&bytes, 32);
        assert_eq!(events.len() == good, ends_between, "cut at {cut}");
    }
}

fn whole_length(bytes: &[u8], at: usize) -> usize {
    usize::try_from(u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap())).unwrap()
}

#[test]
fn every_damaged_byte_is_survived_and_ends() {
    let bytes = sample();
    for at in 0..bytes.len() {
        for value in [0, 1, 3, 4, 23, 24, 0x7f, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] = value;
            assert!(parse(&damaged).count() <= bytes.len() / 24 + 1);
        }
    }
    // Noise from a small generator, so that a failure repeats.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..20_000 {
        let mut damaged = bytes.clone();
        for _ in 0..4 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let at = usize::try_from(state >> 8).unwrap() % damaged.len();
            damaged[at] = state.to_le_bytes()[0];
        }
        assert!(parse(&damaged).count() <= bytes.len() / 24 + 1);
    }
}

#[test]
fn rejects_lengths_below_their_header_and_past_the_end() {
    let truncated = |bytes: &[u8], field| assert_eq!(parse(bytes).next(), Some(Err(ParseError::Truncated { field })));
    truncated(&metadata(0, 0, 0, 0), "metadata_len");
    truncated(&metadata(23, 0, 0, 0), "metadata_len");
    truncated(&metadata(25, 0, 0, 0), "event_len");
    truncated(&metadata(u32::MAX, 0, 0, 0), "event_len");
    truncated(&event(0, 1, 1, &[vec![4, 0, 0, 0]]), "info_len");
    truncated(&event(0, 1, 1, &[record(4, &[1])]), "pidfd");
    let mut past = named(&[1; 8], b"x");
    past[12..16].copy_from_slice(&u32::MAX.to_ne_bytes());
    truncated(&event(0, 1, 1, &[past]), "file_handle");
    truncated(&event(0, 1, 1, &[named(&[1; 8], b"../../etc/shadow")]), "name");
    truncated(&event(0, 1, 1, &[named(&[1; 8], &[b'x'; 300])]), "name");
    let mut other = metadata(24, 0, 0, 0);
    other[4] = 4;
    assert_eq!(parse(&other).next(), Some(Err(ParseError::Version(4))));
}
