//! Decompressed content under the expansion budget, in bounded memory: small
//! content is kept whole, larger content is streamed and unpacked again when a
//! parser goes back.

mod forward;
mod window;

use std::cell::RefCell;
use std::io::{self, Read};

pub use forward::Forward;

use crate::core::{FormatError, Input, Inspection, ReadAt};
use window::Window;

/// Bytes asked from a decompressor at a time.
const CHUNK_BYTES: usize = 64 * 1024;
/// Most times a stream is started over to go back in it.
const REWINDS_MAX: u32 = 64;

/// Makes a fresh reader of the same content each time.
pub type Open = Box<dyn Fn() -> Box<dyn Read>>;

/// Unpacks what `open` yields, charging the expansion budget.
///
/// `open` is called once for content up to the memory limit, again for each
/// step back in larger content. Content that breaks off or fails its check is
/// returned as far as it goes, with the error.
///
/// # Errors
/// [`FormatError::Limit`] when the budget is spent before anything came out.
pub fn unpack(
    ctx: &mut Inspection<'_>,
    open: impl Fn() -> Box<dyn Read> + 'static,
) -> Result<(Input, Option<FormatError>), FormatError> {
    unpack_observed(ctx, open, |_| {})
}

/// As [`unpack`], and shows `observe` every byte once, in order: for checksums.
///
/// # Errors
/// As [`unpack`].
pub fn unpack_observed(
    ctx: &mut Inspection<'_>,
    open: impl Fn() -> Box<dyn Read> + 'static,
    mut observe: impl FnMut(&[u8]),
) -> Result<(Input, Option<FormatError>), FormatError> {
    let memory_max = ctx.options().limits.memory_bytes_max;
    let mut reader = open();
    let mut kept = Vec::new();
    let mut len = 0u64;
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut stopped = None;
    loop {
        match reader.read(&mut chunk) {
            Ok(0) => break,
            Ok(n) => {
                if let Err(limit) = ctx.expand(n as u64) {
                    if len == 0 {
                        return Err(limit);
                    }
                    stopped = Some(limit);
                    break;
                }
                let new = chunk.get(..n).unwrap_or_default();
                observe(new);
                len += n as u64;
                if kept.len() <= memory_max {
                    kept.extend_from_slice(new);
                }
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => {
                stopped = Some(FormatError::malformed("compressed data", len, e.to_string()));
                break;
            }
        }
    }
    if kept.len() as u64 == len {
        return Ok((Input::bytes(kept), stopped));
    }
    let state = State { reader: open(), rewinds: 0, window: Window::default() };
    kept.truncate(CHUNK_BYTES);
    Ok((Input::derived(Streamed { open: Box::new(open), head: kept, state: RefCell::new(state) }, len), stopped))
}

/// The first bytes of compressed content: enough to tell what it is.
pub struct Head {
    /// Up to as many bytes as were asked for.
    pub bytes: Vec<u8>,
    /// Whether that is all there is.
    pub complete: bool,
    /// What broke the stream within these bytes.
    pub stopped: Option<FormatError>,
}

impl Head {
    /// The head as an input, of the length the content is said to have: enough
    /// to ask [`Inspection::interest`].
    #[must_use]
    pub fn as_input(&self, claimed_len: u64) -> Input {
        let here = self.bytes.len() as u64;
        let len = if self.complete { here } else { claimed_len.max(here) };
        Input::derived(self.bytes.clone(), len)
    }
}

/// Unpacks the first `max` bytes of `reader`, charging the expansion budget.
///
/// # Errors
/// [`FormatError::Limit`] when the budget is spent.
pub fn head(ctx: &mut Inspection<'_>, mut reader: impl Read, max: usize) -> Result<Head, FormatError> {
    let mut bytes = vec![0; max];
    let mut len = 0;
    let mut head = Head { bytes: Vec::new(), complete: false, stopped: None };
    while let Some(rest) = bytes.get_mut(len..).filter(|r| !r.is_empty()) {
        match reader.read(rest) {
            Ok(0) => {
                head.complete = true;
                break;
            }
            Ok(n) => len += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => {
                head.stopped = Some(FormatError::malformed("compressed data", len as u64, e.to_string()));
                break;
            }
        }
    }
    ctx.expand(len as u64)?;
    bytes.truncate(len);
    head.bytes = bytes;
    Ok(head)
}

/// Content too large for memory: read forward, restarted to go back.
struct Streamed {
    open: Open,
    head: Vec<u8>,
    state: RefCell<State>,
}

struct State {
    reader: Box<dyn Read>,
    rewinds: u32,
    window: Window,
}

impl ReadAt for Streamed {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let end = offset.saturating_add(buf.len() as u64);
        if end <= self.head.len() as u64 {
            return self.head.read_at(offset, buf);
        }
        let mut state = self.state.borrow_mut();
        let State { reader, rewinds, window } = &mut *state;
        if window.is_behind(offset) {
            if *rewinds >= REWINDS_MAX {
                return Err(io::Error::other("compressed content was read backwards too often"));
            }
            *rewinds += 1;
            *reader = (self.open)();
            *window = Window::default();
        }
        // A broken stream ends where it breaks, as `unpack` measured it.
        while window.end() < end && window.advance(reader, offset).unwrap_or(0) > 0 {}
        Ok(window.copy(offset, buf))
    }
}

/// An [`Input`] as a [`Read`], for decompressors.
pub struct InputReader {
    input: Input,
    at: u64,
}

impl InputReader {
    /// Reads `input` from its start.
    #[must_use]
    pub fn new(input: Input) -> Self {
        Self { input, at: 0 }
    }

    /// Buffered, as decompressors like it.
    #[must_use]
    pub fn buffered(input: Input) -> io::BufReader<Self> {
        io::BufReader::with_capacity(CHUNK_BYTES, Self::new(input))
    }

    /// What is read.
    #[must_use]
    pub fn input(&self) -> &Input {
        &self.input
    }

    /// Offset of the next byte.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.at
    }

    /// Goes on at `offset`; beyond the end, nothing follows.
    pub fn seek(&mut self, offset: u64) {
        self.at = offset;
    }
}

impl Read for InputReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.input.read_at(self.at, buf)?;
        self.at += n as u64;
        Ok(n)
    }
}

#[cfg(test)]
mod tests;
