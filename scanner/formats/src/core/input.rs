use std::fmt;
use std::io;
use std::rc::Rc;

/// Bytes that can be read at any offset: a file, memory, a decompressed
/// stream.
pub trait ReadAt {
    /// Reads into `buf` from `offset`; fewer bytes than asked only at the end.
    ///
    /// # Errors
    /// Whatever the source reports.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize>;
}

impl ReadAt for Vec<u8> {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|o| self.get(o..)).unwrap_or_default();
        let n = rest.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..n), rest.get(..n)) {
            to.copy_from_slice(from);
        }
        Ok(n)
    }
}

/// A window onto bytes: the whole file, a stored member in it, or content
/// unpacked from it. Cloning is cheap.
#[derive(Clone)]
pub struct Input {
    source: Rc<dyn ReadAt>,
    start: u64,
    len: u64,
    in_file: bool,
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Input[{}..+{}{}]", self.start, self.len, if self.in_file { " of the file" } else { "" })
    }
}

impl Input {
    /// The file under inspection itself.
    pub fn file(source: impl ReadAt + 'static, len: u64) -> Self {
        Self { source: Rc::new(source), start: 0, len, in_file: true }
    }

    /// Content derived from the file: unpacked, decoded. `len` is its length.
    pub fn derived(source: impl ReadAt + 'static, len: u64) -> Self {
        Self { source: Rc::new(source), start: 0, len, in_file: false }
    }

    /// Derived content held in memory.
    #[must_use]
    pub fn bytes(content: Vec<u8>) -> Self {
        let len = content.len() as u64;
        Self::derived(content, len)
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The part `[offset, offset + len)`, or `None` if it does not lie inside.
    #[must_use]
    pub fn slice(&self, offset: u64, len: u64) -> Option<Self> {
        let end = offset.checked_add(len)?;
        (end <= self.len).then(|| Self {
            source: Rc::clone(&self.source),
            start: self.start + offset,
            len,
            in_file: self.in_file,
        })
    }

    /// Everything from `offset` on (nothing, if that is beyond the end).
    #[must_use]
    pub fn tail_from(&self, offset: u64) -> Self {
        let offset = offset.min(self.len);
        Self {
            source: Rc::clone(&self.source),
            start: self.start + offset,
            len: self.len - offset,
            in_file: self.in_file,
        }
    }

    /// Where byte `offset` lies in the file under inspection; `None` for
    /// derived content.
    #[must_use]
    pub fn file_offset(&self, offset: u64) -> Option<u64> {
        if self.in_file { self.start.checked_add(offset) } else { None }
    }

    /// Reads into `buf` from `offset`, fewer bytes only at the end.
    ///
    /// # Errors
    /// Whatever the source reports.
    pub fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let want = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX).min(buf.len());
        let Some(buf) = buf.get_mut(..want) else { return Ok(0) };
        let mut done = 0;
        while let Some(rest) = buf.get_mut(done..).filter(|r| !r.is_empty()) {
            match self.source.read_at(self.start + offset + done as u64, rest) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }

    /// The first `max` bytes, or all there are.
    ///
    /// # Errors
    /// Whatever the source reports.
    pub fn head(&self, max: usize) -> io::Result<Vec<u8>> {
        self.read_vec(0, max)
    }

    /// The last `max` bytes, or all there are.
    ///
    /// # Errors
    /// Whatever the source reports.
    pub fn tail(&self, max: usize) -> io::Result<Vec<u8>> {
        self.read_vec(self.len.saturating_sub(max as u64), max)
    }

    /// Up to `max` bytes from `offset`. Memory is bounded by what is there.
    ///
    /// # Errors
    /// Whatever the source reports.
    pub fn read_vec(&self, offset: u64, max: usize) -> io::Result<Vec<u8>> {
        let there = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut buf = vec![0; there.min(max)];
        let n = self.read_at(offset, &mut buf)?;
        buf.truncate(n);
        Ok(buf)
    }
}
