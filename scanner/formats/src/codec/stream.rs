//! Decompression under the expansion budget, in bounded memory: small content
//! is kept whole, larger content is streamed and unpacked again when a parser
//! goes back.

use std::cell::RefCell;
use std::io::{self, Read};

use crate::core::{FormatError, Input, Inspection, ReadAt};

/// Bytes asked from a decompressor at a time.
const CHUNK_BYTES: usize = 64 * 1024;
/// Most times a stream is started over to go back in it.
const REWINDS_MAX: u32 = 64;

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
                    stopped = Some(limit);
                    break;
                }
                len += n as u64;
                if kept.len() <= memory_max {
                    kept.extend_from_slice(chunk.get(..n).unwrap_or_default());
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
    let state = State { reader: open(), at: 0, rewinds: 0, window: Vec::new(), window_start: 0 };
    kept.truncate(CHUNK_BYTES);
    Ok((Input::derived(Streamed { open: Box::new(open), head: kept, state: RefCell::new(state) }, len), stopped))
}

/// Content too large for memory: read forward, restarted to go back.
struct Streamed {
    open: Box<dyn Fn() -> Box<dyn Read>>,
    head: Vec<u8>,
    state: RefCell<State>,
}

struct State {
    reader: Box<dyn Read>,
    at: u64,
    rewinds: u32,
    window: Vec<u8>,
    window_start: u64,
}

/// Bytes behind the reader that can be read again without a restart.
const BEHIND_BYTES: usize = 1 << 20;

impl ReadAt for Streamed {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let end = offset.saturating_add(buf.len() as u64);
        if end <= self.head.len() as u64 {
            return self.head.read_at(offset, buf);
        }
        let mut state = self.state.borrow_mut();
        if offset < state.window_start {
            if state.rewinds >= REWINDS_MAX {
                return Err(io::Error::other("compressed content was read backwards too often"));
            }
            let rewinds = state.rewinds + 1;
            *state = State { reader: (self.open)(), at: 0, rewinds, window: Vec::new(), window_start: 0 };
        }
        while state.at < end {
            if !state.advance()? {
                break;
            }
            state.forget_before(offset);
        }
        let from = usize::try_from(offset.saturating_sub(state.window_start)).unwrap_or(usize::MAX);
        state.window.read_at(from as u64, buf)
    }
}

impl State {
    /// Reads one chunk; false at the end.
    fn advance(&mut self) -> io::Result<bool> {
        let old = self.window.len();
        self.window.resize(old + CHUNK_BYTES, 0);
        let n = loop {
            match self.reader.read(self.window.get_mut(old..).unwrap_or_default()) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        // A broken stream ends where it breaks, as `unpack` measured it.
        let n = n.unwrap_or(0);
        self.window.truncate(old + n);
        self.at += n as u64;
        Ok(n > 0)
    }

    /// Drops what lies more than [`BEHIND_BYTES`] before `needed`.
    fn forget_before(&mut self, needed: u64) {
        let keep_from = needed.saturating_sub(BEHIND_BYTES as u64).max(self.window_start);
        let drop = usize::try_from(keep_from - self.window_start).unwrap_or(0);
        if drop >= BEHIND_BYTES {
            self.window.drain(..drop.min(self.window.len()));
            self.window_start += drop as u64;
        }
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
}

impl Read for InputReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.input.read_at(self.at, buf)?;
        self.at += n as u64;
        Ok(n)
    }
}
