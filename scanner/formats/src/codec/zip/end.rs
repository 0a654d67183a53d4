//! The end of central directory record: where it is, and where else a reader
//! could think it is.

use crate::core::{FormatError, Input, Reader};

/// Bytes of an end record without its comment.
pub(super) const END_BYTES: usize = 22;
/// Longest archive comment (16-bit length).
const COMMENT_BYTES_MAX: usize = 0xffff;
/// Most directories looked at in one archive.
const CANDIDATES_MAX: usize = 8;

/// One reading of where the directory is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct End {
    /// Offset of the end record.
    pub offset: u64,
    /// By how much offsets must be shifted.
    pub prefix: u64,
    pub central_start: u64,
    pub central_bytes: u64,
    pub entries: u64,
    pub comment: Vec<u8>,
}

/// The end record that CPython uses: at the very end without a comment, else
/// the last signature in the last 64 KiB.
pub(super) fn find(input: &Input) -> Result<End, FormatError> {
    let (tail, tail_start) = tail(input)?;
    let exact = tail
        .len()
        .checked_sub(END_BYTES)
        .filter(|at| tail.get(*at..).is_some_and(|t| t.starts_with(b"PK\x05\x06") && t.ends_with(b"\0\0")));
    let at = exact
        .or_else(|| memchr::memmem::rfind(&tail, b"PK\x05\x06"))
        .ok_or_else(|| FormatError::malformed("end of central directory", input.len(), "no such record"))?;
    let record = Record::read(input, tail_start + at as u64)?;
    match record.zip64.clone() {
        Some(zip64) => record.shifted(&zip64, zip64.record),
        None => record.shifted(&record.plain, record.offset),
    }
}

/// Every other reading: other end records, the plain values where a ZIP64
/// record gives different ones, the directory at its unshifted offset (as
/// miniz looks for it). Not all of them hold a directory.
pub(super) fn others(input: &Input, used: &End) -> Result<Vec<End>, FormatError> {
    let (tail, tail_start) = tail(input)?;
    let mut out = Vec::new();
    let mut add = |end: Result<End, FormatError>| {
        if let Ok(end) = end
            && (end.central_start, end.central_bytes) != (used.central_start, used.central_bytes)
            && out.len() < CANDIDATES_MAX
            && !out.contains(&end)
        {
            out.push(end);
        }
    };
    let mut records = Vec::new();
    for at in memchr::memmem::rfind_iter(&tail, b"PK\x05\x06").take(CANDIDATES_MAX) {
        records.push(tail_start + at as u64);
    }
    for offset in records {
        let Ok(record) = Record::read(input, offset) else { continue };
        let readings = [Some(record.plain.clone()), record.zip64.clone()];
        for place in readings.into_iter().flatten() {
            add(record.shifted(&place, if place.record > 0 { place.record } else { record.offset }));
            add(Ok(record.unshifted(&place)));
        }
    }
    Ok(out)
}

fn tail(input: &Input) -> Result<(Vec<u8>, u64), FormatError> {
    let tail = input.tail(COMMENT_BYTES_MAX + END_BYTES).map_err(|source| FormatError::Io { offset: 0, source })?;
    let start = input.len() - tail.len() as u64;
    Ok((tail, start))
}

/// Where one record says the directory is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Place {
    entries: u64,
    bytes: u64,
    start: u64,
    /// Offset of the ZIP64 record that says so; 0 for the plain one.
    record: u64,
}

struct Record {
    offset: u64,
    comment: Vec<u8>,
    plain: Place,
    zip64: Option<Place>,
}

impl Record {
    /// APPNOTE 4.3.16.
    fn read(input: &Input, offset: u64) -> Result<Self, FormatError> {
        let mut r = Reader::at(input, offset);
        r.magic(b"PK\x05\x06")?;
        r.skip(6, "disk numbers")?;
        let entries = u64::from(r.u16_le("total entries")?);
        let bytes = u64::from(r.u32_le("central directory size")?);
        let start = u64::from(r.u32_le("central directory offset")?);
        let comment_len = r.u16_le("comment length")?;
        let comment = r.bytes(u64::from(comment_len).min(r.remaining()), COMMENT_BYTES_MAX, "comment")?;
        let zip64 = zip64(input, offset)?;
        Ok(Self { offset, comment, plain: Place { entries, bytes, start, record: 0 }, zip64 })
    }

    /// The directory ends where the record begins; whatever its offset is off
    /// by was put before the archive. So CPython and Info-ZIP.
    fn shifted(&self, place: &Place, directory_end: u64) -> Result<End, FormatError> {
        let central_start = directory_end
            .checked_sub(place.bytes)
            .ok_or_else(|| FormatError::malformed("central directory size", self.offset, "larger than the file"))?;
        let prefix = central_start.checked_sub(place.start).ok_or_else(|| {
            FormatError::malformed("central directory offset", self.offset, "beyond the central directory")
        })?;
        Ok(self.end(place, central_start, prefix))
    }

    /// The directory is where its offset says. So miniz.
    fn unshifted(&self, place: &Place) -> End {
        self.end(place, place.start, 0)
    }

    fn end(&self, place: &Place, central_start: u64, prefix: u64) -> End {
        End {
            offset: self.offset,
            prefix,
            central_start,
            central_bytes: place.bytes,
            entries: place.entries,
            comment: self.comment.clone(),
        }
    }
}

/// ZIP64 end record (APPNOTE 4.3.14), if a locator stands right before the end
/// record. CPython looks for the record right before the locator; others go
/// where the locator points.
fn zip64(input: &Input, end: u64) -> Result<Option<Place>, FormatError> {
    let Some(locator) = end.checked_sub(20) else { return Ok(None) };
    let mut r = Reader::at(input, locator);
    if r.peek(4)? != b"PK\x06\x07" {
        return Ok(None);
    }
    r.skip(8, "zip64 locator")?;
    let pointed = r.u64_le("zip64 end record offset")?;
    for record in [locator.checked_sub(56), Some(pointed)].into_iter().flatten() {
        let mut r = Reader::at(input, record);
        if r.remaining() < 56 || r.peek(4)? != b"PK\x06\x06" {
            continue;
        }
        r.skip(32, "zip64 end record")?;
        let entries = r.u64_le("zip64 total entries")?;
        let bytes = r.u64_le("zip64 central directory size")?;
        let start = r.u64_le("zip64 central directory offset")?;
        return Ok(Some(Place { entries, bytes, start, record }));
    }
    Ok(None)
}
