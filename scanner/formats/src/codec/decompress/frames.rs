//! Files made of several frames in a row: gzip members, bzip2 streams,
//! Zstandard and LZ4 frames. Each reader goes on with the next frame where
//! one ended, and notes what else follows.

use std::io::{self, BufRead, BufReader, Read};

use crate::codec::decompress::Trailing;
use crate::codec::stream::InputReader;

/// Most frames in one file: a terabyte of concatenated empty frames must end.
const FRAMES_MAX: u32 = 1 << 20;

pub(super) type Source = BufReader<InputReader>;

/// A decoder of one frame that gives its source back at the end.
pub(super) trait Frame: Read {
    fn finish(self: Box<Self>) -> Source;
}

/// What begins at the source's position.
pub(super) enum Next {
    Frame(Box<dyn Frame>),
    /// Something to step over, already consumed.
    Skipped(Source),
    Other(Source),
}

pub(super) struct Frames {
    source: Option<Source>,
    frame: Option<Box<dyn Frame>>,
    next: fn(Source) -> io::Result<Next>,
    trailing: Trailing,
    seen: u32,
}

impl Frames {
    pub(super) fn new(source: Source, next: fn(Source) -> io::Result<Next>, trailing: Trailing) -> Self {
        Self { source: Some(source), frame: None, next, trailing, seen: 0 }
    }

    /// Opens the next frame; false at the end.
    fn advance(&mut self) -> io::Result<bool> {
        while let Some(mut source) = self.source.take() {
            if self.seen > 0 {
                skip_zeros(&mut source)?;
            }
            if source.fill_buf()?.is_empty() {
                return Ok(false);
            }
            if self.seen >= FRAMES_MAX {
                return Err(io::Error::other("more frames than the limit"));
            }
            match (self.next)(source)? {
                Next::Frame(frame) => {
                    self.seen += 1;
                    self.frame = Some(frame);
                    return Ok(true);
                }
                Next::Skipped(source) => {
                    self.seen += 1;
                    self.source = Some(source);
                }
                Next::Other(source) if self.seen > 0 => {
                    self.trailing.set(Some(position(&source)));
                    return Ok(false);
                }
                Next::Other(_) => return Err(io::Error::other("another signature")),
            }
        }
        Ok(false)
    }
}

impl Read for Frames {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(frame) = &mut self.frame {
                let n = frame.read(buf)?;
                if n > 0 || buf.is_empty() {
                    return Ok(n);
                }
                self.source = self.frame.take().map(Frame::finish);
            }
            if !self.advance()? {
                return Ok(0);
            }
        }
    }
}

fn skip_zeros(source: &mut Source) -> io::Result<()> {
    loop {
        let buffer = source.fill_buf()?;
        let zeros = buffer.iter().take_while(|b| **b == 0).count();
        if zeros == 0 {
            return Ok(());
        }
        source.consume(zeros);
    }
}

/// The next `max` bytes, or all there are, without consuming them. The buffer
/// may hold fewer at a seam; then it is filled anew.
fn peek(source: &mut Source, max: usize) -> io::Result<Vec<u8>> {
    if source.buffer().len() < max {
        restart(source, position(source));
        source.fill_buf()?;
    }
    Ok(source.buffer().get(..max).unwrap_or(source.buffer()).to_vec())
}

/// Offset of the next byte.
fn position(source: &Source) -> u64 {
    source.get_ref().position() - source.buffer().len() as u64
}

/// Goes on at `offset` with an empty buffer.
fn restart(source: &mut Source, offset: u64) {
    let mut fresh = InputReader::buffered(source.get_ref().input().clone());
    fresh.get_mut().seek(offset);
    *source = fresh;
}

impl Frame for flate2::bufread::ZlibDecoder<Source> {
    fn finish(self: Box<Self>) -> Source {
        self.into_inner()
    }
}

/// One zlib stream; a second one in a row is not a thing.
pub(super) fn zlib(mut source: Source) -> io::Result<Next> {
    let head = peek(&mut source, 2)?;
    Ok(match *head.as_slice() {
        [cmf, flg] if is_zlib_header(cmf, flg) => Next::Frame(Box::new(flate2::bufread::ZlibDecoder::new(source))),
        _ => Next::Other(source),
    })
}

/// RFC 1950, 2.2: deflate, window up to 32 KiB, no preset dictionary, check.
pub(crate) fn is_zlib_header(cmf: u8, flg: u8) -> bool {
    cmf & 0x0f == 8 && cmf >> 4 <= 7 && flg & 0x20 == 0 && u16::from_be_bytes([cmf, flg]).is_multiple_of(31)
}

impl Frame for flate2::bufread::GzDecoder<Source> {
    fn finish(self: Box<Self>) -> Source {
        self.into_inner()
    }
}

pub(super) fn gzip(mut source: Source) -> io::Result<Next> {
    Ok(if peek(&mut source, 3)? == *b"\x1f\x8b\x08" {
        Next::Frame(Box::new(flate2::bufread::GzDecoder::new(source)))
    } else {
        Next::Other(source)
    })
}

impl Frame for bzip2::bufread::BzDecoder<Source> {
    fn finish(self: Box<Self>) -> Source {
        self.into_inner()
    }
}

pub(super) fn bzip2(mut source: Source) -> io::Result<Next> {
    Ok(if peek(&mut source, 3)? == *b"BZh" {
        Next::Frame(Box::new(bzip2::bufread::BzDecoder::new(source)))
    } else {
        Next::Other(source)
    })
}

/// Steps over a skippable frame (magic 0x184D2A50 to 0x184D2A5F, length, data),
/// which Zstandard and LZ4 share.
fn skippable(source: &mut Source, head: &[u8]) -> io::Result<bool> {
    let [0x50..=0x5f, 0x2a, 0x4d, 0x18, l0, l1, l2, l3] = *head else { return Ok(false) };
    let frame = 8 + u64::from(u32::from_le_bytes([l0, l1, l2, l3]));
    match usize::try_from(frame).ok().filter(|frame| *frame <= source.buffer().len()) {
        Some(frame) => source.consume(frame),
        None => restart(source, position(source) + frame),
    }
    Ok(true)
}

struct ZstdFrame(ruzstd::decoding::StreamingDecoder<Source, ruzstd::decoding::FrameDecoder>);

impl Read for ZstdFrame {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

impl Frame for ZstdFrame {
    fn finish(self: Box<Self>) -> Source {
        self.0.into_inner()
    }
}

pub(super) fn zstd(mut source: Source) -> io::Result<Next> {
    let head = peek(&mut source, 8)?;
    if skippable(&mut source, &head)? {
        return Ok(Next::Skipped(source));
    }
    if !head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        return Ok(Next::Other(source));
    }
    // Windows over the decoder's own limit (128 MiB) are refused before
    // memory is reserved.
    let decoder = ruzstd::decoding::StreamingDecoder::new(source).map_err(io::Error::other)?;
    Ok(Next::Frame(Box::new(ZstdFrame(decoder))))
}

impl Frame for lz4_flex::frame::FrameDecoder<Source> {
    fn finish(self: Box<Self>) -> Source {
        self.into_inner()
    }
}

pub(super) fn lz4(mut source: Source) -> io::Result<Next> {
    let head = peek(&mut source, 8)?;
    if skippable(&mut source, &head)? {
        return Ok(Next::Skipped(source));
    }
    if head.starts_with(&[0x04, 0x22, 0x4d, 0x18]) || head.starts_with(&[0x02, 0x21, 0x4c, 0x18]) {
        return Ok(Next::Frame(Box::new(lz4_flex::frame::FrameDecoder::new(source))));
    }
    Ok(Next::Other(source))
}
