use proptest::prelude::*;

use super::samples::{archive, entry, file, header, record, sealed};
use super::*;

fn entries(archive: &[u8]) -> (Vec<Entry>, bool) {
    let mut walk = Walk::new(Seekable::new(Input::bytes(archive.to_vec())));
    let mut out = Vec::new();
    loop {
        match walk.next_entry() {
            Ok(Some(entry)) => out.push(entry),
            Ok(None) => return (out, true),
            Err(_) => return (out, false),
        }
    }
}

#[test]
fn long_names_come_from_gnu_and_pax_headers() {
    let long = "d/".repeat(100) + "file";
    let gnu = entry("././@LongLink", b'L', format!("{long}\0").as_bytes(), "");
    let pax = entry("pax", b'x', record("path", &long).as_bytes(), "");
    for describing in [gnu, pax] {
        let (found, ok) = entries(&archive(&[describing, file("short", b"x"), file("next", b"")]));
        assert!(ok);
        assert_eq!(found.iter().map(|e| e.name.as_str()).collect::<Vec<_>>(), [long.as_str(), "next"]);
    }
}

#[test]
fn a_pax_size_moves_the_next_header_and_is_noted() {
    let mut second = file("hidden", b"");
    let mut blocks = entry("pax", b'x', record("size", "1024").as_bytes(), "");
    blocks.extend(header("a", b'0', 512, "", 0o644));
    blocks.extend([0; 512]);
    blocks.append(&mut second);
    blocks.extend(file("b", b""));
    let (found, _) = entries(&archive(&[blocks]));
    assert_eq!(found.iter().map(|e| e.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!((found[0].size, found[0].other_size), (1024, Some(512)));
}

#[test]
fn links_and_folders_have_no_data_whatever_their_size_says() {
    let (found, ok) = entries(&archive(&[header("l", b'2', 5000, "t", 0o777).to_vec(), file("b", b"")]));
    assert!(ok);
    assert_eq!(found.iter().map(|e| e.name.as_str()).collect::<Vec<_>>(), ["l", "b"]);
}

#[test]
fn entries_after_the_end_are_found_and_marked() {
    let (found, _) = entries(&[archive(&[file("a", b"1")]), archive(&[file("b", b"2")])].concat());
    assert_eq!(found.iter().map(|e| e.after_end).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn sizes_that_are_no_numbers_stop_the_walk() {
    for size in [*b"77777777777x", *b"-0000000001\0", [0xff; 12]] {
        let mut block = header("a", b'0', 0, "", 0o644);
        block[124..136].copy_from_slice(&size);
        assert!(!entries(&archive(&[sealed(block).to_vec()])).1);
    }
    let mut block = header("a", b'0', 0, "", 0o644);
    block[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    assert!(!entries(&archive(&[sealed(block).to_vec()])).1);
}

#[test]
fn chains_of_long_names_end() {
    let chain = vec![entry("l", b'L', b"x", ""); 1000];
    assert!(!entries(&archive(&chain)).1);
    assert!(!entries(&archive(&[header("l", b'L', 1 << 30, "", 0).to_vec()])).1);
}

#[test]
fn tar_is_told_from_other_content() {
    assert!(is_tar(&file("a", b"")));
    let mut v7 = header("a", b'0', 0, "", 0o644);
    v7[257..265].fill(0);
    assert!(is_tar(&sealed(v7)));
    assert!(!is_tar(&v7));
    assert!(!is_tar(&[0; 512]) && !is_tar(&[b'a'; 512]) && !is_tar(b"ustar"));
}

proptest! {
    #[test]
    fn any_bytes_end_the_walk(mut blocks in proptest::collection::vec(any::<u8>(), 0..4096), kinds in "[0-7LKxgS]{1,8}") {
        for (block, kind) in blocks.chunks_exact_mut(512).zip(kinds.bytes()) {
            block[156] = kind;
            let mut fixed: [u8; 512] = (&*block).try_into().unwrap();
            fixed[124..136].copy_from_slice(b"00000000100\0");
            block.copy_from_slice(&sealed(fixed));
        }
        entries(&blocks);
    }
}
