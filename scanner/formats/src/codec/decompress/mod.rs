//! Decompressors by name: every algorithm that archives and compressed files
//! use, as a plain [`Read`] over an [`Input`]. All are pure Rust and bounded in
//! memory by their window.

mod frames;

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

pub(crate) use frames::is_zlib_header;

use crate::codec::stream::InputReader;
use crate::core::Input;

/// Largest dictionary of xz and LZMA streams, KiB. `xz -9` needs 64 MiB; the
/// format allows 4 GiB.
const DICTIONARY_KIB_MAX: u32 = 129 << 10;

/// A compression algorithm and its framing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// Raw deflate (RFC 1951).
    Deflate,
    /// zlib stream (RFC 1950).
    Zlib,
    /// gzip file of one or more members (RFC 1952).
    Gzip,
    /// bzip2 file of one or more streams.
    Bzip2,
    /// xz file of one or more streams.
    Xz,
    /// LZMA alone: the `.lzma` file of the LZMA SDK.
    Lzma,
    /// LZMA as in ZIP method 14: version, property size, properties, stream
    /// (APPNOTE 5.8.8), for content of this many bytes.
    ZipLzma(u64),
    /// Zstandard file of one or more frames (RFC 8878), skippable ones too.
    Zstd,
    /// LZ4 file of one or more frames, legacy ones too.
    Lz4,
}

/// Where the compressed stream ended, counted from the start of the packed
/// bytes, if something follows it. Set once the stream was read to its end.
pub type Trailing = Rc<Cell<Option<u64>>>;

impl Codec {
    /// Unpacks `packed`. What is wrong with the stream comes out as an error
    /// of the reader.
    #[must_use]
    pub fn open(self, packed: Input) -> Box<dyn Read> {
        self.open_noting(packed, Trailing::default())
    }

    /// As [`Self::open`], and notes in `trailing` where other data follows.
    /// Zero bytes after a stream are padding, as they are to `gzip` and `xz`.
    #[must_use]
    pub fn open_noting(self, packed: Input, trailing: Trailing) -> Box<dyn Read> {
        let source = InputReader::buffered(packed.clone());
        let reader: Box<dyn Read> = match self {
            Self::Deflate => Box::new(flate2::bufread::DeflateDecoder::new(source)),
            Self::Zlib => Box::new(frames::Frames::new(source, frames::zlib, trailing)),
            Self::Gzip => Box::new(frames::Frames::new(source, frames::gzip, trailing)),
            Self::Bzip2 => Box::new(frames::Frames::new(source, frames::bzip2, trailing)),
            Self::Zstd => Box::new(frames::Frames::new(source, frames::zstd, trailing)),
            Self::Lz4 => Box::new(frames::Frames::new(source, frames::lz4, trailing)),
            Self::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(source, true, DICTIONARY_KIB_MAX)),
            Self::Lzma => lazy(move || {
                let reader = lzma_rust2::LzmaReader::new_mem_limit(source, DICTIONARY_KIB_MAX, None)?;
                Ok(Box::new(reader) as Box<dyn Read>)
            }),
            Self::ZipLzma(len) => lazy(move || zip_lzma(source, len)),
        };
        Box::new(Fused { inner: Some(reader) })
    }
}

/// LZMA as ZIP wraps it (APPNOTE 5.8.8.1): two version bytes, the size of the
/// properties, the properties.
fn zip_lzma(mut source: io::BufReader<InputReader>, len: u64) -> io::Result<Box<dyn Read>> {
    let mut header = [0; 9];
    source.read_exact(&mut header)?;
    let [_, _, size_low, size_high, props, d0, d1, d2, d3] = header;
    let dictionary = u32::from_le_bytes([d0, d1, d2, d3]);
    if u16::from_le_bytes([size_low, size_high]) != 5 {
        return Err(io::Error::other("LZMA properties of another size than 5"));
    }
    if lzma_rust2::lzma_get_memory_usage_by_props(dictionary, props)? > DICTIONARY_KIB_MAX {
        return Err(io::Error::other("LZMA dictionary over the limit"));
    }
    Ok(Box::new(lzma_rust2::LzmaReader::new_with_props(source, len, props, dictionary, None)?))
}

/// A reader whose construction reads the stream's header and can fail: done at
/// the first read.
fn lazy(open: impl FnOnce() -> io::Result<Box<dyn Read>> + 'static) -> Box<dyn Read> {
    struct Lazy<F> {
        open: Option<F>,
        reader: Option<Box<dyn Read>>,
    }
    impl<F: FnOnce() -> io::Result<Box<dyn Read>>> Read for Lazy<F> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            if let Some(open) = self.open.take() {
                self.reader = Some(open()?);
            }
            self.reader.as_mut().map_or(Ok(0), |r| r.read(buf))
        }
    }
    Box::new(Lazy { open: Some(open), reader: None })
}

/// Never calls a decompressor again that has failed or ended: their state
/// after an error is not something to rely on.
struct Fused {
    inner: Option<Box<dyn Read>>,
}

impl Read for Fused {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let Some(inner) = &mut self.inner else { return Ok(0) };
        let out = inner.read(buf);
        match &out {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Ok(n) if *n > 0 || buf.is_empty() => {}
            _ => self.inner = None,
        }
        out
    }
}

#[cfg(test)]
mod tests;
