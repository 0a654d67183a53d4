use std::io::Write;

use super::*;

fn unpacked(codec: Codec, packed: &[u8]) -> (Vec<u8>, bool, Option<u64>) {
    let trailing = Trailing::default();
    let mut out = Vec::new();
    let ok = codec.open_noting(Input::bytes(packed.to_vec()), Rc::clone(&trailing)).read_to_end(&mut out).is_ok();
    (out, ok, trailing.get())
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut w = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    w.write_all(content).unwrap();
    w.finish().unwrap()
}

fn bzip2(content: &[u8]) -> Vec<u8> {
    let mut w = ::bzip2::write::BzEncoder::new(Vec::new(), ::bzip2::Compression::default());
    w.write_all(content).unwrap();
    w.finish().unwrap()
}

fn lz4(content: &[u8]) -> Vec<u8> {
    let mut w = lz4_flex::frame::FrameEncoder::new(Vec::new());
    w.write_all(content).unwrap();
    w.finish().unwrap()
}

/// A Zstandard frame of one raw block.
fn zstd(content: &[u8]) -> Vec<u8> {
    let mut out = vec![0x28, 0xb5, 0x2f, 0xfd, 0x20, u8::try_from(content.len()).unwrap()];
    let header = (u32::try_from(content.len()).unwrap() << 3) | 1;
    out.extend_from_slice(&header.to_le_bytes()[..3]);
    out.extend_from_slice(content);
    out
}

#[test]
fn frames_in_a_row_are_one_content() {
    for (codec, pack) in
        [(Codec::Gzip, gzip as fn(&[u8]) -> Vec<u8>), (Codec::Bzip2, bzip2), (Codec::Lz4, lz4), (Codec::Zstd, zstd)]
    {
        let packed = [pack(b"one "), pack(b"two")].concat();
        assert_eq!(unpacked(codec, &packed), (b"one two".to_vec(), true, None), "{codec:?}");
    }
}

#[test]
fn data_after_the_last_frame_is_noted_and_padding_is_not() {
    for (codec, pack) in [(Codec::Gzip, gzip as fn(&[u8]) -> Vec<u8>), (Codec::Bzip2, bzip2), (Codec::Zstd, zstd)] {
        let mut packed = pack(b"content");
        let end = packed.len() as u64;
        packed.extend_from_slice(&[0; 20]);
        assert_eq!(unpacked(codec, &packed), (b"content".to_vec(), true, None), "{codec:?}");
        packed.truncate(packed.len() - 20);
        packed.extend_from_slice(b"trailing");
        assert_eq!(unpacked(codec, &packed), (b"content".to_vec(), true, Some(end)), "{codec:?}");
    }
}

#[test]
fn skippable_frames_are_stepped_over() {
    let skip = [&[0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"xyz"].concat();
    assert_eq!(unpacked(Codec::Zstd, &[skip.clone(), zstd(b"in")].concat()).0, b"in");
    assert_eq!(unpacked(Codec::Lz4, &[skip, lz4(b"in")].concat()).0, b"in");
    let beyond = [0x50, 0x2a, 0x4d, 0x18, 0xff, 0xff, 0xff, 0xff];
    assert_eq!(unpacked(Codec::Zstd, &beyond).0, b"");
}

#[test]
fn a_broken_stream_gives_what_came_before() {
    let mut packed = gzip(&[7; 1000]);
    let last = packed.len() - 5;
    packed[last] ^= 1;
    let (out, ok, _) = unpacked(Codec::Gzip, &packed);
    assert!(out == [7; 1000] && !ok);
}

#[test]
fn any_bytes_are_refused_without_a_panic() {
    for codec in [
        Codec::Deflate,
        Codec::Zlib,
        Codec::Gzip,
        Codec::Bzip2,
        Codec::Xz,
        Codec::Lzma,
        Codec::ZipLzma(100),
        Codec::Zstd,
        Codec::Lz4,
    ] {
        for byte in [0, 1, 0x5d, 0x7f, 0xff] {
            unpacked(codec, &[byte; 64]);
        }
        unpacked(codec, b"");
        unpacked(codec, b"\x5d\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0");
    }
}
