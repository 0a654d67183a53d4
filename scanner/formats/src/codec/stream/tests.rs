use super::*;

fn content() -> Vec<u8> {
    (0..12_000_000u32).map(|i| (i % 251) as u8).collect()
}

fn streamed() -> Input {
    let open = || -> Box<dyn Read> { Box::new(InputReader::new(Input::bytes(content()))) };
    let state = State { reader: open(), rewinds: 0, window: Window::default() };
    Input::derived(Streamed { open: Box::new(open), head: Vec::new(), state: RefCell::new(state) }, 12_000_000)
}

#[test]
fn a_stream_reads_like_its_content_forwards_and_backwards() {
    let input = streamed();
    let content = content();
    for at in [0usize, 5_000_000, 11_999_990, 4_000_000, 3_999_000, 100] {
        let end = (at + 1000).min(content.len());
        assert_eq!(input.read_vec(at as u64, 1000).unwrap(), content[at..end], "at {at}");
    }
}

#[test]
fn going_back_too_often_is_refused() {
    let input = streamed();
    let back_and_forth = |i: u64| input.read_vec(if i.is_multiple_of(2) { 8_000_000 } else { 0 }, 10);
    assert!((0..20).all(|i| back_and_forth(i).is_ok()));
    assert!((0..200).any(|i| back_and_forth(i).is_err()));
}

#[test]
fn parts_of_a_walk_read_like_slices_even_after_it_went_on() {
    let open = || -> Box<dyn Read> { Box::new(InputReader::new(Input::bytes(content()))) };
    let walk = Forward::new(Box::new(open), 1 << 30);
    let content = content();
    walk.skip_to(1_000_000).unwrap();
    let mut head = vec![0; 100];
    walk.read_full(&mut head).unwrap();
    let part = walk.part(head, 5_000_000);
    let slice = |at: usize| content[1_000_000 + at..1_000_000 + at + 10].to_vec();
    for at in [0usize, 50, 4_000_000, 4_000_100] {
        assert_eq!(part.read_vec(at as u64, 10).unwrap(), slice(at), "at {at}");
    }
    walk.skip_to(7_000_000).unwrap();
    assert_eq!(walk.position(), 7_000_000);
    for at in [4_500_000usize, 7] {
        assert_eq!(part.read_vec(at as u64, 10).unwrap(), slice(at), "at {at}");
    }
    assert!(walk.produced() >= 7_000_000);
}

#[test]
fn a_walk_puts_out_no_more_than_it_may() {
    let open = || -> Box<dyn Read> { Box::new(io::repeat(0)) };
    assert!(Forward::new(Box::new(open), 1 << 20).skip_to(1 << 40).is_err());
}
