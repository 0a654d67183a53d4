use std::cell::{Cell, RefCell};
use std::io::{self, Read};
use std::rc::Rc;

use crate::codec::stream::window::Window;
use crate::codec::stream::{CHUNK_BYTES, Open, REWINDS_MAX};
use crate::core::{Input, ReadAt};

/// A compressed stream walked once from front to back, as tar archives are,
/// whose parts can be inspected on the way.
///
/// A part is read from the walk's own reader as long as its reader goes
/// forward; going back unpacks the stream again from its start. All bytes
/// that come out count, and the count has a limit.
pub struct Forward(Rc<Shared>);

struct Shared {
    open: Open,
    live: RefCell<Box<dyn Read>>,
    /// Offset of the next byte of `live`.
    at: Cell<u64>,
    produced: Cell<u64>,
    produced_max: u64,
}

impl Shared {
    fn read(&self, reader: &mut dyn Read, buf: &mut [u8]) -> io::Result<usize> {
        if self.produced.get() > self.produced_max {
            return Err(io::Error::other("the expansion budget is spent"));
        }
        let n = reader.read(buf)?;
        self.produced.set(self.produced.get() + n as u64);
        Ok(n)
    }

    fn read_live(&self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.read(&mut **self.live.borrow_mut(), buf)?;
        self.at.set(self.at.get() + n as u64);
        Ok(n)
    }
}

impl Forward {
    /// A walk over what `open` yields, which puts out at most `produced_max`
    /// bytes over all its readers.
    #[must_use]
    pub fn new(open: Open, produced_max: u64) -> Self {
        let live = RefCell::new(open());
        Self(Rc::new(Shared { open, live, at: Cell::new(0), produced: Cell::new(0), produced_max }))
    }

    /// Offset of the next byte.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.0.at.get()
    }

    /// Bytes put out so far by all readers, to charge the expansion budget.
    #[must_use]
    pub fn produced(&self) -> u64 {
        self.0.produced.get()
    }

    /// Fills `buf`, or as much of it as there is.
    ///
    /// # Errors
    /// Whatever the decompressor reports.
    pub fn read_full(&self, buf: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = buf.get_mut(done..).filter(|r| !r.is_empty()) {
            match self.0.read_live(rest) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }

    /// Goes on at `offset`, which must not lie behind; the end, if it comes
    /// first.
    ///
    /// # Errors
    /// Whatever the decompressor reports.
    pub fn skip_to(&self, offset: u64) -> io::Result<()> {
        let mut chunk = vec![0; CHUNK_BYTES];
        while self.position() < offset {
            let want = usize::try_from(offset - self.position()).unwrap_or(usize::MAX).min(CHUNK_BYTES);
            if self.read_full(chunk.get_mut(..want).unwrap_or_default())? == 0 {
                break;
            }
        }
        Ok(())
    }

    /// The part of `len` bytes whose first bytes, `head`, were read just now.
    #[must_use]
    pub fn part(&self, head: Vec<u8>, len: u64) -> Input {
        let start = self.position() - head.len() as u64;
        let state = PartState { own: None, rewinds: 0, window: Window::holding(head) };
        Input::derived(Part { shared: Rc::clone(&self.0), start, len, state: RefCell::new(state) }, len)
    }
}

/// A part of the stream.
struct Part {
    shared: Rc<Shared>,
    start: u64,
    len: u64,
    state: RefCell<PartState>,
}

struct PartState {
    /// A reader of its own, once the shared one has gone on.
    own: Option<Box<dyn Read>>,
    rewinds: u32,
    window: Window,
}

impl Part {
    /// Reads one chunk after the window; 0 at the end.
    fn advance(&self, state: &mut PartState, needed: u64) -> io::Result<usize> {
        let next = self.start + state.window.end();
        if state.own.is_none() && self.shared.at.get() != next {
            self.restart(state)?;
        }
        let PartState { own, window, .. } = state;
        match own {
            Some(reader) => window.advance(&mut Metered { shared: &self.shared, reader: &mut **reader }, needed),
            // Not a byte further: the walk itself has to go on from there.
            None => {
                let left = self.len.saturating_sub(window.end());
                window.advance(&mut Live(&self.shared).take(left), needed)
            }
        }
    }

    /// Starts over at the part's first byte with a reader of its own.
    fn restart(&self, state: &mut PartState) -> io::Result<()> {
        if state.rewinds >= REWINDS_MAX {
            return Err(io::Error::other("compressed content was read backwards too often"));
        }
        let mut reader = (self.shared.open)();
        let mut skip = Read::take(Metered { shared: &self.shared, reader: &mut *reader }, self.start);
        io::copy(&mut skip, &mut io::sink())?;
        *state = PartState { own: Some(reader), rewinds: state.rewinds + 1, window: Window::default() };
        Ok(())
    }
}

impl ReadAt for Part {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let end = offset.saturating_add(buf.len() as u64);
        let mut state = self.state.borrow_mut();
        if state.window.is_behind(offset) {
            self.restart(&mut state)?;
        }
        while state.window.end() < end && self.advance(&mut state, offset)? > 0 {}
        Ok(state.window.copy(offset, buf))
    }
}

struct Live<'a>(&'a Shared);

impl Read for Live<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read_live(buf)
    }
}

struct Metered<'a> {
    shared: &'a Shared,
    reader: &'a mut dyn Read,
}

impl Read for Metered<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.shared.read(self.reader, buf)
    }
}
