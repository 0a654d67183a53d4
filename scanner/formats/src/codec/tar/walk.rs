use std::io;

use crate::codec::stream::Forward;
use crate::codec::tar::header::{BLOCK_BYTES, Header, Kind};
use crate::codec::tar::pax::Records;
use crate::core::{FormatError, Input};

/// Longest name or link target, bytes; no system unpacks longer ones.
const NAME_BYTES_MAX: u64 = 16 << 10;
/// Largest pax header, bytes.
const PAX_BYTES_MAX: u64 = 1 << 20;
/// Most headers that only describe the next entry, in a row.
const DESCRIBING_MAX: u32 = 64;
/// Zero bytes after the last entry that are looked through for more entries.
const ZERO_BYTES_MAX: u64 = 4 << 20;
/// Most blocks of one GNU sparse map.
const SPARSE_BLOCKS_MAX: u32 = 1 << 16;

/// Bytes that can be walked forward.
pub trait Source {
    /// Fills `buf`, or as much of it as there is.
    ///
    /// # Errors
    /// Whatever the source reports.
    fn read_full(&mut self, buf: &mut [u8]) -> io::Result<usize>;
    /// Goes on at `offset`, which does not lie behind.
    ///
    /// # Errors
    /// Whatever the source reports.
    fn skip_to(&mut self, offset: u64) -> io::Result<()>;
}

/// A file or another input that can be read anywhere.
pub struct Seekable {
    input: Input,
    at: u64,
}

impl Seekable {
    /// From the start of `input`.
    #[must_use]
    pub fn new(input: Input) -> Self {
        Self { input, at: 0 }
    }

    /// What is walked.
    #[must_use]
    pub fn input(&self) -> &Input {
        &self.input
    }
}

impl Source for Seekable {
    fn read_full(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.input.read_at(self.at, buf)?;
        self.at += n as u64;
        Ok(n)
    }

    fn skip_to(&mut self, offset: u64) -> io::Result<()> {
        self.at = offset;
        Ok(())
    }
}

impl Source for Forward {
    fn read_full(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        Self::read_full(self, buf)
    }

    fn skip_to(&mut self, offset: u64) -> io::Result<()> {
        Self::skip_to(self, offset)
    }
}

/// One entry, with what long-name and pax headers say of it.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Name, UTF-8 decoded lossily; not cleaned.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Permissions.
    pub mode: u32,
    /// Bytes of data in the archive.
    pub size: u64,
    /// Target of a link.
    pub link: String,
    /// Offset of the header.
    pub header: u64,
    /// Offset of the data.
    pub data: u64,
    /// Whether it lies after the blocks that mark the end, where `tar` and
    /// `tarfile` stop reading.
    pub after_end: bool,
    /// Whether the header's checksum is wrong.
    pub checksum_wrong: bool,
    /// The header's size, where a pax header gives another one: readers
    /// disagree on where the next entry starts (CVE-2025-62518).
    pub other_size: Option<u64>,
}

/// Goes through an archive entry by entry.
pub struct Walk<S> {
    source: S,
    next_header: u64,
    entries: u64,
    zero_bytes: u64,
    global: Records,
}

impl<S: Source> Walk<S> {
    /// At the archive's first header.
    pub fn new(source: S) -> Self {
        Self { source, next_header: 0, entries: 0, zero_bytes: 0, global: Records::default() }
    }

    /// The source, at the data of the entry returned last.
    pub fn source(&mut self) -> &mut S {
        &mut self.source
    }

    /// The next entry; `None` at the end, or where something else than a tar
    /// archive goes on after its end.
    ///
    /// # Errors
    /// [`FormatError::Truncated`] and [`FormatError::Malformed`] where the
    /// archive breaks off, [`FormatError::Limit`] for absurd names.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, FormatError> {
        let mut long_name = None;
        let mut long_link = None;
        let mut records = Records::default();
        for _ in 0..DESCRIBING_MAX {
            let Some((offset, header)) = self.next_header()? else { return Ok(None) };
            let size =
                header.size.ok_or_else(|| FormatError::malformed("size", offset + 124, "not a number of bytes"))?;
            let data = offset + BLOCK_BYTES as u64;
            match header.kind {
                Kind::LongName => long_name = Some(self.text(data, size)?),
                Kind::LongLink => long_link = Some(self.text(data, size)?),
                Kind::Pax => records = Records::parse(&self.data(data, size, PAX_BYTES_MAX, "pax header")?, data)?,
                Kind::PaxGlobal => {
                    self.global = Records::parse(&self.data(data, size, PAX_BYTES_MAX, "pax header")?, data)?;
                }
                _ => {
                    let records = records.or(&self.global);
                    return self.entry(&header, offset, size, records, long_name, long_link).map(Some);
                }
            }
            self.go_on_after(data, size)?;
        }
        Err(FormatError::limit("tar_describing_headers_max", DESCRIBING_MAX.into()))
    }

    fn entry(
        &mut self,
        header: &Header,
        offset: u64,
        header_size: u64,
        records: Records,
        long_name: Option<String>,
        long_link: Option<String>,
    ) -> Result<Entry, FormatError> {
        let mut data = offset + BLOCK_BYTES as u64;
        if header.sparse_map_goes_on {
            data = self.skip_sparse_map(data)?;
        }
        let has_data = matches!(header.kind, Kind::File | Kind::Sparse);
        let size = if has_data { records.size.unwrap_or(header_size) } else { 0 };
        self.entries += 1;
        let entry = Entry {
            name: records.path.or(long_name).unwrap_or_else(|| String::from_utf8_lossy(&header.name).into_owned()),
            link: records.link.or(long_link).unwrap_or_else(|| String::from_utf8_lossy(&header.link).into_owned()),
            kind: if records.is_sparse && has_data { Kind::Sparse } else { header.kind },
            mode: header.mode,
            size,
            header: offset,
            data,
            after_end: self.zero_bytes > 0,
            checksum_wrong: !header.checksum_fits,
            // Writers leave the field at zero if the size does not fit in it.
            other_size: (size != header_size && has_data && header_size != 0).then_some(header_size),
        };
        if entry.name.len().max(entry.link.len()) as u64 > NAME_BYTES_MAX {
            return Err(FormatError::limit("tar_name_bytes_max", NAME_BYTES_MAX));
        }
        self.go_on_after(data, size)?;
        Ok(entry)
    }

    /// The next block that is a header, past zero blocks.
    fn next_header(&mut self) -> Result<Option<(u64, Header)>, FormatError> {
        loop {
            let offset = self.next_header;
            let io = |source| FormatError::Io { offset, source };
            self.source.skip_to(offset).map_err(io)?;
            let mut block = [0; BLOCK_BYTES];
            let n = self.source.read_full(&mut block).map_err(io)?;
            if n == 0 {
                return Ok(None);
            }
            if block.iter().all(|b| *b == 0) {
                self.next_header += BLOCK_BYTES as u64;
                self.zero_bytes += BLOCK_BYTES as u64;
                if n < BLOCK_BYTES || self.zero_bytes > ZERO_BYTES_MAX {
                    return Ok(None);
                }
                continue;
            }
            if n < BLOCK_BYTES {
                return if self.zero_bytes > 0 { Ok(None) } else { Err(FormatError::truncated("header", offset)) };
            }
            let header = Header::parse(&block);
            if !header.checksum_fits && (self.zero_bytes > 0 || !header.is_ustar) {
                // Something else follows the end: no entry.
                if self.zero_bytes > 0 {
                    return Ok(None);
                }
                return Err(FormatError::malformed("checksum", offset + 148, "does not fit the header"));
            }
            return Ok(Some((offset, header)));
        }
    }

    fn go_on_after(&mut self, data: u64, size: u64) -> Result<(), FormatError> {
        let overflow = || FormatError::malformed("size", data, "beyond any file");
        let end = data.checked_add(size).and_then(|e| e.checked_next_multiple_of(BLOCK_BYTES as u64));
        self.next_header = end.ok_or_else(overflow)?;
        Ok(())
    }

    fn data(&mut self, at: u64, size: u64, max: u64, field: &'static str) -> Result<Vec<u8>, FormatError> {
        let len = usize::try_from(size).ok().filter(|_| size <= max).ok_or(FormatError::limit(field, max))?;
        let mut data = vec![0; len];
        let n = self.source.read_full(&mut data).map_err(|source| FormatError::Io { offset: at, source })?;
        if n < len { Err(FormatError::truncated(field, at)) } else { Ok(data) }
    }

    fn text(&mut self, at: u64, size: u64) -> Result<String, FormatError> {
        let data = self.data(at, size, NAME_BYTES_MAX, "tar_name_bytes_max")?;
        Ok(String::from_utf8_lossy(data.split(|b| *b == 0).next().unwrap_or_default()).into_owned())
    }

    /// Blocks of the sparse map after the header; byte 504 says whether one
    /// more follows.
    fn skip_sparse_map(&mut self, mut at: u64) -> Result<u64, FormatError> {
        for _ in 0..SPARSE_BLOCKS_MAX {
            let block = self.data(at, BLOCK_BYTES as u64, BLOCK_BYTES as u64, "sparse map")?;
            at += BLOCK_BYTES as u64;
            if block.get(504).is_none_or(|b| *b == 0) {
                return Ok(at);
            }
        }
        Err(FormatError::limit("tar_sparse_blocks_max", SPARSE_BLOCKS_MAX.into()))
    }
}
